//! A lock that is known to be broken, kept as a control for `stress crashpoints`: what goes wrong shows only when a system
//! call fails or a kill comes at one.
//!
//! It creates `<session>.lock` with `O_EXCL` and writes its pid into it. An error of either is ignored, so that two hold;
//! and the file of an owner that was killed is never taken over, so that nobody does.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Acquired, Asked, End, Held, Peer, session};

const PAUSE: Duration = Duration::from_micros(200);

pub(super) struct Careless(PathBuf);

impl Careless {
    pub(super) fn new(sessions: &Path) -> Self {
        Self(sessions.to_owned())
    }
}

impl Peer for Careless {
    fn acquire(&self, asked: Asked) -> Acquired {
        let path = self.0.join(format!("{}.lock", session(asked.lock)));
        let deadline = Instant::now() + asked.timeout;
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                opened => {
                    opened.and_then(|mut file| writeln!(file, "{}", std::process::id())).ok();
                    return Ok(Some(Box::new(Claimed(path))));
                }
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }
}

struct Claimed(PathBuf);

impl Held for Claimed {
    fn token(&self) -> u64 {
        0
    }

    fn release(self: Box<Self>) -> anyhow::Result<End> {
        fs::remove_file(&self.0)?;
        Ok(End::Released)
    }
}
