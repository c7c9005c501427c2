//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unreachable_pub, reason = "a module of several test binaries")]

pub mod objects;
pub mod process;
pub mod sandbox;
pub mod snapshot;
pub mod spans;

use nix::fcntl::{FcntlArg, fcntl};
use session_lock::event::{Event, Sink};
use session_lock::{Guard, LockDir, Loss, ReleaseError};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A deadline that a correct lock never comes near.
pub const LONG: Duration = Duration::from_mins(1);
/// A wait that is expected to be in vain.
pub const SHORT: Duration = Duration::from_millis(50);
/// A grace that keeps tests quick.
pub const GRACE: Duration = Duration::from_millis(200);

/// A fresh directory and a handle on it.
pub fn lock_dir() -> (TempDir, LockDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let locks = LockDir::options().grace(GRACE).open(dir.path()).expect("it can hold locks");
    (dir, locks)
}

/// Keeps the events.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Sink for Recorder {
    fn record(&self, _session: &str, event: &Event) {
        self.0.lock().expect("no test panics in a sink").push(event.clone());
    }
}

impl Recorder {
    /// What happened until now.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().expect("no test panics in a sink").clone()
    }

    /// A recorder, and a handle on `path` that records into it.
    pub fn on(path: &Path) -> (Arc<Self>, LockDir) {
        let recorder = Arc::new(Self::default());
        let locks = LockDir::options().grace(GRACE).sink(recorder.clone()).open(path).expect("it can hold locks");
        (recorder, locks)
    }
}

/// Releases a hold whose claim somebody has deleted: it was put back, or the release says so.
pub fn release_deleted(guard: Guard) {
    match guard.release() {
        Ok(()) | Err(ReleaseError::Lost { cause: Loss::Deleted, .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Waits until something is so; fails the test if it never is.
pub fn wait_until(mut so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < end, "it never came to be");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The only arbiter of a directory in which one session was locked.
pub fn the_arbiter(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir.join(".session-lock")).expect("readable");
    let mut paths = entries.map(|entry| entry.expect("readable").path());
    paths.find(|path| path.to_string_lossy().contains("/arbiter-")).expect("one")
}

fn whole_file(kind: i32) -> nix::libc::flock {
    let kind = i16::try_from(kind).expect("a lock type");
    nix::libc::flock { l_type: kind, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 }
}

/// A read lock on the whole file through a read-only descriptor: what anybody can take who may read.
pub fn read_lock(path: &Path) -> File {
    let file = File::open(path).expect("readable");
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(nix::libc::F_RDLCK))).expect("nobody has it locked");
    file
}

/// Whether a write lock can be had, which is given back at once.
pub fn try_write_lock(file: &File) -> bool {
    let locked = fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(nix::libc::F_WRLCK))).is_ok();
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(nix::libc::F_UNLCK))).expect("unlocked");
    locked
}
