//! Deadlines: zero, past, never, and kept over however many retries.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::{Acquire, Lock, LockDir, LockError};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use support::process::OtherProcess;
use support::{GRACE, LONG, lock_dir};

/// One poll, without any runtime.
fn poll_once(future: Acquire) -> Poll<Result<session_lock::Guard, LockError>> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn passed(locks: &LockDir) -> [Lock<'_>; 2] {
    [locks.lock("s").timeout(Duration::ZERO), locks.lock("s").deadline(Instant::now())]
}

fn far_away(locks: &LockDir) -> [Lock<'_>; 2] {
    let years = Duration::from_hours(1000 * 365 * 24);
    [locks.lock("s").timeout(Duration::MAX), locks.lock("s").deadline(Instant::now() + years)]
}

/// An older peer's claim under a name of its own.
fn older_claim(path: &Path) -> File {
    let mut file = File::create(path).expect("created");
    file.write_all(b"{\"pid\":1}").expect("written");
    file
}

#[test]
fn a_deadline_that_has_passed_tries_once() {
    let (_dir, locks) = lock_dir();
    for lock in passed(&locks) {
        drop(lock.clone().blocking().expect("free"));
        assert!(matches!(poll_once(lock.into_future()), Poll::Ready(Ok(_))), "free, without a runtime");
    }
}

#[test]
fn a_deadline_that_has_passed_does_not_wait_for_anybody() {
    let (dir, locks) = lock_dir();
    let slow = LockDir::options().grace(LONG).open(dir.path()).expect("open");
    let assert_timeout = |who: &str| {
        for lock in passed(&slow) {
            assert!(matches!(lock.clone().blocking(), Err(LockError::Timeout { .. })), "{who}");
            let polled = poll_once(lock.into_future());
            assert!(matches!(polled, Poll::Ready(Err(LockError::Timeout { .. }))), "{who}, without a runtime");
        }
    };
    let guard = locks.lock("s").blocking().expect("free");
    assert_timeout("a guard of this process");
    drop(guard);
    let other = OtherProcess::hold(dir.path(), "s");
    assert_timeout("another process");
    other.release();
    drop(locks.lock("s").timeout(LONG).blocking().expect("nothing is left of those that gave up"));
    let older = older_claim(&dir.path().join("s.lock"));
    assert_timeout("an older peer");
    drop(older);
    assert_timeout("the grace of a dead older peer");
    std::fs::remove_file(dir.path().join("s.lock")).expect("removed");
    drop(locks.lock("s").timeout(LONG).blocking().expect("nothing is left of those that gave up"));
    assert!(!dir.path().join("s.lock").exists());
}

#[test]
fn a_deadline_too_far_for_the_clock_needs_no_runtime() {
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").blocking().expect("free");
    let mut never = pin!(locks.lock("s").timeout(Duration::MAX).into_future());
    let mut context = Context::from_waker(Waker::noop());
    assert!(never.as_mut().poll(&mut context).is_pending());
    drop(guard);
    assert!(matches!(never.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn a_deadline_far_away_waits_and_is_served() {
    let (_dir, locks) = lock_dir();
    for lock in far_away(&locks) {
        let guard = locks.lock("s").await.expect("free");
        let (waited, ()) = tokio::join!(lock.into_future(), async {
            tokio::task::yield_now().await;
            drop(guard);
        });
        drop(waited.expect("served"));
    }
}

/// An older peer's claim that is replaced again and again, without a moment between two in which there is none.
struct Replaced<'a> {
    dir: &'a Path,
    rounds: AtomicUsize,
    ends: AtomicBool,
}

impl Replaced<'_> {
    /// Until `ends`. Each claim's owner lives until its successor is there, or is dead before its claim is.
    fn run(&self, living: bool) {
        let (fresh, path) = (self.dir.join("fresh"), self.dir.join("s.lock"));
        let mut owner = None;
        while !self.ends.load(Ordering::SeqCst) {
            let file = older_claim(&fresh);
            let file = living.then_some(file);
            std::fs::rename(&fresh, &path).expect("renamed");
            owner = file;
            self.rounds.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(GRACE / 40);
        }
        drop(owner);
    }
}

/// Each new claim begins the wait, or the grace, anew; the deadline stays.
#[test]
fn a_deadline_is_kept_however_often_the_claim_changes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    for living in [true, false] {
        let (dir, locks) = lock_dir();
        let timeout = GRACE * 2;
        let replaced = Replaced { dir: dir.path(), rounds: AtomicUsize::new(0), ends: AtomicBool::new(false) };
        std::thread::scope(|scope| {
            scope.spawn(|| replaced.run(living));
            support::wait_until(|| replaced.rounds.load(Ordering::SeqCst) > 0);
            let lock = locks.lock("s").timeout(timeout);
            for blocking in [true, false] {
                let began = Instant::now();
                let result =
                    if blocking { lock.clone().blocking() } else { runtime.block_on(lock.clone().into_future()) };
                let waited = began.elapsed();
                let seen = replaced.rounds.load(Ordering::SeqCst);
                assert!(matches!(result, Err(LockError::Timeout { .. })), "living: {living}, {result:?}");
                assert!(waited >= timeout, "living: {living}, after {waited:?}");
                assert!(seen > 1, "the claim changed {seen} times");
            }
            replaced.ends.store(true, Ordering::SeqCst);
        });
        drop(locks.lock("s").timeout(LONG).blocking().expect("the last owner is dead"));
    }
}
