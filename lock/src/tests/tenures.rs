//! Holds of one process that follow each other: what one hands on to the next, and that other processes are served.

use super::{LONG, SHORT, exit_code, somebody_waits, stranger, strangers, wait_until};
use crate::attempt::LOOK_COUNTS;
use crate::directory::LIMIT_COUNTS;
use crate::lock::{Acquire, Lock};
use crate::name::Session;
use crate::payload::Content;
use crate::sys::fork::in_child;
use crate::{Guard, LockDir, LockError, Loss, ReleaseError, TryAcquire};
use std::fs;
use std::future::{Future, IntoFuture};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// As if time did not pass.
const ENDLESS: Duration = Duration::MAX;

fn poll(acquire: &mut Pin<Box<Acquire>>) -> Poll<Result<Guard, LockError>> {
    acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// An acquire that waits for its turn.
fn waiting(lock: Lock<'_>) -> Pin<Box<Acquire>> {
    let mut acquire = Box::pin(lock.into_future());
    assert!(poll(&mut acquire).is_pending(), "somebody holds");
    acquire
}

fn held(mut acquire: Pin<Box<Acquire>>) -> Guard {
    match poll(&mut acquire) {
        Poll::Ready(held) => held.expect("no error"),
        Poll::Pending => panic!("it waits"),
    }
}

/// As [`held`], after a time in which anything can have happened to the claim.
fn held_later(acquire: Pin<Box<Acquire>>) -> Guard {
    std::thread::sleep(2 * LOOK_COUNTS);
    held(acquire)
}

/// It waits for the older peer that has the claim, and is served once that one is gone.
fn held_after(older: fs::File, claim: &Path, mut acquire: Pin<Box<Acquire>>) {
    assert!(poll(&mut acquire).is_pending(), "a living older peer has it");
    assert_eq!(fs::metadata(claim).expect("there").len(), 0, "it is not ours to write");
    fs::remove_file(claim).expect("there");
    drop(older);
    wait_until(|| matches!(poll(&mut acquire), Poll::Ready(Ok(_))));
}

fn inode(claim: &Path) -> u64 {
    fs::symlink_metadata(claim).expect("there").ino()
}

/// What the claim says, to the last byte.
fn said(claim: &Path) -> (Option<u64>, Option<String>) {
    let content = Content::classify(&fs::read(claim).expect("there"));
    let payload = content.payload().expect("a whole claim");
    (payload.token, payload.label.clone())
}

fn is_busy(locks: &LockDir) -> bool {
    matches!(locks.try_lock("s").expect("no error"), TryAcquire::Busy(_))
}

#[test]
fn a_claim_goes_from_hold_to_hold_and_says_whose_it_is() {
    let (dir, locks, other) = strangers();
    let (locks, claim) = (LockDir { tenure: ENDLESS, ..locks }, dir.path().join("s.lock"));
    let labels = ["the first", "x", "one with a longer label than any before it, so that the file grows", "y"];
    let mut guard = locks.lock("s").label("before").blocking().expect("free");
    let file = inode(&claim);
    for label in labels {
        let next = waiting(locks.lock("s").label(label));
        let before = guard.token();
        guard.release().expect("it was held");
        assert_eq!(said(&claim).1.as_deref(), Some(label), "it is not held yet, and the next one's");
        assert!(is_busy(&other), "it was let go in between");
        guard = held(next);
        assert_eq!(said(&claim), (Some(guard.token()), Some(label.to_owned())));
        assert_eq!(inode(&claim), file);
        assert!(guard.token() > before);
    }
    let last = guard.token();
    guard.release().expect("it was held");
    assert!(!claim.exists());
    let guard = other.lock("s").blocking().expect("free");
    assert!(guard.token() > last);
}

/// Far more than are taken at once.
#[test]
fn tokens_grow_from_hold_to_hold() {
    let (_dir, locks, other) = strangers();
    let locks = LockDir { tenure: ENDLESS, ..locks };
    let mut guard = locks.lock("s").blocking().expect("free");
    for _ in 0..200 {
        let (next, before) = (waiting(locks.lock("s")), guard.token());
        guard.release().expect("it was held");
        guard = held(next);
        assert!(guard.token() > before);
    }
    let last = guard.token();
    guard.release().expect("it was held");
    assert!(other.lock("s").blocking().expect("free").token() > last);
}

#[test]
fn what_nobody_takes_is_given_back() {
    let (dir, locks, other) = strangers();
    let (locks, claim) = (LockDir { tenure: ENDLESS, ..locks }, dir.path().join("s.lock"));
    let guard = locks.lock("s").blocking().expect("free");
    let (first, second) = (waiting(locks.lock("s")), waiting(locks.lock("s")));
    guard.release().expect("it was held");
    assert!(is_busy(&other));
    drop(first);
    assert!(claim.exists(), "the second one has it now");
    drop(second);
    assert!(!claim.exists());
    other.lock("s").blocking().expect("free").release().expect("it was held");
    locks.lock("s").blocking().expect("free").release().expect("it was held");
}

/// The claim names who left until then.
#[test]
fn what_was_begun_for_one_who_leaves_is_begun_anew() {
    let (dir, locks, _) = strangers();
    let (locks, claim) = (LockDir { tenure: ENDLESS, ..locks }, dir.path().join("s.lock"));
    let guard = locks.lock("s").blocking().expect("free");
    let (first, second) = (waiting(locks.lock("s").label("first")), waiting(locks.lock("s").label("second")));
    guard.release().expect("it was held");
    let begun = said(&claim);
    assert_eq!(begun.1.as_deref(), Some("first"));
    drop(first);
    let guard = held(second);
    assert_eq!(said(&claim), (Some(guard.token()), Some("second".to_owned())));
    assert!(Some(guard.token()) > begun.0);
}

/// Between two holds.
#[test]
fn a_claim_that_is_deleted_on_its_way_is_made_anew() {
    let (dir, locks, other) = strangers();
    let (locks, claim) = (LockDir { tenure: ENDLESS, ..locks }, dir.path().join("s.lock"));
    let guard = locks.lock("s").blocking().expect("free");
    let (next, before) = (waiting(locks.lock("s")), guard.token());
    guard.release().expect("nothing had happened to it");
    fs::remove_file(&claim).expect("there");
    let guard = held_later(next);
    assert_eq!(said(&claim).0, Some(guard.token()));
    assert!(guard.token() > before && is_busy(&other));
    guard.release().expect("it was held");
    assert!(!claim.exists());
}

#[test]
fn a_claim_that_is_replaced_on_its_way_is_waited_for() {
    let (dir, locks, _) = strangers();
    let (locks, claim) = (LockDir { tenure: ENDLESS, ..locks }, dir.path().join("s.lock"));
    let guard = locks.lock("s").blocking().expect("free");
    let next = waiting(locks.lock("s"));
    guard.release().expect("nothing had happened to it");
    fs::remove_file(&claim).expect("there");
    let older = fs::File::create_new(&claim).expect("free");
    std::thread::sleep(2 * LOOK_COUNTS);
    held_after(older, &claim, next);
}

/// Not that of the one before: a sweep, for one, gives none.
#[test]
fn who_follows_waits_its_own_grace() {
    let (dir, locks, _) = strangers();
    let (hasty, claim) = (LockDir { grace: Duration::ZERO, tenure: ENDLESS, ..locks }, dir.path().join("s.lock"));
    let patient = LockDir { grace: Duration::MAX, ..hasty.clone() };
    let guard = hasty.lock("s").blocking().expect("free");
    let mut next = waiting(patient.lock("s"));
    guard.release().expect("nothing had happened to it");
    fs::remove_file(&claim).expect("there");
    fs::write(&claim, "{\"pid\":1}").expect("free");
    std::thread::sleep(2 * LOOK_COUNTS);
    assert!(poll(&mut next).is_pending());
    std::thread::sleep(SHORT);
    assert!(poll(&mut next).is_pending());
    assert_eq!(fs::read(&claim).expect("there"), b"{\"pid\":1}", "its owner may be about to unlink it");
}

#[test]
fn a_holder_is_told_of_its_loss_though_somebody_waits() {
    let (dir, locks, _) = strangers();
    let (locks, claim) = (LockDir { tenure: ENDLESS, ..locks }, dir.path().join("s.lock"));
    let guard = locks.lock("s").blocking().expect("free");
    let next = waiting(locks.lock("s"));
    fs::remove_file(&claim).expect("there");
    match guard.release() {
        Err(ReleaseError::Lost { cause: Loss::Deleted, .. }) => {}
        released => panic!("{released:?}"),
    }
    drop(held(next));
}

#[test]
fn a_claim_in_the_place_of_ones_own_is_left_alone_though_somebody_waits() {
    let (dir, locks, _) = strangers();
    let (locks, claim) = (LockDir { tenure: ENDLESS, ..locks }, dir.path().join("s.lock"));
    let guard = locks.lock("s").blocking().expect("free");
    let next = waiting(locks.lock("s"));
    fs::remove_file(&claim).expect("there");
    let older = fs::File::create_new(&claim).expect("free");
    match guard.release() {
        Err(ReleaseError::Lost { cause: Loss::Replaced, .. }) => {}
        released => panic!("{released:?}"),
    }
    held_after(older, &claim, next);
}

/// Others use a new arbiter by then.
#[test]
fn who_follows_looks_for_the_arbiter_anew() {
    let (dir, locks, other) = strangers();
    let locks = LockDir { tenure: ENDLESS, ..locks };
    let guard = locks.lock("s").blocking().expect("free");
    let next = waiting(locks.lock("s"));
    guard.release().expect("it was held");
    fs::remove_dir_all(dir.path().join(".session-lock")).expect("there");
    let guard = held(next);
    assert!(dir.path().join(".session-lock").exists() && is_busy(&other));
    fs::remove_file(dir.path().join("s.lock")).expect("there");
    assert!(is_busy(&other), "only the new arbiter says so");
    drop(guard);
}

#[test]
fn a_tenure_of_zero_hands_nothing_on() {
    let (dir, locks, other) = strangers();
    let locks = LockDir { tenure: Duration::ZERO, ..locks };
    let guard = locks.lock("s").blocking().expect("free");
    let next = waiting(locks.lock("s"));
    guard.release().expect("it was held");
    assert!(!dir.path().join("s.lock").exists());
    let robber = other.lock("s").blocking().expect("free");
    drop(robber);
    drop(held(next));
}

/// From here on this thread and those that it starts run on one processor.
fn stay_on_one_processor() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).expect("asked");
    let first = (0..CpuSet::MAX_CPU).find(|processor| allowed.is_set(*processor)).expect("it runs on one");
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).expect("it is one of those");
}

