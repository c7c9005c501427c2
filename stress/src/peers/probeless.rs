//! The protocol of this project in small, without its probe: an arbiter that the kernel locks, a claim beside the session, and
//! a foreign claim that is taken over when it has been in the way for the grace (seed thread 004: judged by time).
//!
//! Its holders exclude each other. What goes wrong: an older peer that holds longer than the grace is robbed, though its
//! file is open.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file::{self, Format, Found, Payload};
use super::{Acquired, Asked, End, Held, Peer, session};

pub(super) struct ProbelessLock {
    sessions: PathBuf,
    grace: Duration,
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_micros(500);

impl ProbelessLock {
    pub(super) fn new(sessions: &Path, grace: Duration) -> Self {
        Self { sessions: sessions.to_owned(), grace }
    }
}

impl Peer for ProbelessLock {
    fn acquire(&self, asked: Asked) -> Acquired {
        let deadline = Instant::now() + asked.timeout;
        let arbiter = self.sessions.join(format!("{}.arbiter", session(asked.lock)));
        let arbiter = OpenOptions::new().write(true).create(true).truncate(false).open(arbiter)?;
        let locked = file::poll(asked.timeout, PAUSE, || match arbiter.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        })?;
        if locked.is_none() {
            return Ok(None);
        }
        let path = file::path(&self.sessions, asked.lock);
        let mut foreign = None;
        let left = deadline.saturating_duration_since(Instant::now());
        let claim = file::poll(left, PAUSE, || self.claim(&path, &mut foreign))?;
        Ok(claim.map(|claim| Box::new(Backed { arbiter, claim, path }) as Box<dyn Held>))
    }
}

impl ProbelessLock {
    /// Makes the claim one's own, if it is free, or its owner's arbiter was, or it has been in the way for long enough.
    fn claim(&self, path: &Path, foreign: &mut Option<(u64, Instant)>) -> io::Result<Option<File>> {
        if let Some(file) = file::create(path)? {
            return written(file).map(Some);
        }
        let file = match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let backed = matches!(file::read(path)?, Found::Payload(Payload { arbiter: Some(true), .. }));
        let inode = file.metadata()?.ino();
        let since = match *foreign {
            Some((known, since)) if known == inode => since,
            _ => foreign.insert((inode, Instant::now())).1,
        };
        if backed || since.elapsed() > self.grace {
            return written(file).map(Some);
        }
        Ok(None)
    }
}

fn written(file: File) -> io::Result<File> {
    file.set_len(0)?;
    let payload = Payload { arbiter: Some(true), ..Payload::own(Format::Pid) };
    (&file).write_all(&payload.to_bytes())?;
    Ok(file)
}

/// A claim and its arbiter, which is unlocked last.
struct Backed {
    arbiter: File,
    claim: File,
    path: PathBuf,
}

impl Held for Backed {
    fn token(&self) -> u64 {
        0
    }

    fn release(self: Box<Self>) -> anyhow::Result<End> {
        file::remove(&self.path)?;
        drop(self.claim);
        self.arbiter.unlock()?;
        Ok(End::Released)
    }
}
