//! The baseline: the kernel's own lock on a file that nobody deletes.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Held, Peer, session};

pub(super) struct Flock(PathBuf);

impl Flock {
    pub(super) fn new(sessions: &Path) -> Self {
        Self(sessions.to_owned())
    }
}

impl Peer for Flock {
    /// Waits in the kernel, which knows no deadline here: the worker's own bound ends a wait without end.
    fn acquire(&self, lock: u16, _timeout: Duration) -> anyhow::Result<Option<Box<dyn Held>>> {
        let path = self.0.join(format!("{}.flock", session(lock)));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        Ok(Some(Box::new(file)))
    }
}

impl Held for File {
    fn token(&self) -> u64 {
        0
    }

    fn release(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.unlock()?)
    }
}
