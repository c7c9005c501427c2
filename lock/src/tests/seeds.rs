//! The races of the seed threads, told as stories. Each one fails on the broken lock of its thread, which is written
//! down here step by step, and holds on this one.
//!
//! The threads are of the openclaw project: 000 is its #10283, 001 #57019, 002 #15628, 003 #32081.

use super::{GRACE, LONG, SHORT, dead_pid, strangers};
use crate::sys::fork::write_between_forks;
use crate::{LockError, TryAcquire};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The older lock's file, as its processes see it. `pid` is what the process believes its pid to be.
struct Older {
    path: PathBuf,
    pid: u32,
    /// The file that this process created, kept open as the older lock does.
    held: Option<fs::File>,
}

impl Older {
    fn new(dir: &Path, pid: u32) -> Self {
        Self { path: dir.join("s.lock"), pid, held: None }
    }

    /// `open(path, "wx")`. True: this process now believes that it holds.
    fn create(&mut self) -> bool {
        self.held = fs::File::create_new(&self.path).ok();
        if self.held.is_some() {
            write_between_forks(&self.path, format!("{{\"pid\":{}}}", self.pid));
        }
        self.held.is_some()
    }

    fn owner(&self) -> Option<u32> {
        let claim: serde_json::Value = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        claim["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }
}

/// Leaves the claim of a process that died.
fn leave_stale_claim(dir: &Path) {
    write_between_forks(dir.join("s.lock"), format!("{{\"pid\":{}}}", dead_pid()));
}

/// Seed 000: two processes find the same stale claim. Each deletes it and creates its own; the second deletes what the
/// first has just created.
#[test]
fn seed_000_stale_takeover_by_delete_and_create() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    leave_stale_claim(dir.path());
    let (mut a, mut b) = (Older::new(dir.path(), 1001), Older::new(dir.path(), 1002));
    assert_eq!(a.owner(), b.owner(), "both judge the same claim, and find it stale");
    fs::remove_file(&a.path).expect("A deletes the stale claim");
    assert!(a.create(), "A holds");
    fs::remove_file(&b.path).expect("B deletes what it judged to be stale, and it is A's");
    assert!(b.create(), "B holds as well: this is the bug");

    let (dir, a, b) = strangers();
    leave_stale_claim(dir.path());
    two_takers_and_one_holder(&a, &b);
}

/// Seed 000, the proposed fix: `rename` over the stale claim always succeeds, so the last one to do it wins, and the
/// first one believes that it has won.
#[test]
fn seed_000_stale_takeover_by_rename() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    leave_stale_claim(dir.path());
    let mut holders = 0;
    for pid in [1001, 1002] {
        let temporary = dir.path().join(format!("s.lock.{pid}"));
        fs::write(&temporary, format!("{{\"pid\":{pid}}}")).expect("written");
        holders += u32::from(fs::rename(&temporary, dir.path().join("s.lock")).is_ok());
    }
    assert_eq!(holders, 2, "both renames succeed: this is the bug");

    let (dir, a, b) = strangers();
    leave_stale_claim(dir.path());
    two_takers_and_one_holder(&a, &b);
}

fn two_takers_and_one_holder(a: &crate::LockDir, b: &crate::LockDir) {
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| a.lock("s").timeout(GRACE * 5).blocking());
        let other = scope.spawn(|| b.lock("s").timeout(GRACE * 5).blocking());
        (one.join().expect("no panic"), other.join().expect("no panic"))
    });
    match (&one, &other) {
        (Ok(_), Err(LockError::Timeout { .. })) | (Err(LockError::Timeout { .. }), Ok(_)) => {}
        both => panic!("one holds and the other waits, but: {both:?}"),
    }
}

/// Seed 001: the release forgets its hold first and deletes the file later. An acquire of the same process, in between,
/// takes the old file for an orphan and makes a new one; the release then deletes the new one.
#[test]
fn seed_001_a_release_deletes_its_successors_claim() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut first = Older::new(dir.path(), std::process::id());
    assert!(first.create());
    let mut held_locks = vec!["s"];
    held_locks.clear(); // release(), step 1: the entry goes
    let mut second = Older::new(dir.path(), std::process::id());
    let orphan = second.owner() == Some(second.pid) && held_locks.is_empty();
    assert!(orphan, "the acquire judges the file to be an orphan of its own pid");
    fs::remove_file(&second.path).expect("and reclaims it");
    assert!(second.create());
    fs::remove_file(&first.path).expect("release(), step 2: the file goes");
    let mut third = Older::new(dir.path(), 1003);
    assert!(third.create() && second.held.is_some(), "two holders: this is the bug");

    // Here releases and acquires of one process follow each other as fast as they can, and the claim of whoever holds
    // is always its own.
    let (dir, locks, _) = strangers();
    let claim = dir.path().join("s.lock");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let guard = locks.lock("s").timeout(LONG).blocking().expect("its turn comes");
                    let text = fs::read(&claim).expect("a release deleted its successor's claim");
                    let payload: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                    assert_eq!(payload["token"], guard.token());
                    guard.release().expect("released");
                }
            });
        }
    });
}

/// Seed 002: an acquire that comes during a release finds no entry in memory and a file on disk, and polls the file until
/// its time is over, if the release is slow.
#[test]
fn seed_002_an_acquire_during_a_release() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut releasing = Older::new(dir.path(), std::process::id());
    assert!(releasing.create());
    let mut polls = 0;
    let end = Instant::now() + SHORT; // the release is held up for longer than the acquire's timeout
    while Instant::now() < end && !Older::new(dir.path(), 1002).create() {
        polls += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(polls > 1 && Older::new(dir.path(), 1002).held.is_none(), "it polls in vain: this is the bug");

    // Here the acquire is in the queue before the release begins, and gets the turn from it.
    let (_dir, locks, _) = strangers();
    for _ in 0..100 {
        let guard = locks.lock("s").blocking().expect("free");
        std::thread::scope(|scope| {
            let next = scope.spawn(|| drop(locks.lock("s").timeout(LONG).blocking().expect("handed on")));
            guard.release().expect("released");
            next.join().expect("no panic");
        });
    }
}

/// Seed 003: a claim without start time whose pid is one's own must be an orphan. In another PID namespace it is a living
/// process with the same pid, such as 1.
#[test]
fn seed_003_the_same_pid_in_another_namespace() {
    let me = std::process::id();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut theirs = Older::new(dir.path(), me);
    assert!(theirs.create(), "the other container's process holds");
    let mut ours = Older::new(dir.path(), me);
    assert_eq!(ours.owner(), Some(me), "it has our pid, and we hold nothing: an orphan");
    fs::remove_file(&ours.path).expect("reclaimed");
    assert!(ours.create() && theirs.held.is_some(), "two holders: this is the bug");

    let (dir, locks, _) = strangers();
    let mut theirs = Older::new(dir.path(), me);
    assert!(theirs.create());
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    let error = locks.lock("s").timeout(GRACE * 2).blocking().expect_err("a living owner was robbed");
    assert!(matches!(error, LockError::Timeout { .. }), "{error}");
    theirs.held = None;
    drop(locks.lock("s").timeout(LONG).blocking().expect("the orphan of a dead owner is free"));
}
