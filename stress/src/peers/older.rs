//! The older lock, as a peer that shares a directory with ours: the seeds' file, kept open for the whole hold, closed and then
//! unlinked. Without the seeds' stealing: it takes nothing over, also not what a dead owner left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{self, Format, HeldFile};
use super::{Acquired, Asked, Held, Peer};

pub(super) struct OlderLock {
    sessions: PathBuf,
    format: Format,
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(1);

impl OlderLock {
    pub(super) fn new(sessions: &Path, format: Format) -> Self {
        Self { sessions: sessions.to_owned(), format }
    }
}

impl Peer for OlderLock {
    fn acquire(&self, asked: Asked) -> Acquired {
        let path = file::path(&self.sessions, asked.lock);
        let held = file::poll(asked.timeout, PAUSE, || {
            let Some(file) = file::create(&path)? else { return Ok(None) };
            file::write(&file, &path, self.format)?;
            Ok(Some(file))
        })?;
        Ok(held.map(|file| Box::new(HeldFile { file, path }) as Box<dyn Held>))
    }
}
