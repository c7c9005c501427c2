//! Locks that take a file which names themselves, and which they do not remember to hold, for an orphan of their own, and
//! delete it (seed threads 001 and 003).
//!
//! | | Is it mine? | Remembered | What goes wrong |
//! |---|---|---|---|
//! | `orphan-self-pid` | by pid | as long as the file is there | in another PID namespace somebody alive has the same pid |
//! | `pid-start-time` | by pid and start time | as long as the file is there | and was started in the same tick of 10 ms, as containers started together are |
//! | `early-map-delete` | by pid | until shortly before the file goes | another task deletes the file and makes one; the late unlink deletes that |
//! | `map-half-fix` | by pid | from shortly after the file is there until it has gone | another task deletes the file before it is remembered; or reads the last owner's, and deletes the next one's |
//!
//! Where the originals await (the payload's write, the file's close) another task may run; here threads do that by
//! themselves. The originals also take over by dead pids: left out, because that goes wrong in another way.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::file::{self, Format, Found, HeldFile, Payload};
use super::{Acquired, Asked, End, Held, Peer};

/// What tells that a file is one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Pid,
    PidAndStart,
}

/// When the process remembers that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// From before the file says who owns it, until it is gone.
    Complete,
    /// Until shortly before it is gone.
    ForgetsEarly,
    /// From shortly after it says who owns it.
    RemembersLate,
}

pub(super) struct OrphanLock {
    sessions: PathBuf,
    identity: Identity,
    memory: Memory,
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_micros(100);

/// The files that this process holds.
fn remembered() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OrphanLock {
    pub(super) fn new(sessions: &Path, identity: Identity, memory: Memory) -> Self {
        Self { sessions: sessions.to_owned(), identity, memory }
    }

    fn attempt(&self, path: &Path) -> io::Result<Option<std::fs::File>> {
        loop {
            if let Some(file) = file::create(path)? {
                if self.memory != Memory::RemembersLate {
                    remembered().insert(path.to_owned());
                }
                file::write(&file, path, self.format())?;
                remembered().insert(path.to_owned());
                return Ok(Some(file));
            }
            match file::read(path)? {
                Found::Nothing => {}
                Found::Payload(payload) if self.is_mine(&payload) && !remembered().contains(path) => {
                    file::remove(path)?;
                }
                Found::Payload(_) | Found::Unreadable => return Ok(None),
            }
        }
    }

    fn format(&self) -> Format {
        match self.identity {
            Identity::Pid => Format::Pid,
            Identity::PidAndStart => Format::PidAndStart,
        }
    }

    fn is_mine(&self, payload: &Payload) -> bool {
        let started = match self.identity {
            Identity::Pid => None,
            Identity::PidAndStart => file::own_start_time(),
        };
        payload.pid == file::own_pid() && payload.start_time == started
    }
}

impl Peer for OrphanLock {
    fn acquire(&self, asked: Asked) -> Acquired {
        let path = file::path(&self.sessions, asked.lock);
        let held = file::poll(asked.timeout, PAUSE, || self.attempt(&path))?;
        let memory = self.memory;
        Ok(held.map(|file| Box::new(Remembered { held: HeldFile { file, path }, memory }) as Box<dyn Held>))
    }
}

struct Remembered {
    held: HeldFile,
    memory: Memory,
}

impl Held for Remembered {
    fn token(&self) -> u64 {
        0
    }

    fn release(self: Box<Self>) -> anyhow::Result<End> {
        let path = self.held.path.clone();
        if self.memory == Memory::ForgetsEarly {
            remembered().remove(&path);
            return Box::new(self.held).release();
        }
        let end = Box::new(self.held).release();
        remembered().remove(&path);
        end
    }
}
