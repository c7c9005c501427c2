//! The claim file: making it, comparing it, and what is acceptable at its path.

use crate::directory::Directory;
use crate::error::{LockError, SystemError};
use crate::name::Session;
use crate::payload::{ArbiterId, Content, FORMAT, MAX_CLAIM_LEN, Payload};
use crate::process::Process;
use crate::protocol::{Completion, Inode};
use crate::spare;
use crate::sys::file::{Access, Kind, Stat};
use crate::sys::{self, Errno, Fd, ofd};
use crate::verdict::Asker;

/// Why a file with a second name is refused, unless it is a claim of this crate: that may be a spare, or in a backup.
const ANOTHER_LINK: &str = "a file with another hard link";

/// A claim that this process has open, locked or not.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) fd: Fd,
    pub(crate) inode: Inode,
    pub(crate) size: u64,
    pub(crate) links: u64,
    /// It is this process's spare.
    pub(crate) spare: bool,
    /// No path names it, or none but its session's, which is unlinked before it is closed.
    pub(crate) reusable: bool,
}

/// Names a claim that is complete and locked: the spare, or a new one. `None` if the name is taken. `encode` gives its content,
/// at least this long.
pub(crate) fn publish(
    directory: &Directory,
    session: &Session,
    encode: impl Fn(usize) -> Vec<u8>,
) -> Result<Option<Claim>, SystemError> {
    let failed = |operation| move |errno| directory.failed(operation, session, errno);
    loop {
        let mut claim = match directory.spare.take(directory) {
            Some(spare) => spare,
            // A new inode costs more than a look, most of all one that is not used.
            None if directory.claim_inode(session)?.is_some() => return Ok(None),
            None => directory.spare.adopt(directory, create(directory).map_err(failed("create the claim"))?),
        };
        let bytes = encode(usize::try_from(claim.size).unwrap_or(MAX_CLAIM_LEN));
        let named = sys::file::write_at(&claim.fd, &bytes, 0)
            .and_then(|()| sys::file::link(&claim.fd, &directory.fd, &session.claim));
        claim.size = bytes.len() as u64;
        match named {
            Ok(()) => return Ok(Some(claim)),
            Err(Errno::EXIST) => {
                directory.spare.put_back(directory, claim);
                return Ok(None);
            }
            // The spare's own name was removed, and with it the last one.
            Err(Errno::NOENT) if claim.spare => directory.spare.discard(directory, &claim),
            Err(errno) => {
                directory.spare.put_back(directory, claim);
                return Err(directory.failed("write and name the claim", session, errno));
            }
        }
    }
}

/// A new claim, locked and without a name.
fn create(directory: &Directory) -> sys::Result<Claim> {
    let (fd, stat) = directory.create_unnamed(&directory.fd, false)?;
    ofd::try_lock(&fd, ofd::Range::All)?;
    Ok(Claim { fd, inode: stat.inode, size: 0, links: 0, spare: false, reusable: true })
}

/// Which file the path names, compared with the one that is meant.
pub(crate) fn check(directory: &Directory, session: &Session, claim: &mut Claim) -> Result<Completion, SystemError> {
    claim.reusable = false;
    let stat = match sys::file::stat_at(&directory.fd, &session.claim) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Completion::Gone),
        Err(errno) => return Err(directory.failed("look at the claim", session, errno)),
    };
    claim.reusable = stat.inode == claim.inode;
    Ok(if claim.reusable { Completion::Done } else { Completion::Replaced })
}

/// Removes the claim's path.
pub(crate) fn unlink(directory: &Directory, session: &Session) -> Result<Completion, SystemError> {
    match sys::file::unlink(&directory.fd, &session.claim) {
        Ok(()) => Ok(Completion::Done),
        Err(Errno::NOENT) => Ok(Completion::Gone),
        Err(errno) => Err(directory.failed("unlink the claim", session, errno)),
    }
}

/// Opens what is at the path, if it may be a claim. `Err(completion)` inside `Ok` tells why there is nothing to open.
///
/// What it is is decided on a pin, so that nothing but a file that may be a claim is ever opened.
pub(crate) fn open(directory: &Directory, session: &Session) -> Result<Result<Claim, Completion>, LockError> {
    let failed = |operation, errno| LockError::from(directory.failed(operation, session, errno));
    let (pinned, stat) = match sys::file::pin_named(&directory.fd, &session.claim) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(Err(Completion::Gone)),
        Err(errno) => return Err(failed("look at the claim", errno)),
    };
    if stat.links == 0 {
        // Its owner has unlinked it since it was pinned: it is no file with a second name.
        return Ok(Err(Completion::Gone));
    }
    if let Some(found) = unacceptable(directory, &stat) {
        return Err(LockError::NotAClaim { path: directory.claim_path(session), found });
    }
    let fd =
        match between_leases(|| sys::file::open_pinned(&pinned, &stat, &directory.fd, &session.claim, Access::Write)) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(Err(Completion::Gone)),
            Err(Errno::AGAIN) => return Ok(Err(Completion::Busy)),
            Err(Errno::ACCESS | Errno::PERM) => return Ok(Err(Completion::Unknown)),
            Err(Errno::TXTBSY) => {
                return Err(LockError::NotAClaim { path: directory.claim_path(session), found: "a program that runs" });
            }
            Err(errno) => return Err(failed("open the claim", errno)),
        };
    let Stat { inode, size, links, .. } = stat;
    Ok(Ok(Claim { fd, inode, size, links, spare: false, reusable: false }))
}

/// What makes a file no claim, whatever it contains.
pub(crate) fn unacceptable(directory: &Directory, stat: &Stat) -> Option<&'static str> {
    match stat.kind {
        Kind::Regular if !directory.accepts_owner(stat.uid) => Some("a file of another user"),
        Kind::Regular if stat.size > MAX_CLAIM_LEN as u64 => Some("a file of more than 4 KiB"),
        Kind::Regular => None,
        Kind::Directory => Some("a directory"),
        Kind::Symlink => Some("a symbolic link"),
        Kind::Fifo => Some("a FIFO"),
        Kind::Socket => Some("a socket"),
        Kind::Device => Some("a device"),
    }
}

/// Somebody's probe holds a lease for about a microsecond, and an open that meets it gets `EAGAIN`.
pub(crate) fn between_leases(open: impl Fn() -> sys::Result<Fd>) -> sys::Result<Fd> {
    for _ in 0..16 {
        match open() {
            Err(Errno::AGAIN) => std::thread::yield_now(),
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// What a file that was read is, if it is no claim after all.
pub(crate) fn unacceptable_content(
    directory: &Directory,
    content: &Content,
    links: u64,
    inode: Inode,
) -> Option<&'static str> {
    match content {
        Content::NotAClaim => Some("a file whose content is not what a lock writes"),
        content if links == 1 || content.is_ours() => None,
        // After a power loss a spare may have lost what was written.
        Content::Empty | Content::Torn if spare::is_spare(directory, inode) => None,
        _ => Some(ANOTHER_LINK),
    }
}

/// What is the same in all claims of this process under this arbiter.
pub(crate) fn owner(process: &Process, asker: &Asker, arbiter: ArbiterId) -> Payload {
    Payload {
        pid: Some(asker.pid),
        starttime: asker.starttime,
        version: Some(FORMAT),
        nonce: Some(asker.nonce),
        boot_id: Some(asker.boot_id),
        pid_ns: asker.pid_ns,
        time_ns: asker.time_ns,
        host: Some(process.host.clone()),
        arbiter: Some(arbiter),
        ..Payload::default()
    }
}
