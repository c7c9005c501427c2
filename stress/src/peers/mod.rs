//! The locks that a worker can use: the one under test, a plain kernel lock, and two that are known to be broken.

use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;

use crate::oracle::Tokens;

mod kernel;
mod seed;
mod session;

/// A lock by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Implementation {
    /// The lock of this project
    SessionLock,
    /// A bare kernel lock (flock) on a permanent file: known good, tells nobody who holds, ignores --timeout
    Flock,
    /// Broken: deletes a dead owner's file, then creates its own
    DeleteCreate,
    /// Broken: renames its own file over a dead owner's
    RenameOver,
}

/// A directory of session locks.
pub(crate) trait Peer {
    /// Waits for the lock with this number. `None`: the time was over first.
    fn acquire(&self, lock: u16, timeout: Duration) -> anyhow::Result<Option<Box<dyn Held>>>;
}

/// A lock that is held.
pub(crate) trait Held {
    /// The fencing token, 0 where there is none.
    fn token(&self) -> u64;
    fn release(self: Box<Self>) -> anyhow::Result<()>;
}

impl Implementation {
    /// Whether it gives fencing tokens.
    pub(crate) const fn tokens(self) -> Tokens {
        match self {
            Self::SessionLock => Tokens::Grow,
            Self::Flock | Self::DeleteCreate | Self::RenameOver => Tokens::Absent,
        }
    }

    /// Opens the lock directory with this lock.
    pub(crate) fn open(self, sessions: &Path, worker: u16) -> anyhow::Result<Box<dyn Peer>> {
        Ok(match self {
            Self::SessionLock => Box::new(session::SessionLock::open(sessions, worker)?),
            Self::Flock => Box::new(kernel::Flock::new(sessions)),
            Self::DeleteCreate => Box::new(seed::SeedLock::new(sessions, seed::Takeover::DeleteCreate)),
            Self::RenameOver => Box::new(seed::SeedLock::new(sessions, seed::Takeover::RenameOver)),
        })
    }
}

/// The name of the session that a lock protects.
fn session(lock: u16) -> String {
    format!("{lock}.jsonl")
}