/// The kernel wakes who waits and keeps the lock for nobody: whoever runs already would have it again, round after
/// round, and on one processor nobody else runs. A process that is woken may come too late on a busy machine, so not
/// each round counts.
#[test]
fn a_process_that_waits_comes_before_the_next_tenure() {
    const ROUNDS: usize = 20;
    stay_on_one_processor();
    let (_dir, locks, other) = strangers();
    let locks = LockDir { tenure: Duration::ZERO, ..locks };
    let range = Session::new("s").expect("valid").range;
    let arbiter = || locks.directory.arbiter(range).expect("open");
    let mut came_first = 0;
    for _ in 0..ROUNDS {
        let guard = locks.lock("s").blocking().expect("free");
        let (mut next, ready) = (waiting(locks.lock("s")), Barrier::new(2));
        let (theirs, ours) = std::thread::scope(|scope| {
            let parked = scope.spawn(|| {
                ready.wait();
                other.lock("s").blocking().expect("free").token()
            });
            ready.wait();
            wait_until(|| arbiter().is_awaited(range));
            guard.release().expect("it was held");
            let mut ours = None;
            wait_until(|| {
                if let Poll::Ready(held) = poll(&mut next) {
                    ours = Some(held.expect("no error").token());
                }
                ours.is_some()
            });
            (parked.join().expect("no panic"), ours)
        });
        came_first += usize::from(Some(theirs) < ours);
    }
    assert!(came_first > ROUNDS / 4, "{came_first} of {ROUNDS}");
    assert!(!somebody_waits(&locks));
}

