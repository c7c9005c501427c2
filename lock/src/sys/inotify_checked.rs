//! What stands in for inotify(7) under the checker of [`super::sync`]: it notices nothing in particular, and says each
//! time that anything may have happened, as the kernel does whose queue was full.

use super::sync::thread;
use super::{Result, file};
use std::ffi::CString;
use std::os::fd::AsFd;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Inotify;

/// The low bits of an inode number.
pub(crate) type WatchId = i32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noticed {
    #[expect(dead_code, reason = "the watcher matches it")]
    Changed(WatchId),
    #[expect(dead_code, reason = "the watcher matches it")]
    Ended(WatchId),
    Overflow,
}

impl Inotify {
    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn new() -> Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "the real one has an instance")]
    pub(crate) fn watch(&self, dir: impl AsFd, name: &str) -> Result<WatchId> {
        let name = CString::new(name).map_err(|_| super::Errno::INVAL)?;
        let low = file::stat_at(dir, &name)?.inode.ino & 0x7fff_ffff;
        Ok(WatchId::try_from(low).unwrap_or_default())
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the real one has an instance and can fail")]
    pub(crate) fn unwatch(&self, _watch: WatchId) -> Result<()> {
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "the real one has a descriptor")]
    pub(crate) fn wake(&self) {
        thread::yield_now();
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the real one has an instance and can fail")]
    pub(crate) fn wait(&self, _timeout: Option<Duration>) -> Result<()> {
        thread::yield_now();
        Ok(())
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the real one has an instance and can fail")]
    pub(crate) fn drain(&self, mut each: impl FnMut(Noticed)) -> Result<()> {
        each(Noticed::Overflow);
        Ok(())
    }
}
