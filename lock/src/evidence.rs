//! Evidence about a claim's owner: what the kernel and /proc say. What follows from it is said in [`crate::verdict`].

use crate::directory::Directory;
use crate::name::Session;
use crate::payload::{Content, Payload};
use crate::process::Process;
use crate::protocol::Inode;
use crate::sys::file::Access;
use crate::sys::{self, Errno};
use crate::verdict::{OwnerProcess, Probe};
use std::os::fd::AsFd;

/// The writer probe, on a read-only descriptor, which disturbs nobody. `None`: the path names another file than the one
/// that is pinned, or none.
pub(crate) fn writers(directory: &Directory, session: &Session, pinned: Option<Inode>) -> sys::Result<Option<Probe>> {
    let fd = match sys::file::open_regular(&directory.fd, &session.claim, Access::Read) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Ok(None),
        Err(Errno::ACCESS | Errno::PERM) => return Ok(Some(Probe::Unavailable)),
        Err(errno) => return Err(errno),
    };
    if Some(sys::file::stat(&fd)?.inode) != pinned {
        return Ok(None);
    }
    Ok(Some(probe(fd)))
}

/// The same on a read-only descriptor of the claim.
pub(crate) fn probe(fd: impl AsFd) -> Probe {
    match sys::lease::writers(fd) {
        Ok(sys::lease::Writers::None) => Probe::NoWriter,
        Ok(sys::lease::Writers::Some) => Probe::Writer,
        Err(_) => Probe::Unavailable,
    }
}

/// What the kernel says of the process with the claim's pid, in this PID namespace.
pub(crate) fn owner_process(process: &Process, content: &Content) -> OwnerProcess {
    let owner = content.payload().and_then(|payload| Some(Seen::now(process, payload.pid?).owner(payload)));
    owner.unwrap_or(OwnerProcess::Unknown)
}

/// What has a pid in this PID namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    Nobody,
    /// A process, with its start time if /proc tells.
    Somebody(Option<u64>),
    Unknown,
}

impl Seen {
    pub(crate) fn now(process: &Process, pid: u32) -> Self {
        match sys::process::exists(pid) {
            Ok(false) => Self::Nobody,
            Ok(true) if process.proc_is_ours => Self::Somebody(sys::process::starttime(pid)),
            Ok(true) | Err(_) => Self::Unknown,
        }
    }

    /// What that says of a claim with this pid.
    pub(crate) fn owner(self, payload: &Payload) -> OwnerProcess {
        match (self, payload.starttime) {
            (Self::Nobody, _) => OwnerProcess::Gone,
            (Self::Somebody(Some(found)), Some(theirs)) if theirs != found => OwnerProcess::Another,
            (Self::Somebody(_), _) => OwnerProcess::Present,
            (Self::Unknown, _) => OwnerProcess::Unknown,
        }
    }
}