/// Somebody lowers the limit between two holds. Any write would raise `SIGXFSZ`.
#[test]
fn a_file_size_limit_ends_a_tenure_with_an_error() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let child = in_child(|| {
        let Ok(locks) = LockDir::options().tenure(ENDLESS).without_counters().open(path) else { return 1 };
        let Ok(mut guard) = locks.lock("s").blocking() else { return 2 };
        for limit in [None, Some(0)] {
            let mut next = Box::pin(locks.lock("s").into_future());
            if poll(&mut next).is_ready() {
                return 3;
            }
            setrlimit(Resource::Fsize, Rlimit { current: limit, maximum: None }).ok();
            std::thread::sleep(2 * LIMIT_COUNTS);
            drop(guard);
            guard = match poll(&mut next) {
                Poll::Ready(Ok(guard)) if limit.is_none() => guard,
                Poll::Ready(Err(LockError::System(error))) if limit.is_some() => {
                    return i32::from(error.cause.raw_os_error() != Some(libc::EFBIG)) * 4;
                }
                _ => return 5,
            };
        }
        6
    });
    assert_eq!(exit_code(child), Some(0), "no code: SIGXFSZ");
    assert!(!path.join("s.lock").exists(), "a claim was left");
    assert!(!is_busy(&stranger(path)));
}

/// Threads that block, one after the other, and what they count without any other lock.
#[test]
fn threads_that_follow_each_other_exclude_each_other() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 200;
    let (dir, locks, other) = strangers();
    let count = dir.path().join("count");
    fs::write(&count, "0").expect("written");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (locks, count) = (if thread == 0 { &other } else { &locks }, &count);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let guard = locks.lock("s").timeout(LONG).blocking().expect("served");
                    let before: u64 = fs::read_to_string(count).expect("there").parse().expect("a number");
                    fs::write(count, (before + 1).to_string()).expect("written");
                    guard.release().expect("it was held");
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&count).expect("there"), (THREADS * ROUNDS).to_string());
    assert!(!dir.path().join("s.lock").exists());
}
