//! The claim file: making it, comparing it, and what is acceptable at its path.

use crate::directory::Directory;
use crate::error::{LockError, SystemError};
use crate::name::Session;
use crate::payload::{ArbiterId, FORMAT, MAX_CLAIM_LEN, Payload};
use crate::protocol::{Completion, Inode};
use crate::sys::file::{Kind, Stat};
use crate::sys::{self, Errno, Fd, ofd};

/// A claim that this process has open, locked or not.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) fd: Fd,
    pub(crate) inode: Inode,
    pub(crate) size: u64,
}

/// Makes a claim without a name, complete and locked, and names it. `None` if the name is taken.
pub(crate) fn publish(
    directory: &Directory,
    session: &Session,
    payload: &Payload,
) -> Result<Option<Claim>, SystemError> {
    let failed = |operation| move |errno| directory.failed(operation, session, errno);
    let permissions = directory.file_permissions();
    let fd = sys::file::create_unnamed(&directory.fd, permissions, false).map_err(failed("create the claim"))?;
    let stat = sys::file::stat(&fd).map_err(failed("look at the new claim"))?;
    if stat.permissions != permissions {
        sys::file::set_permissions(&fd, permissions).map_err(failed("set the permissions of the claim"))?;
    }
    ofd::try_lock(&fd, ofd::Range::All).map_err(failed("lock the new claim"))?;
    let bytes = payload.encode(0);
    sys::file::write_at(&fd, &bytes, 0).map_err(failed("write the claim"))?;
    match sys::file::link(&fd, &directory.fd, &session.claim) {
        Ok(()) => Ok(Some(Claim { fd, inode: stat.inode, size: bytes.len() as u64 })),
        Err(Errno::EXIST) => Ok(None),
        Err(errno) => Err(directory.failed("name the claim", session, errno)),
    }
}

/// Which file the path names, compared with the one that is meant.
pub(crate) fn check(directory: &Directory, session: &Session, inode: Inode) -> Result<Completion, SystemError> {
    Ok(match directory.claim_inode(session)? {
        Some(found) if found == inode => Completion::Done,
        Some(_) => Completion::Replaced,
        None => Completion::Gone,
    })
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
pub(crate) fn open(directory: &Directory, session: &Session) -> Result<Result<Claim, Completion>, LockError> {
    let not_a_claim = |found| LockError::NotAClaim { path: directory.claim_path(session), found };
    let fd = match open_between_leases(directory, session) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(Err(Completion::Gone)),
        Err(Errno::AGAIN) => return Ok(Err(Completion::Busy)),
        Err(Errno::ACCESS | Errno::PERM) => return Ok(Err(Completion::Unknown)),
        Err(Errno::LOOP) => return Err(not_a_claim("a symbolic link")),
        Err(Errno::ISDIR) => return Err(not_a_claim("a directory")),
        Err(Errno::NXIO | Errno::NODEV) => return Err(not_a_claim("a socket or a device")),
        Err(errno) => return Err(directory.failed("open the claim", session, errno).into()),
    };
    let stat = sys::file::stat(&fd).map_err(|errno| directory.failed("look at the claim", session, errno))?;
    match stat {
        Stat { kind, .. } if kind != Kind::Regular => Err(not_a_claim("a FIFO or a device")),
        Stat { links: 0, .. } => Ok(Err(Completion::Gone)),
        Stat { links, .. } if links > 1 => Err(not_a_claim("a file with another hard link")),
        Stat { uid, .. } if !directory.accepts_owner(uid) => Err(not_a_claim("a file of another user")),
        Stat { size, .. } if size > MAX_CLAIM_LEN as u64 => Err(not_a_claim("a file of more than 4 KiB")),
        Stat { inode, size, .. } => Ok(Ok(Claim { fd, inode, size })),
    }
}

/// Somebody's probe holds a lease for about a microsecond, and an open that meets it gets `EAGAIN`.
fn open_between_leases(directory: &Directory, session: &Session) -> sys::Result<Fd> {
    for _ in 0..16 {
        match sys::file::open_existing(&directory.fd, &session.claim) {
            Err(Errno::AGAIN) => std::thread::yield_now(),
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// What this process writes into its claims.
pub(crate) fn payload(
    directory: &Directory,
    arbiter: ArbiterId,
    token: u64,
    label: Option<&str>,
    traceparent: Option<&str>,
) -> Payload {
    let process = directory.process;
    let asker = &process.asker;
    Payload {
        pid: Some(asker.pid),
        created_at: Some(sys::clock::wall()),
        starttime: asker.starttime,
        version: Some(FORMAT),
        nonce: Some(asker.nonce),
        token: Some(token),
        boot_id: Some(asker.boot_id),
        pid_ns: asker.pid_ns,
        time_ns: asker.time_ns,
        host: Some(process.host.clone()),
        arbiter: Some(arbiter),
        traceparent: traceparent.map(str::to_owned),
        label: label.map(str::to_owned),
    }
}
