//! The lock under test. The only peer that imports it.

use std::path::Path;
use std::time::Duration;

use session_lock::{Guard, LockDir, LockError};

use super::{Held, Peer, session};

pub(super) struct SessionLock {
    dir: LockDir,
    label: String,
}

impl SessionLock {
    pub(super) fn open(sessions: &Path, worker: u16) -> anyhow::Result<Self> {
        Ok(Self { dir: LockDir::open(sessions)?, label: format!("w{worker}") })
    }
}

impl Peer for SessionLock {
    fn acquire(&self, lock: u16, timeout: Duration) -> anyhow::Result<Option<Box<dyn Held>>> {
        match self.dir.lock(&session(lock)).timeout(timeout).label(&self.label).blocking() {
            Ok(guard) => Ok(Some(Box::new(guard))),
            Err(LockError::Timeout { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Held for Guard {
    fn token(&self) -> u64 {
        Guard::token(self)
    }

    /// Nobody here takes claims away, so a lost one is a failure.
    fn release(self: Box<Self>) -> anyhow::Result<()> {
        Ok(Guard::release(*self)?)
    }
}
