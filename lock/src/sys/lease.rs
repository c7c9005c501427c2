//! The writer probe: a read lease, fcntl(2) "Leases", Linux 2.4.
//!
//! `F_SETLEASE` with `F_RDLCK` on a read-only descriptor is granted only if nobody in the kernel has the file open for
//! writing, in whatever PID namespace: the kernel counts writers at the inode. Readers do not count, and an `O_PATH`
//! descriptor neither.
//!
//! A lease break sends a signal, by default `SIGIO`, which kills. It is `SIGURG` here, which is ignored by default, and
//! the lease lives for about a microsecond.

use super::file::checked;
use super::{Errno, Result};
use std::os::fd::{AsFd, AsRawFd};

/// From the kernel's asm-generic/fcntl.h; the libc crate does not have it.
const F_SETSIG: libc::c_int = 10;

/// Who has a file open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    None,
    Some,
}

/// Asks whether anybody has the file open for writing. The descriptor must be read-only.
///
/// # Errors
///
/// `EACCES` for another user's file without `CAP_LEASE`, `EINVAL` where the file system has no leases.
pub(crate) fn writers(fd: impl AsFd) -> Result<Writers> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for the call; the argument is a signal number.
    checked(unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) })?;
    // SAFETY: the descriptor is open for the call; the argument is a lock type.
    match checked(unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) }) {
        Ok(_) => {}
        Err(Errno::AGAIN) => return Ok(Writers::Some),
        Err(errno) => return Err(errno),
    }
    // SAFETY: as above. Closing the descriptor would drop the lease as well.
    checked(unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) })?;
    Ok(Writers::None)
}
