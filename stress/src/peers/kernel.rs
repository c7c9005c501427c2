//! The kernel's own lock (flock): on a file that nobody deletes, which is the baseline, and on the claim itself, which is not
//! enough.
//!
//! | | Release | What goes wrong |
//! |---|---|---|
//! | `unlock-before-unlink` | unlock, then unlink | a waiter locks the file and sees it at its path; then it is unlinked, and the next one makes a new file |
//! | `deletable-claim` | unlink, then unlock | nothing, until somebody deletes a held claim: the next one makes a new file |
//!
//! Both look whether the file that they have locked is still at its path, and begin anew if it is not.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::{self, Format, Payload};
use super::{Acquired, Asked, End, Held, Peer, session};

pub(super) struct Flock(PathBuf);

impl Flock {
    pub(super) fn new(sessions: &Path) -> Self {
        Self(sessions.to_owned())
    }

    fn open(&self, lock: u16) -> io::Result<File> {
        let path = self.0.join(format!("{}.flock", session(lock)));
        OpenOptions::new().write(true).create(true).truncate(false).open(path)
    }
}

impl Peer for Flock {
    /// Waits in the kernel, which knows no deadline here: the worker's own bound ends a wait without end.
    fn acquire(&self, asked: Asked) -> Acquired {
        let file = self.open(asked.lock)?;
        file.lock()?;
        Ok(Some(Box::new(file)))
    }

    fn try_acquire(&self, asked: Asked) -> Acquired {
        let file = self.open(asked.lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Held for File {
    fn token(&self) -> u64 {
        0
    }

    fn release(self: Box<Self>) -> anyhow::Result<End> {
        self.unlock()?;
        Ok(End::Released)
    }
}

/// What a release does first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    UnlockThenUnlink,
    UnlinkThenUnlock,
}

pub(super) struct ClaimLock {
    sessions: PathBuf,
    order: Order,
}

impl ClaimLock {
    pub(super) fn new(sessions: &Path, order: Order) -> Self {
        Self { sessions: sessions.to_owned(), order }
    }
}

impl Peer for ClaimLock {
    /// As [`Flock`], without a deadline.
    fn acquire(&self, asked: Asked) -> Acquired {
        let path = file::path(&self.sessions, asked.lock);
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            file.lock()?;
            if !is_at(&file, &path)? {
                continue;
            }
            file.set_len(0)?;
            io::Write::write_all(&mut &file, &Payload::own(Format::PidAndStart).to_bytes())?;
            return Ok(Some(Box::new(LockedClaim { file, path, order: self.order })));
        }
    }
}

/// Whether this path still names this file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match path.metadata() {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

struct LockedClaim {
    file: File,
    path: PathBuf,
    order: Order,
}

impl Held for LockedClaim {
    fn token(&self) -> u64 {
        0
    }

    fn release(self: Box<Self>) -> anyhow::Result<End> {
        if self.order == Order::UnlockThenUnlink {
            self.file.unlock()?;
        }
        file::remove(&self.path)?;
        Ok(End::Released)
    }
}
