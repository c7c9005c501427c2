//! Termination signals: the claims go, the process ends as it would have, and other handlers run as before.

use super::{LONG, exit_code, pid, wait_until};
use crate::event::{Event, Sink};
use crate::sys::fork::in_child;
use crate::{LockDir, release_on_termination};
use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SIGNALS: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::QUIT, Signal::HUP];

/// Holds session `s` in a child process; `prepare` runs before the lock's handler is installed, and `hold` while it is held.
fn holder(dir: &Path, prepare: impl FnOnce(), hold: impl FnOnce() -> i32) -> u32 {
    let child = in_child(|| {
        // A SIGQUIT leaves no core file.
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        rustix::process::setrlimit(rustix::process::Resource::Core, none).ok();
        let Ok(locks) = LockDir::open(dir) else { return 1 };
        let Ok(_guard) = locks.lock("s").blocking() else { return 1 };
        prepare();
        if release_on_termination().is_err() || release_on_termination().is_err() {
            return 1;
        }
        fs::write(dir.join("ready"), "").ok();
        hold()
    });
    wait_until(|| dir.join("ready").exists());
    child
}

fn sleep() -> i32 {
    std::thread::sleep(LONG);
    0
}

fn ended_by(child: u32) -> Option<i32> {
    waitpid(Some(pid(child)), WaitOptions::empty())
        .expect("our child")
        .and_then(|(_, status)| status.terminating_signal())
}

#[test]
fn a_signal_removes_the_claims_and_ends_the_process_as_before() {
    for signal in SIGNALS {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let child = holder(dir.path(), || {}, sleep);
        kill_process(pid(child), signal).expect("our child");
        assert_eq!(ended_by(child), Some(signal.as_raw()));
        assert!(!dir.path().join("s.lock").exists(), "{signal:?} left the claim");
    }
}

/// The control: without asking for it the claim of a process that is ended by a signal stays, for the next to reclaim.
#[test]
fn without_asking_nothing_is_installed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let child = in_child(|| {
        let Ok(locks) = LockDir::open(path) else { return 1 };
        let Ok(_guard) = locks.lock("s").blocking() else { return 1 };
        fs::write(path.join("ready"), "").ok();
        sleep()
    });
    wait_until(|| path.join("ready").exists());
    kill_process(pid(child), Signal::TERM).expect("our child");
    assert_eq!(ended_by(child), Some(Signal::TERM.as_raw()));
    assert!(path.join("s.lock").exists());
}

/// A handler of the program, as signal-hook and tokio install it: before this crate's or after it.
#[test]
fn another_handler_runs_and_decides_what_becomes_of_the_process() {
    for first in [true, false] {
        for signal in SIGNALS {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let path = dir.path();
            let told = Arc::new(AtomicBool::new(false));
            let register = || drop(signal_hook::flag::register(signal.as_raw(), Arc::clone(&told)));
            let hold = || {
                if !first {
                    register();
                }
                fs::write(path.join("handled"), "").ok();
                wait_until(|| told.load(Ordering::Relaxed));
                wait_until(|| !path.join("s.lock").exists());
                // Long enough for a signal that is raised again to come.
                std::thread::sleep(Duration::from_millis(50));
                7
            };
            let child = holder(
                path,
                || {
                    if first {
                        register();
                    }
                },
                hold,
            );
            wait_until(|| path.join("handled").exists());
            kill_process(pid(child), signal).expect("our child");
            assert_eq!(exit_code(child), Some(7), "{signal:?}, installed first: {first}");
        }
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let child = holder(path, || crate::sys::signal::ignore(Signal::HUP.as_raw()), sleep);
    kill_process(pid(child), Signal::HUP).expect("our child");
    std::thread::sleep(Duration::from_millis(50));
    assert!(path.join("s.lock").exists(), "an ignored signal released the lock");
    kill_process(pid(child), Signal::TERM).expect("our child, which lives");
    assert_eq!(ended_by(child), Some(Signal::TERM.as_raw()));
    assert!(!path.join("s.lock").exists());
}

/// A forked child inherits the handler, and neither its thread nor its locks.
#[test]
fn a_forked_child_ends_by_the_signal_and_releases_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let hold = || {
        let child = in_child(sleep);
        kill_process(pid(child), Signal::TERM).ok();
        let ended = ended_by(child) == Some(Signal::TERM.as_raw());
        i32::from(!(ended && path.join("s.lock").exists()))
    };
    let child = holder(path, || {}, hold);
    assert_eq!(exit_code(child), Some(0), "the parent's lock went, or the child lived on");
}

/// The kernel keeps a signal without a handler from PID 1, so PID 1 goes on, and keeps what it holds.
#[test]
fn pid_1_without_a_handler_goes_on_and_keeps_its_locks() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let parent = in_child(|| {
        if crate::sys::fork::children_in_own_pid_namespace().is_err() {
            return 77;
        }
        let one = holder(path, || {}, sleep);
        kill_process(pid(one), Signal::TERM).ok();
        std::thread::sleep(Duration::from_millis(50));
        let kept = path.join("s.lock").exists();
        kill_process(pid(one), Signal::KILL).ok();
        i32::from(!(kept && ended_by(one) == Some(Signal::KILL.as_raw())))
    });
    match exit_code(parent) {
        Some(77) => eprintln!("skipped: pid_1_without_a_handler_goes_on_and_keeps_its_locks: needs root"),
        code => assert_eq!(code, Some(0)),
    }
}

/// A library asks once more, after the program has installed its own handler over this one. Each of the two would have the
/// other as the one before it, and a signal would call them in turn until the stack is full.
#[test]
fn asking_again_after_another_handler_was_installed_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let told = Arc::new(AtomicBool::new(false));
    let hold = || {
        drop(signal_hook::flag::register(Signal::TERM.as_raw(), Arc::clone(&told)));
        if release_on_termination().is_err() {
            return 1;
        }
        fs::write(path.join("again"), "").ok();
        wait_until(|| told.load(Ordering::Relaxed) && !path.join("s.lock").exists());
        7
    };
    let child = holder(path, || {}, hold);
    wait_until(|| path.join("again").exists());
    kill_process(pid(child), Signal::TERM).expect("our child");
    assert_eq!(exit_code(child), Some(7));
}

struct Panics;

impl Sink for Panics {
    fn record(&self, _session: &str, event: &Event) {
        assert!(!matches!(event, Event::Released { .. }), "a sink must not panic, and this one does");
    }
}

/// Otherwise nobody would be left who ends the process, and no signal but SIGKILL would.
#[test]
fn a_sink_that_panics_does_not_keep_the_process_from_ending() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let child = in_child(|| {
        let Ok(locks) = LockDir::options().sink(Arc::new(Panics)).open(path) else { return 1 };
        let Ok(_guard) = locks.lock("s").blocking() else { return 1 };
        if release_on_termination().is_err() {
            return 1;
        }
        fs::write(path.join("ready"), "").ok();
        sleep()
    });
    wait_until(|| path.join("ready").exists());
    kill_process(pid(child), Signal::TERM).expect("our child");
    assert_eq!(ended_by(child), Some(Signal::TERM.as_raw()));
    assert!(!path.join("s.lock").exists());
}
