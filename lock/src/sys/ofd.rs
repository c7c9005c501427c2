//! Open file description locks: fcntl(2), "Open file description locks (non-POSIX)", Linux 3.15.
//!
//! They belong to the description, not to the process: the kernel drops them when the last descriptor of it is closed,
//! in whatever way a process ends. A description does not exclude itself.

use super::{Errno, Result};
use std::os::fd::{AsFd, AsRawFd};

/// A range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// One byte at this offset, which lies below 2^63.
    Byte(u64),
    /// The whole file.
    All,
}

/// What a lock attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempted {
    Locked,
    Busy,
}

/// `F_OFD_SETLK`, `F_WRLCK`. The descriptor must be writable.
pub(crate) fn try_lock(fd: impl AsFd, range: Range) -> Result<Attempted> {
    match call(fd, libc::F_OFD_SETLK, libc::F_WRLCK, range) {
        Ok(_) => Ok(Attempted::Locked),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(Attempted::Busy),
        Err(errno) => Err(errno),
    }
}

/// `F_OFD_SETLK`, `F_RDLCK`: any number of descriptions can have it at once. The descriptor must be readable.
pub(crate) fn try_share(fd: impl AsFd, range: Range) -> Result<()> {
    call(fd, libc::F_OFD_SETLK, libc::F_RDLCK, range).map(drop)
}

/// `F_OFD_SETLKW`, `F_WRLCK`: waits in the kernel's queue.
///
/// # Errors
///
/// `EINTR` when a signal handler ran in this thread.
#[cfg(not(session_lock_shuttle))]
pub(crate) fn lock(fd: impl AsFd, range: Range) -> Result<()> {
    call(fd, libc::F_OFD_SETLKW, libc::F_WRLCK, range).map(drop)
}

/// Under the checker, which would stand still with the thread that waits: is interrupted by each step of the others.
#[cfg(session_lock_shuttle)]
pub(crate) fn lock(fd: impl AsFd, range: Range) -> Result<()> {
    if try_lock(&fd, range)? == Attempted::Busy {
        super::sync::thread::yield_now();
        return Err(Errno::INTR);
    }
    Ok(())
}

/// `F_OFD_SETLK`, `F_UNLCK`. Works although a forked child shares the description.
pub(crate) fn unlock(fd: impl AsFd, range: Range) -> Result<()> {
    call(fd, libc::F_OFD_SETLK, libc::F_UNLCK, range).map(drop)
}

/// `F_OFD_GETLK`: whether a write lock would be refused. Works on a read-only descriptor, and disturbs nobody.
pub(crate) fn is_locked(fd: impl AsFd, range: Range) -> Result<bool> {
    Ok(conflict(fd, range)? != Conflict::None)
}

/// What would refuse a write lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    None,
    /// An OFD write lock, as every claim and every hold has it.
    Ofd,
    /// A read lock, or a traditional record lock, which belongs to a process.
    Other,
}

/// `F_OFD_GETLK`. The kernel gives -1 for the process of an OFD lock.
pub(crate) fn conflict(fd: impl AsFd, range: Range) -> Result<Conflict> {
    let found = call(fd, libc::F_OFD_GETLK, libc::F_WRLCK, range)?;
    Ok(match libc::c_int::from(found.l_type) {
        libc::F_UNLCK => Conflict::None,
        libc::F_WRLCK if found.l_pid == -1 => Conflict::Ofd,
        _ => Conflict::Other,
    })
}

fn call(fd: impl AsFd, command: libc::c_int, kind: libc::c_int, range: Range) -> Result<libc::flock> {
    let (start, len) = match range {
        Range::Byte(offset) => (offset, 1),
        Range::All => (0, 0),
    };
    let mut lock = libc::flock {
        l_type: libc::c_short::try_from(kind).map_err(|_| Errno::INVAL)?,
        l_whence: 0,
        l_start: libc::off_t::try_from(start).map_err(|_| Errno::INVAL)?,
        l_len: len,
        l_pid: 0,
    };
    super::sync::step();
    // SAFETY: the descriptor is open for the call, and `lock` is a valid flock that outlives it.
    let result = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), command, &raw mut lock) };
    super::file::checked(result).map(|_| lock)
}
