//! SIGKILL: the kernel frees a dead owner's lock, and the next one says why it could be had.

use super::{LONG, exit_code, kill, somebody_waits, stranger, wait_until};
use crate::event::{Event, Sink};
use crate::sys::fork::in_child;
use crate::verdict::Reason;
use crate::{LockDir, TryAcquire};
use std::sync::{Arc, Mutex};

#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Sink for Recorder {
    fn record(&self, _session: &str, event: &Event) {
        self.0.lock().expect("no panic in a sink").push(event.clone());
    }
}

#[test]
fn a_killed_owners_lock_is_free_at_once_and_the_waiter_says_why() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let owner = in_child(|| {
        let Ok(locks) = LockDir::open(path) else { return 1 };
        let Ok(_guard) = locks.lock("s").label("the owner").blocking() else { return 1 };
        std::thread::sleep(LONG);
        0
    });
    wait_until(|| path.join("s.lock").exists());
    let recorder = Arc::new(Recorder::default());
    let locks = LockDir { sink: Some(recorder.clone()), ..stranger(path) };
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| locks.lock("s").timeout(LONG).blocking().expect("free").token());
        wait_until(|| somebody_waits(&locks));
        kill(owner);
        waiter.join().expect("no panic");
    });
    let events = recorder.0.lock().expect("no panic in a sink");
    let label = events.iter().find_map(|event| match event {
        Event::Reclaimed { reason: Reason::OwnerExited, from: Some(holder) } => holder.payload.as_ref()?.label.clone(),
        _ => None,
    });
    assert_eq!(label.as_deref(), Some("the owner"), "{events:?}");
}

/// A write beyond `RLIMIT_FSIZE` raises `SIGXFSZ`, which kills; here it is an error.
#[test]
fn a_file_size_limit_is_an_error_and_not_the_end() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for limit in [0, 70, 4000] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path();
        let child = in_child(|| {
            setrlimit(Resource::Fsize, Rlimit { current: Some(limit), maximum: Some(limit) }).ok();
            let Ok(locks) = LockDir::open(path) else { return 1 };
            match locks.try_lock("s") {
                Err(crate::LockError::System(error)) => i32::from(error.cause.raw_os_error() != Some(libc::EFBIG)),
                _ => 2,
            }
        });
        assert_eq!(exit_code(child), Some(0), "limit {limit}; no code: SIGXFSZ");
        assert!(!path.join("s.lock").exists());
    }
}
