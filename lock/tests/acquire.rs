//! Acquire and release in one process: outcomes, order, deadlines, cancellation, events.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::event::{Event, NotAcquired, ReleaseOutcome};
use session_lock::{HolderKind, LockDir, LockError, TryAcquire};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::{LONG, Recorder, SHORT, lock_dir};

#[test]
fn a_claim_exists_while_held_and_says_who_holds() {
    let (dir, locks) = lock_dir();
    let guard = locks.lock("42.jsonl").label("run 17").blocking().expect("free");
    let text = std::fs::read_to_string(dir.path().join("42.jsonl.lock")).expect("the claim is there");
    let claim: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(claim["pid"], std::process::id());
    assert_eq!(claim["label"], "run 17");
    assert_eq!(claim["v"], 2);
    assert_eq!(claim["token"], guard.token());
    for field in ["createdAt", "starttime", "nonce", "bootId", "pidNs", "timeNs", "host", "arbiter"] {
        assert!(!claim[field].is_null(), "{field} is missing in {text}");
    }
    guard.release().expect("released");
    assert!(!dir.path().join("42.jsonl.lock").exists());
}

#[test]
fn tokens_grow_also_over_a_reopened_directory() {
    let (dir, locks) = lock_dir();
    let mut last = 0;
    for _ in 0..3 {
        let again = LockDir::open(dir.path()).expect("open");
        for handle in [&locks, &again] {
            let guard = handle.lock("s").blocking().expect("free");
            assert!(guard.token() > last);
            last = guard.token();
        }
    }
}

#[test]
fn busy_is_an_outcome_that_names_the_holder() {
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").label("first").blocking().expect("free");
    let TryAcquire::Busy(holder) = locks.try_lock("s").expect("no error") else { panic!("two holders") };
    assert_eq!(holder.kind, HolderKind::SameProcess);
    assert_eq!(holder.payload.and_then(|payload| payload.label).as_deref(), Some("first"));
    drop(guard);
    let TryAcquire::Acquired(_guard) = locks.try_lock("s").expect("no error") else { panic!("it is free") };
}

#[test]
fn two_handles_and_a_symbolic_link_lead_to_one_lock() {
    let (dir, locks) = lock_dir();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link).expect("a link");
    let linked = LockDir::open(&link).expect("open");
    let guard = locks.lock("s").blocking().expect("free");
    assert!(matches!(linked.try_lock("s"), Ok(TryAcquire::Busy(_))));
    let error = linked.lock("s").timeout(SHORT).blocking().expect_err("held");
    assert!(matches!(error, LockError::Timeout { .. }), "{error}");
    drop(guard);
    assert!(matches!(linked.try_lock("s"), Ok(TryAcquire::Acquired(_))));
}

#[test]
fn acquires_are_served_in_order_of_arrival() {
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").blocking().expect("free");
    let (order, served) = mpsc::channel();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (recorder, locks, order) = (std::sync::Arc::new(Recorder::default()), &locks, order.clone());
            let mine = LockDir::options().sink(recorder.clone()).open(locks.path()).expect("open");
            scope.spawn(move || {
                let guard = mine.lock("s").timeout(LONG).blocking().expect("its turn comes");
                order.send(number).expect("somebody listens");
                drop(guard);
            });
            // It is in the queue once it has said that it is contended.
            support::wait_until(|| recorder.events().iter().any(|event| matches!(event, Event::Contended { .. })));
        }
        drop(guard);
    });
    drop(order);
    assert_eq!(served.iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
}

#[test]
fn a_deadline_is_kept_and_the_error_names_the_holder() {
    let (_dir, locks) = lock_dir();
    let _guard = locks.lock("s").label("first").blocking().expect("free");
    let began = Instant::now();
    let error = locks.lock("s").timeout(SHORT).blocking().expect_err("held");
    assert!(began.elapsed() >= SHORT);
    let text = error.to_string();
    assert!(text.contains("s.lock is still locked") && text.contains("\"first\""), "{text}");
    for past in [locks.lock("s").timeout(Duration::ZERO), locks.lock("s").deadline(began)] {
        assert!(matches!(past.blocking(), Err(LockError::Timeout { .. })));
    }
}

#[test]
fn a_deadline_too_far_for_the_clock_is_never() {
    let (_dir, locks) = lock_dir();
    drop(locks.lock("s").timeout(Duration::MAX).blocking().expect("free"));
}

#[tokio::test]
async fn the_future_keeps_its_deadline_too() {
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").await.expect("free");
    assert!(matches!(locks.lock("s").timeout(SHORT).await, Err(LockError::Timeout { .. })));
    guard.release().expect("released");
    drop(locks.lock("s").timeout(SHORT).await.expect("free again"));
}

#[tokio::test]
async fn a_dropped_future_leaves_nothing_behind() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let guard = locks.lock("s").await.expect("free");
    for _ in 0..3 {
        let waiting = tokio::time::timeout(SHORT, locks.lock("s").into_future()).await;
        assert!(waiting.is_err(), "the lock is held");
    }
    let cancelled = |event: &&Event| matches!(event, Event::NotAcquired { outcome: NotAcquired::Cancelled, .. });
    assert_eq!(recorder.events().iter().filter(cancelled).count(), 3);
    drop(guard);
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Acquired(_))));
}

#[tokio::test]
async fn a_turn_given_to_a_future_that_is_dropped_goes_to_the_next() {
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").await.expect("free");
    let mut first = Box::pin(locks.lock("s").into_future());
    let mut second = Box::pin(locks.lock("s").timeout(LONG).into_future());
    assert!(futures_poll(first.as_mut()).is_pending());
    assert!(futures_poll(second.as_mut()).is_pending());
    drop(guard); // The turn is delivered to `first`, which nobody polls again.
    drop(first);
    drop(second.await.expect("the next one's turn"));
}

#[test]
fn events_tell_the_story() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let guard = locks.lock("s").blocking().expect("free");
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    guard.release().expect("released");
    let story: Vec<_> = recorder.events();
    assert!(
        matches!(
            story.as_slice(),
            [
                Event::Acquired { token: 1, .. },
                Event::Contended { by: HolderKind::SameProcess, .. },
                Event::NotAcquired { outcome: NotAcquired::Busy, .. },
                Event::Released { outcome: ReleaseOutcome::Released, .. },
            ]
        ),
        "{story:#?}"
    );
}

#[test]
fn invalid_names_and_labels_are_errors_before_anything_happens() {
    let (dir, locks) = lock_dir();
    for name in ["", ".", "..", "a/b", "a\0b", "a.lock", ".session-lock"] {
        assert!(matches!(locks.try_lock(name), Err(LockError::Name { .. })), "{name:?}");
    }
    let label = "x".repeat(129);
    assert!(matches!(locks.lock("s").label(label).blocking(), Err(LockError::Label { len: 129 })));
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
}

#[test]
fn a_world_writable_or_sticky_directory_is_refused_unless_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _) = lock_dir();
    for mode in [0o777, 0o1770, 0o1777] {
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).expect("chmod");
        let error = LockDir::open(dir.path()).expect_err("others may interfere");
        assert!(error.to_string().contains("any_permissions"), "{error}");
    }
    let locks = LockDir::options().any_permissions().open(dir.path()).expect("asked for");
    drop(locks.lock("s").blocking().expect("free"));
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}
