//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its part")]

use session_lock::LockDir;
use session_lock::event::{Event, Sink};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A fresh directory and a handle on it.
pub fn lock_dir() -> (TempDir, LockDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let locks = LockDir::open(dir.path()).expect("it can hold locks");
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
    pub fn on(path: &std::path::Path) -> (Arc<Self>, LockDir) {
        let recorder = Arc::new(Self::default());
        let locks = LockDir::options().sink(recorder.clone()).open(path).expect("it can hold locks");
        (recorder, locks)
    }
}
