//! This crate, as the cases see it.

use super::Subject;
use super::support::process::{OtherProcess, example};
use session_lock::{Guard, LockDir, LockError, SweepOutcome, release_all};
use std::path::{Path, PathBuf};
use std::time::Duration;

const GRACE: Duration = Duration::from_millis(50);

pub struct Ours {
    dir: PathBuf,
    locks: LockDir,
    guards: Vec<Guard>,
}

impl Ours {
    pub fn open(dir: &Path) -> Self {
        let locks = LockDir::options().grace(GRACE).open(dir).expect("it can hold locks");
        Self { dir: dir.to_owned(), locks, guards: Vec::new() }
    }
}

impl Subject for Ours {
    fn acquire(&mut self) -> Result<bool, String> {
        match self.locks.lock("s").timeout(GRACE * 4).blocking() {
            Ok(guard) => {
                self.guards.push(guard);
                Ok(true)
            }
            Err(LockError::Timeout { .. }) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    fn acquire_again(&mut self) -> bool {
        self.acquire() == Ok(true)
    }

    fn enter(&mut self) -> bool {
        let entered = self.guards.last().and_then(|guard| guard.handle().reenter().ok());
        entered.map(|guard| self.guards.push(guard)).is_some()
    }

    fn release(&mut self) {
        // A guard is released once: there is none for a second time.
        drop(self.guards.pop());
    }

    fn release_all(&mut self) {
        assert!(release_all().failed.is_empty());
    }

    fn sweep(&mut self, remove: bool) -> Vec<String> {
        let sweep = if remove { self.locks.sweep() } else { self.locks.sweep().dry_run() };
        let swept = sweep.blocking().expect("swept").claims.into_iter();
        swept.filter(|claim| matches!(claim.outcome, SweepOutcome::Removed { .. })).map(|claim| claim.name).collect()
    }

    fn dies(&mut self) {
        OtherProcess::hold(&self.dir, "s").kill();
    }

    fn is_terminated(&mut self) {
        OtherProcess::hold(&self.dir, "s").terminate();
    }

    fn is_terminated_after_asking(&mut self) {
        let server = OtherProcess::run(example("restart"), &self.dir, "s");
        server.wait_for("iteration 1");
        server.terminate();
    }
}
