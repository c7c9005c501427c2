//! The file `metrics-v1`, and one process's slot in it.
//!
//! A slot belongs to whoever holds the OFD lock on its first byte: the kernel takes it from the dead. There is no header that
//! could be damaged: each slot says for itself what it is.

use super::slot::{self, Content, Copy, PAGE, SLOTS, STRIDE, Section};
use super::totals::Totals;
use crate::arbiter::{ABOVE_ARBITERS, STATE_DIRECTORY};
use crate::directory::Directory;
use crate::protocol::Inode;
use crate::sys::file::Access;
use crate::sys::{self, Errno, Fd, ofd};
use std::ffi::CStr;

const NAME: &CStr = c"metrics-v1";

/// A process's slot.
#[derive(Debug)]
pub(super) struct Slot {
    fd: Fd,
    inode: Inode,
    at: u64,
    sequence: u64,
    copy: Copy,
}

impl Slot {
    /// Takes the first free slot of this version, and what its dead owner counted.
    ///
    /// # Errors
    ///
    /// `EUSERS`: all are taken. `EBADF`: what is there is no regular file, or not of an acceptable owner.
    pub(super) fn take(directory: &Directory) -> sys::Result<(Self, Totals)> {
        let fd = open_or_create(directory)?.at_least(ABOVE_ARBITERS);
        let inode = sys::file::stat(&fd)?.inode;
        for at in (0..SLOTS).map(|nth| nth * STRIDE) {
            if ofd::try_lock(&fd, ofd::Range::Byte(at))? == ofd::Attempted::Busy {
                continue;
            }
            let (sequence, inherited) = match read_totals(&fd, at)? {
                Content::Fresh => (0, Totals::default()),
                Content::Totals { sequence, totals } => (sequence, *totals),
                Content::Other | Content::Damaged => {
                    ofd::unlock(&fd, ofd::Range::Byte(at))?;
                    continue;
                }
            };
            return Ok((Self { fd, inode, at, sequence, copy: Copy::new() }, inherited));
        }
        Err(Errno::USERS)
    }

    /// Whether the path still names the file; what cannot be asked, for want of a descriptor perhaps, has not changed.
    pub(super) fn is_at_path(&self, directory: &Directory) -> bool {
        let state = sys::file::open_subdirectory(&directory.fd, STATE_DIRECTORY);
        match state.and_then(|state| sys::file::stat_at(state, NAME)) {
            Ok(stat) => stat.inode == self.inode,
            Err(errno) => !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP),
        }
    }

    /// Empties it, because what it says is counted elsewhere now. Best effort.
    pub(super) fn erase(self, limit: u64) {
        for copy in [0, PAGE] {
            write_at(&self.fd, &[0; slot::COPY_LEN], self.at + copy, limit).ok();
        }
    }

    /// Writes the totals over the older copy.
    pub(super) fn write(&mut self, totals: &Totals, limit: u64) -> sys::Result<()> {
        self.sequence += 1;
        let bytes = self.copy.encode(self.sequence, totals);
        write_at(&self.fd, bytes, self.at + self.sequence % 2 * PAGE, limit)
    }

    /// Writes a record.
    pub(super) fn write_record(&self, section: Section, nth: u64, record: &[u8], limit: u64) -> sys::Result<()> {
        write_at(&self.fd, record, self.at + section.at + nth * PAGE, limit)
    }
}

/// A write beyond the size limit would kill.
fn write_at(fd: &Fd, bytes: &[u8], at: u64, limit: u64) -> sys::Result<()> {
    if limit < at + bytes.len() as u64 { Err(Errno::FBIG) } else { sys::file::write_at(fd, bytes, at) }
}

fn open_or_create(directory: &Directory) -> sys::Result<Fd> {
    let state = sys::file::open_subdirectory(&directory.fd, STATE_DIRECTORY)?;
    match open(directory, &state, Access::Write) {
        Err(Errno::NOENT) => {}
        opened => return opened,
    }
    let (fd, _) = directory.create_unnamed(&state, false)?;
    match sys::file::link(&fd, &state, NAME) {
        Ok(()) => Ok(fd),
        Err(Errno::EXIST) => open(directory, &state, Access::Write),
        Err(errno) => Err(errno),
    }
}

fn open(directory: &Directory, state: &Fd, access: Access) -> sys::Result<Fd> {
    let fd = sys::file::open_regular(state, NAME, access)?;
    if directory.accepts_owner(sys::file::stat(&fd)?.uid) { Ok(fd) } else { Err(Errno::BADF) }
}

/// Two copies that a writer writes alternately cannot both be torn, unless it is quicker than this reader. It may be: then the
/// whole copy can be older than what was read before, and totals would fall. So the reader tries again while one is torn.
fn read_totals(fd: &Fd, at: u64) -> sys::Result<Content> {
    let mut bytes = vec![0; 2 * 4096];
    let mut content = Content::Damaged;
    for _ in 0..4 {
        let len = sys::file::read_at(fd, &mut bytes, at)?;
        content = slot::decode(&bytes[..len]);
        if content != Content::Damaged && !slot::is_torn(&bytes[..len]) {
            break;
        }
    }
    Ok(content)
}

/// All slots, for reading.
pub(super) struct Slots(Fd);

/// One slot that somebody has used.
pub(super) struct Used<'a> {
    fd: &'a Fd,
    at: u64,
    pub(super) lives: bool,
    pub(super) content: Content,
}

impl Slots {
    /// `None` if nothing was counted yet.
    pub(super) fn open(directory: &Directory) -> sys::Result<Option<Self>> {
        let opened = sys::file::open_subdirectory(&directory.fd, STATE_DIRECTORY)
            .and_then(|state| open(directory, &state, Access::Read));
        match opened {
            Ok(fd) => Ok(Some(Self(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn used(&self) -> sys::Result<impl Iterator<Item = sys::Result<Used<'_>>>> {
        let size = sys::file::stat(&self.0)?.size;
        let slots = (0..SLOTS).map(|nth| nth * STRIDE).take_while(move |at| *at < size);
        Ok(slots
            .map(|at| self.slot(at))
            .filter(|slot| !matches!(slot, Ok(Used { content: Content::Fresh, lives: false, .. }))))
    }

    /// Whether its owner lives is asked before its totals are read: a gauge of somebody who dies in between counts once more,
    /// and what a successor counts is in its own slot's totals.
    fn slot(&self, at: u64) -> sys::Result<Used<'_>> {
        let lives = ofd::is_locked(&self.0, ofd::Range::Byte(at))?;
        Ok(Used { fd: &self.0, at, lives, content: read_totals(&self.0, at)? })
    }
}

impl Used<'_> {
    /// What each page of a section says, as far as it can be read and is whole.
    pub(super) fn read<T>(&self, section: Section, decode: impl Fn(&[u8]) -> Option<T>) -> Vec<T> {
        let mut pages = vec![0; section.len()];
        let len = sys::file::read_at(self.fd, &mut pages, self.at + section.at).unwrap_or(0);
        pages[..len].chunks(4096).filter_map(decode).collect()
    }
}
