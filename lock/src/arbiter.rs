//! The arbiter: a permanent file on which the kernel decides who holds.
//!
//! | Bytes | What | Written |
//! |---|---|---|
//! | 0..16 | random | before the file gets its name |
//! | 16..40 | boot id, epoch (little endian) | then, and at the first use after a boot |
//! | 40..48 | SipHash-2-4 of 16..40 | with them |
//! | 48..64 | zero | before the name |
//! | 64.. | one byte per token taken | appended; holes are punched behind |
//!
//! Bytes that are locked, far behind the end: a session's offset, by its holder, and 2^62 behind that, shared, by those
//! who wait in the kernel for it.
//!
//! A holder's token is `epoch << 40 | size - 64`, after its append; holders of one process that follow each other may
//! share an append. Appends are atomic and the size never shrinks, so a token taken under the range lock is larger than
//! every one taken under it before, without a lock through which one stopped process could hold up another session. A
//! crash of the machine may lose appends that were never written back; the epoch makes up for that: it is raised and
//! synced before the first token after a boot. Raising it is idempotent, so nobody waits for anybody.

use crate::claim;
use crate::directory::Directory;
use crate::error::{LockError, REMOVED_AGAIN, SystemError};
use crate::name::{Range, is_temporary};
use crate::payload::{ArbiterId, EncodedOwner, OfHold};
use crate::process::{Process, lock};
use crate::spare::Mode;
use crate::sys::file::{Access, Stat};
use crate::sys::sync::Mutex;
use crate::sys::{self, Errno, Fd, ofd};
use crate::tenure::Tenure;
use siphasher::sip::SipHasher24;
use std::ffi::{CStr, CString};
use std::hash::Hasher;
use std::path::PathBuf;

/// The state directory's name.
pub(crate) const STATE_DIRECTORY: &CStr = c".session-lock";
/// The least number of a descriptor that has to lie above the arbiters: at the end of a process the kernel finalises the
/// highest first.
pub(crate) const ABOVE_ARBITERS: i32 = 512;
const HEADER_LEN: usize = 64;
const RECORD: std::ops::Range<usize> = 16..48;
const EPOCH_SHIFT: u32 = 40;
/// Tokens stay below 2^53, the integers that every JSON reader keeps.
const MAX_EPOCH: u64 = (1 << (53 - EPOCH_SHIFT)) - 1;
/// What is appended for tokens that are taken at once. One that is not used is a number that is left out.
const TOKENS: [u8; 32] = [b'.'; 32];
/// Set in the offset of the byte whose lock says that somebody waits; a lock's own offset lies below 2^62.
const AWAITED: u64 = 1 << 62;
/// Blocks behind the end are freed each time the size passes a multiple of this.
const PUNCH_EVERY: u64 = 1 << 20;
const BLOCK: u64 = 4096;
/// How often an open starts again because somebody removes the state directory.
const ROUNDS: u32 = 64;

/// An open arbiter file. Dropping it drops every range that was locked through it.
#[derive(Debug)]
pub(crate) struct Arbiter {
    fd: Fd,
    pub(crate) id: ArbiterId,
    epoch: u64,
    /// `.session-lock/arbiter-2a`, from the lock directory.
    path: CString,
    /// With the [identity](Process::identity) whose it is.
    owner: Mutex<Option<(u64, EncodedOwner)>>,
}

impl Arbiter {
    /// Opens the shard's arbiter, creating it and the state directory where they are missing.
    pub(crate) fn open(directory: &Directory, shard: usize) -> Result<Self, LockError> {
        let file = file_name(shard);
        let at = directory.state_path().join(&file);
        let (name, path) = (c_string(file), path_in_directory(shard));
        // Each round fails only if somebody removed what the round before made.
        for _ in 0..ROUNDS {
            let Some((state, made)) = open_state_directory(directory)? else { continue };
            let fd = match open_or_create(directory, &state, &name) {
                // ENOENT, or EPERM on ext4.
                Err(_) if sys::file::stat(&state).is_ok_and(|stat| stat.links == 0) => continue,
                Err(Errno::EXIST) => continue,
                Err(errno) => {
                    if made {
                        // Goes only if it is empty, and whoever is about to fill it starts again.
                        sys::file::remove_directory(&directory.fd, STATE_DIRECTORY).ok();
                    }
                    return Err(refused(errno, at));
                }
                Ok(fd) => fd,
            };
            let arbiter = Self::check(directory, &state, &name, fd, path, at.clone())?;
            drop(state);
            return arbiter.renumber().map_err(|errno| refused(errno, at));
        }
        Err(LockError::State { path: at, found: REMOVED_AGAIN })
    }

