//! A descriptor that a forked child neither closes twice nor keeps.

use super::fork::{self, Generation};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// An owned descriptor, registered for closing in forked children.
///
/// Dropped in a child it does nothing: the number was closed at the fork and may be somebody else's by now.
#[derive(Debug)]
pub(crate) struct Fd {
    fd: ManuallyDrop<OwnedFd>,
    generation: Generation,
}

impl Fd {
    /// Opens and registers a descriptor.
    pub(super) fn open(open: impl FnOnce() -> super::Result<OwnedFd>) -> super::Result<Self> {
        let generation = fork::generation()?;
        let fd = fork::opening(open, AsRawFd::as_raw_fd)?;
        Ok(Self { fd: ManuallyDrop::new(fd), generation })
    }
}

impl Fd {
    /// The same description under a number of at least this, if there is one.
    pub(crate) fn at_least(self, number: i32) -> Self {
        Self::open(|| rustix::io::fcntl_dupfd_cloexec(&self, number)).unwrap_or(self)
    }

    /// The same description under the lowest free number: fcntl(2), `F_DUPFD_CLOEXEC`.
    pub(crate) fn lowest(self) -> super::Result<Self> {
        Self::open(|| rustix::io::fcntl_dupfd_cloexec(&self, 0))
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        if self.generation.is_current() {
            // SAFETY: dropped once, here, and never touched after.
            fork::closing(self.fd.as_raw_fd(), || unsafe { ManuallyDrop::drop(&mut self.fd) });
        }
    }
}

/// Makes room in the table of descriptors for this number. When the table grows in a process of several threads, the kernel
/// waits until all processors have seen it, some 10 ms, and a `SIGKILL` in between frees its locks only after that. So it
/// is done before there is anything to hold. Best effort: without it the table grows later.
pub(crate) fn make_room(number: i32) {
    let any = Fd::open(|| rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC));
    drop(any.map(|fd| fd.at_least(number)));
}

/// How many more descriptors this process may open: getrlimit(2), `RLIMIT_NOFILE`, less those in `/proc/self/fd`.
pub(crate) fn left() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    // Reading it takes a descriptor as well.
    std::fs::read_dir("/proc/self/fd").map_or(0, |open| limit.saturating_sub(open.count()))
}
