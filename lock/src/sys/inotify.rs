//! inotify(7): one instance per process, because a user has 128 of them.

use super::{Errno, Fd, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Watches inodes, and can be woken.
#[derive(Debug)]
pub(crate) struct Inotify {
    /// `None` when the user has no instance left (`fs.inotify.max_user_instances`, 128): then nothing can be watched.
    instance: Option<Fd>,
    wake: Fd,
}

/// Names a watch within its instance.
pub(crate) type WatchId = i32;

/// What an instance has noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noticed {
    /// Something happened to the watched inode.
    Changed(WatchId),
    /// The watch has ended: its inode is gone.
    Ended(WatchId),
    /// The kernel's queue was full, so anything may have happened.
    Overflow,
}

impl Inotify {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            instance: Fd::open(|| rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)).ok(),
            wake: Fd::open(|| rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))?,
        })
    }

    /// Watches the file named `name` in `dir` for a writer's close, for deletion and for renaming.
    pub(crate) fn watch(&self, dir: impl AsFd, name: &str) -> Result<WatchId> {
        let path = format!("/proc/self/fd/{}/{name}", dir.as_fd().as_raw_fd());
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::DONT_FOLLOW;
        let instance = self.instance.as_ref().ok_or(Errno::MFILE)?;
        rustix::fs::inotify::add_watch(instance, path, flags)
    }

    /// Ends a watch. One that has ended by itself is no error.
    pub(crate) fn unwatch(&self, watch: WatchId) -> Result<()> {
        let Some(instance) = &self.instance else { return Ok(()) };
        match rustix::fs::inotify::remove_watch(instance, watch) {
            Err(Errno::INVAL) => Ok(()),
            result => result,
        }
    }

    /// Ends the current or the next [`Inotify::wait`].
    pub(crate) fn wake(&self) {
        // EAGAIN would mean that the counter is full: then it is awake already.
        rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).ok();
    }

    /// Waits until something was noticed, somebody woke it, or `timeout` is over (`None`: without end).
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let watched = self.instance.as_ref().unwrap_or(&self.wake);
        let mut fds = [PollFd::new(&self.wake, PollFlags::IN), PollFd::new(watched, PollFlags::IN)];
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        match rustix::io::read(&self.wake, &mut [0_u8; 8]) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Hands over what was noticed until now.
    pub(crate) fn drain(&self, mut each: impl FnMut(Noticed)) -> Result<()> {
        let Some(instance) = &self.instance else { return Ok(()) };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(instance, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => each(match event.events() {
                    flags if flags.contains(ReadFlags::QUEUE_OVERFLOW) => Noticed::Overflow,
                    flags if flags.contains(ReadFlags::IGNORED) => Noticed::Ended(event.wd()),
                    _ => Noticed::Changed(event.wd()),
                }),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}
