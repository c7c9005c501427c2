//! What all victims of a walk have in common, and how one is started.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use super::scenario::Scenario;
use crate::peers::Implementation;

/// How long a victim's acquire may wait within its section.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What all victims of a walk have in common.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) lock: Implementation,
    pub(super) grace: Duration,
    /// How long the next acquire may take, the grace included.
    pub(super) within: Duration,
    /// Where the runs have their directories.
    pub(super) parent: PathBuf,
    /// Taken for writing to start a process.
    pub(super) spawning: RwLock<()>,
}

impl Setting {
    /// Starts a process.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let _alone = self.spawning.write().unwrap_or_else(PoisonError::into_inner);
        command.spawn()
    }

    /// As long as this is kept, no process is started: until its exec a new one has all descriptors of this process, and with
    /// them the locks of a judge that has just closed them.
    pub(super) fn without_spawning(&self) -> RwLockReadGuard<'_, ()> {
        self.spawning.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command that starts a victim.
    pub(super) fn victim(&self, scenario: Scenario, sessions: &Path) -> Command {
        let mut command = self.holder(scenario.holds_before(), sessions);
        command.args(["--scenario", &scenario.name()]);
        command
    }

    /// The command that starts a process that holds the lock, after it has held it so many times.
    pub(super) fn holder(&self, holds: u32, sessions: &Path) -> Command {
        let mut command = Command::new("/proc/self/exe");
        let time = |time| humantime::format_duration(time).to_string();
        command.args([
            "victim",
            "--lock",
            &self.lock.name(),
            "--grace",
            &time(self.grace),
            "--timeout",
            &time(TIMEOUT),
        ]);
        command.args(["--bound", &time(self.within)]).arg("--sessions").arg(sessions);
        command.args(["--holds", &holds.to_string()]);
        // A process group of its own: ^C is for whoever walks.
        command.process_group(0).env_remove("RUST_BACKTRACE").stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }
}
