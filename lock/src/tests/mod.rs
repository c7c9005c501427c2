//! Tests that need what the public interface does not give: a second process's view of a directory, and fork.

#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod crashes;
mod forks;
mod inspections;
mod leftovers;
mod looks;
mod namespaces;
mod scale;
mod seeds;
mod signals;
mod spares;
mod strangers;
mod sweeps;
mod tenures;
mod turns;

use crate::dir::{DEFAULT_TENURE, LockDir};
use crate::directory::Directory;
use crate::name::Session;
use crate::process::Process;
use crate::request::Counters;
use crate::sys;
use crate::sys::fork::in_child;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A deadline that a correct lock never comes near.
const LONG: Duration = Duration::from_mins(1);
/// A wait that is expected to be in vain.
const SHORT: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_millis(200);

/// The directory as another process has it open: its own descriptors and queues, so that only the kernel stands between
/// the two.
fn stranger(path: &Path) -> LockDir {
    let process = Process::current().expect("this process");
    let fd = sys::file::open_directory(path).expect("open");
    let stat = sys::file::stat(&fd).expect("stat");
    let directory = Arc::new(Directory::new(fd, path, stat, process));
    LockDir { directory, grace: GRACE, tenure: DEFAULT_TENURE, sink: None, counters: Counters::Kept }
}

/// A fresh directory and two processes' views of it.
fn strangers() -> (tempfile::TempDir, LockDir, LockDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (one, other) = (stranger(dir.path()), stranger(dir.path()));
    (dir, one, other)
}

/// The exit code of a forked child, once it has ended; `None` if a signal ended it.
fn exit_code(child: u32) -> Option<i32> {
    waitpid(Some(pid(child)), WaitOptions::empty()).expect("our child").and_then(|(_, status)| status.exit_status())
}

/// `SIGKILL`, and waits until it is gone.
fn kill(child: u32) {
    kill_process(pid(child), Signal::KILL).expect("our child");
    assert_eq!(exit_code(child), None, "it had ended before");
}

/// A pid that no process had when it was first asked for.
fn dead_pid() -> u32 {
    static DEAD: OnceLock<u32> = OnceLock::new();
    *DEAD.get_or_init(|| {
        let child = in_child(|| 0);
        assert_eq!(exit_code(child), Some(0));
        child
    })
}

fn pid(child: u32) -> Pid {
    Pid::from_raw(i32::try_from(child).expect("a pid")).expect("not 0")
}

/// Whether an acquire of session `s` waits in this process's queue.
fn somebody_waits(locks: &LockDir) -> bool {
    locks.directory.queues.has_waiters(Session::new("s").expect("valid").range)
}

fn wait_until(mut so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < end, "it never came to be");
        std::thread::sleep(Duration::from_millis(1));
    }
}