    fn check(
        directory: &Directory,
        state: &Fd,
        name: &CString,
        fd: Fd,
        path: CString,
        at: PathBuf,
    ) -> Result<Self, LockError> {
        let failed = |operation| {
            let at = at.clone();
            move |errno: Errno| SystemError { operation, path: at, cause: errno.into() }
        };
        let stat = sys::file::stat(&fd).map_err(failed("look at"))?;
        if !directory.accepts_owner(stat.uid) {
            return Err(LockError::State { path: at, found: "it belongs to another user" });
        }
        let mut header = [0; HEADER_LEN];
        let len = sys::file::read_start(&fd, &mut header).map_err(failed("read"))?;
        let boot_id = *directory.process.boot_id();
        let (Some((known_boot, known_epoch)), true) = (parse_record(&header), len == HEADER_LEN) else {
            return Err(LockError::State { path: at, found: "its header is damaged" });
        };
        let epoch = if known_boot == boot_id { known_epoch } else { known_epoch.saturating_add(1) };
        if epoch > MAX_EPOCH {
            return Err(LockError::State { path: at, found: "its epochs are used up" });
        }
        if epoch != known_epoch {
            raise_epoch(state, name, &stat, &record(&boot_id, epoch)).map_err(failed("raise the epoch of"))?;
        }
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&header[..16]);
        let id = ArbiterId { inode: stat.inode, nonce };
        Ok(Self { fd, id, epoch, path, owner: Mutex::default() })
    }

    /// At the end of a process the kernel finalises the highest number first. An arbiter below its claims is freed after
    /// them, so that whoever gets it finds the dead owner's claim unlocked.
    fn renumber(self) -> sys::Result<Self> {
        Ok(Self { fd: self.fd.lowest()?, ..self })
    }

    /// `F_OFD_SETLK` on the range.
    pub(crate) fn try_lock(&self, range: Range) -> sys::Result<ofd::Attempted> {
        ofd::try_lock(&self.fd, ofd::Range::Byte(range.offset))
    }

    /// `F_OFD_SETLKW` on the range: waits in the kernel's queue, and says so. False if a signal came and it is not `wanted` any
    /// more.
    pub(crate) fn lock(&self, range: Range, wanted: impl Fn() -> bool) -> sys::Result<bool> {
        let awaited = ofd::Range::Byte(range.offset | AWAITED);
        // Whoever waits unsaid waits as well, perhaps for longer.
        ofd::try_share(&self.fd, awaited).ok();
        let locked = loop {
            match ofd::lock(&self.fd, ofd::Range::Byte(range.offset)) {
                Err(Errno::INTR) if wanted() => {}
                Err(Errno::INTR) => break Ok(false),
                result => break result.map(|()| true),
            }
        };
        ofd::unlock(&self.fd, awaited).ok();
        locked
    }

    /// Whether another process waits in the kernel's queue for the range, or has just got it. False if it cannot be asked.
    pub(crate) fn is_awaited(&self, range: Range) -> bool {
        ofd::is_locked(&self.fd, ofd::Range::Byte(range.offset | AWAITED)).unwrap_or(false)
    }

    /// Whether another process has the range. False if it cannot be asked.
    pub(crate) fn is_taken(&self, range: Range) -> bool {
        ofd::is_locked(&self.fd, ofd::Range::Byte(range.offset)).unwrap_or(false)
    }

    pub(crate) fn unlock(&self, range: Range) -> sys::Result<()> {
        ofd::unlock(&self.fd, ofd::Range::Byte(range.offset))
    }

    /// Takes a fencing token. The caller has the range. `None`: somebody has truncated the file.
    ///
    /// # Errors
    ///
    /// `EFBIG` instead of a `SIGXFSZ` when `RLIMIT_FSIZE` is too small for a token or for a claim.
    pub(crate) fn take_token(&self, directory: &Directory) -> sys::Result<Option<u64>> {
        Ok(self.append(directory, &TOKENS[..1])?.map(|tokens| tokens.start))
    }

    /// As [`take_token`](Self::take_token), for the acquires that follow each other in one tenure, which share an append.
    pub(crate) fn next_token(&self, directory: &Directory, tenure: &mut Tenure) -> sys::Result<Option<u64>> {
        if let Some(token) = tenure.next_token() {
            // The claim is written next: from its beginning, so that only a limit of nothing raises `SIGXFSZ`.
            let may_write = directory.size_limit_at(tenure.age()) >= BLOCK;
            return if may_write { Ok(Some(token)) } else { Err(Errno::FBIG) };
        }
        Ok(self.append(directory, &TOKENS)?.and_then(|tokens| {
            tenure.keep_tokens(tokens);
            tenure.next_token()
        }))
    }

    /// The descriptor's position after its own append is at least the size that the append made, and at most the size of
    /// the file now, so the tokens are above every earlier holder's and below every later one's.
    fn append(&self, directory: &Directory, bytes: &[u8]) -> sys::Result<Option<std::ops::Range<u64>>> {
        if let Some(limit) = directory.ask_size_limit()
            && limit < sys::file::stat(&self.fd)?.size.max(BLOCK) + bytes.len() as u64
        {
            return Err(Errno::FBIG);
        }
        let (written, size) = sys::file::append(&self.fd, bytes)?;
        let token = |count| self.epoch << EPOCH_SHIFT | count;
        let last = size.checked_sub(HEADER_LEN as u64).filter(|count| *count >= written);
        Ok(last.map(|last| {
            self.punch(size, written);
            token(last - written + 1)..token(last + 1)
        }))
    }

    /// What a claim of this process under this arbiter says, in at least `old_len` bytes.
    pub(crate) fn encode_claim(&self, process: &Process, hold: &OfHold<'_>, old_len: usize) -> Vec<u8> {
        // Before the nonce, which may change in between: then this is encoded again the next time.
        let identity = process.identity();
        let mut known = lock(&self.owner);
        let (_, mut owner) = match known.take() {
            Some(known) if known.0 == identity => known,
            _ => (identity, EncodedOwner::of(&claim::owner(process, &process.asker(), self.id))),
        };
        let bytes = owner.with(hold, old_len);
        *known = Some((identity, owner));
        bytes
    }

    /// Its path, for messages.
    pub(crate) fn path(&self, directory: &Directory) -> PathBuf {
        directory.path.join(self.path.to_string_lossy().as_ref())
    }

    /// Whether the arbiter's path names this file.
    pub(crate) fn is_at_path(&self, directory: &Directory) -> sys::Result<bool> {
        match sys::file::stat_at(&directory.fd, &self.path) {
            Ok(stat) => Ok(stat.inode == self.id.inode),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Frees the blocks behind the end, if so many bytes more have brought the size to a step or past it. Best effort: a file
    /// system without holes only keeps more blocks.
    fn punch(&self, size: u64, more: u64) {
        if size % PUNCH_EVERY < more {
            sys::file::punch_hole(&self.fd, BLOCK, size - BLOCK).ok();
        }
    }
}

/// Removes what processes left that were killed while they made the state directory: empty directories that have its name
/// and 32 hex digits. Whoever is making one at this moment finds it gone, and starts again. Best effort. Returns how many
/// there were.
pub(crate) fn sweep_unfinished(directory: &Directory, mode: Mode) -> usize {
    let is_ours = |name: &CStr| is_temporary(name, ".session-lock-");
    let names = sys::file::names(&directory.fd, is_ours, usize::MAX).unwrap_or_default();
    let sweep_one = |name: &&CString| {
        let dir = &directory.fd;
        let accepted = sys::file::stat_at(dir, name).is_ok_and(|stat| directory.accepts_owner(stat.uid));
        accepted
            && match mode {
                Mode::Remove => sys::file::remove_directory(dir, name).is_ok(),
                Mode::Count => sys::file::is_empty(dir, name).unwrap_or(false),
            }
    };
    names.iter().filter(sweep_one).count()
}

/// The state directory, and whether it was missing and was made here. `None` if it was removed meanwhile.
pub(crate) fn open_state_directory(directory: &Directory) -> Result<Option<(Fd, bool)>, LockError> {
    let name = STATE_DIRECTORY;
    let failed = |errno| refused(errno, directory.state_path());
    let mut made = false;
    let opened = match sys::file::open_subdirectory(&directory.fd, name) {
        Err(Errno::NOENT) => {
            // With the set-group-ID bit, so that what is made in it belongs to the group as well.
            let (permissions, gid) = (directory.stat.permissions & 0o2777 | 0o700, directory.stat.gid);
            match sys::file::make_directory(&directory.fd, name, permissions, gid) {
                Ok(()) => {
                    made = true;
                    sweep_unfinished(directory, Mode::Remove);
                }
                Err(Errno::EXIST | Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno)),
            }
            sys::file::open_subdirectory(&directory.fd, name)
        }
        opened => opened,
    };
    let state = match opened {
        // The same answer as if the lock directory were gone, so look.
        Err(Errno::NOENT) if sys::file::stat(&directory.fd).is_ok_and(|stat| stat.links > 0) => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let stat = sys::file::stat(&state).map_err(failed)?;
    let open_to_all = stat.permissions & !directory.stat.permissions & 0o002 != 0;
    let refused = match stat.uid {
        uid if !directory.accepts_owner(uid) => Some("it belongs to another user"),
        _ if open_to_all => Some("everybody may write to it"),
        _ => None,
    };
    match refused {
        Some(found) => Err(LockError::State { path: directory.state_path(), found }),
        None => Ok(Some((state, made))),
    }
}

fn open_or_create(directory: &Directory, state: &Fd, name: &CString) -> sys::Result<Fd> {
    match sys::file::open_regular(state, name, Access::Append) {
        Err(Errno::NOENT) => create(directory, state, name),
        opened => opened,
    }
}

/// A new arbiter, complete before it has its name, on the disk too: after a power loss a name without a header would keep
/// its sessions locked.
fn create(directory: &Directory, state: &Fd, name: &CString) -> sys::Result<Fd> {
    sys::file::may_grow_to(HEADER_LEN as u64)?;
    let (fd, _) = directory.create_unnamed(state, true)?;
    let mut header = [0; HEADER_LEN];
    header[..16].copy_from_slice(&sys::file::random()?);
    header[RECORD].copy_from_slice(&record(directory.process.boot_id(), 0));
    sys::file::write_at(&fd, &header, 0)?;
    sys::file::sync(&fd)?;
    sys::file::link(&fd, state, name)?;
    // Without the permission to read a directory its names cannot be synced; a name that is lost loses only its tokens.
    sys::file::sync_names(state).ok();
    sys::file::sync_names(&directory.fd).ok();
    Ok(fd)
}

/// Writes the record through a second descriptor: a write through an appending one goes to the end, wherever it is told
/// to go (pwrite(2), BUGS).
fn raise_epoch(state: &Fd, name: &CString, stat: &Stat, record: &[u8]) -> sys::Result<()> {
    sys::file::may_grow_to(RECORD.end as u64)?;
    let fd = sys::file::open_regular(state, name, Access::Write)?;
    if sys::file::stat(&fd)?.inode != stat.inode {
        return Ok(()); // Replaced meanwhile: the acquire will notice.
    }
    sys::file::write_at(&fd, record, RECORD.start as u64)?;
    sys::file::sync(&fd)
}

fn refused(errno: Errno, path: PathBuf) -> LockError {
    match errno {
        Errno::LOOP | Errno::NOTDIR => LockError::State { path, found: "a symbolic link or a file is in its place" },
        Errno::ISDIR | Errno::NXIO => LockError::State { path, found: "it is not a regular file" },
        errno => SystemError { operation: "open or create", path, cause: errno.into() }.into(),
    }
}

pub(crate) fn record(boot_id: &[u8; 16], epoch: u64) -> [u8; 32] {
    let mut record = [0; 32];
    record[..16].copy_from_slice(boot_id);
    record[16..24].copy_from_slice(&epoch.to_le_bytes());
    let check = check(&record[..24]);
    record[24..].copy_from_slice(&check);
    record
}

fn parse_record(header: &[u8; HEADER_LEN]) -> Option<([u8; 16], u64)> {
    let record = &header[RECORD];
    let boot_id = record[..16].try_into().ok()?;
    let epoch = u64::from_le_bytes(record[16..24].try_into().ok()?);
    (record[24..] == check(&record[..24])).then_some((boot_id, epoch))
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_keys(0, 0);
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

/// The name of a shard's arbiter in the state directory.
pub(crate) fn file_name(shard: usize) -> String {
    format!("arbiter-{shard:02x}")
}

/// Its path from the lock directory.
pub(crate) fn path_in_directory(shard: usize) -> CString {
    c_string(format!(".session-lock/{}", file_name(shard)))
}

pub(crate) fn c_string(text: String) -> CString {
    CString::new(text).expect("the names of state files have no NUL byte")
}

#[cfg(test)]
mod tests {
    use super::{HEADER_LEN, RECORD, parse_record, record};

    #[test]
    fn a_record_reads_back_and_damage_shows() {
        let mut header = [0; HEADER_LEN];
        header[RECORD].copy_from_slice(&record(&[7; 16], 12));
        assert_eq!(parse_record(&header), Some(([7; 16], 12)));
        for byte in RECORD {
            let mut damaged = header;
            damaged[byte] ^= 1;
            assert_eq!(parse_record(&damaged), None, "byte {byte}");
        }
    }
}
