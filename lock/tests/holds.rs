//! Maximum holds, and reentry through a handle.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::event::{Event, HoldExceeded, ReleaseOutcome, Sink};
use session_lock::{LockDir, Loss, ReentryError, ReleaseError, TryAcquire};
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};
use support::{LONG, Recorder, SHORT, lock_dir, wait_until};

const EXCEEDED: fn(&Event) -> bool = |event| matches!(event, Event::HoldExceeded { .. });

#[test]
fn a_hold_that_lasts_too_long_is_reported_once_and_goes_on() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let guard = locks.lock("s").max_hold(SHORT, HoldExceeded::Report).blocking().expect("free");
    wait_until(|| recorder.events().iter().any(EXCEEDED));
    std::thread::sleep(SHORT * 2);
    let said: Vec<_> = recorder.events().into_iter().filter(EXCEEDED).collect();
    assert_eq!(said, [Event::HoldExceeded { action: HoldExceeded::Report }]);
    assert_eq!(guard.is_lost(), None);
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    guard.release().expect("it was held to the end");
}

#[tokio::test]
async fn a_hold_that_lasts_too_long_is_released_and_its_guard_knows() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let began = Instant::now();
    let guard = locks.lock("s").max_hold(SHORT, HoldExceeded::Release).await.expect("free");
    let next = locks.lock("s").timeout(LONG).await.expect("released by then");
    assert!(began.elapsed() >= SHORT, "released before its time");
    assert_eq!(tokio::time::timeout(LONG, guard.lost()).await, Ok(Loss::HoldExceeded));
    assert!(next.token() > guard.token());
    let Err(ReleaseError::Lost { cause: Loss::HoldExceeded, .. }) = guard.release() else {
        panic!("an inert guard released something")
    };
    assert!(dir.path().join("s.lock").exists(), "the inert guard removed its successor's claim");
    next.release().expect("released");
    // The watcher says so once the lock is free, and the next hold may be over by then.
    let is_released = |event: &Event| matches!(event, Event::Released { outcome: ReleaseOutcome::Released, .. });
    wait_until(|| recorder.events().iter().filter(|event| is_released(event)).count() >= 2);
    let events = recorder.events();
    assert_eq!(events.iter().filter(|event| EXCEEDED(event)).count(), 1);
    let released = events.iter().position(|event| matches!(event, Event::Released { .. }));
    assert!(events.iter().position(EXCEEDED) < released, "it is said before the lock is released: {events:?}");
    assert_eq!(events.iter().filter(|event| is_released(event)).count(), 2, "each hold ended once: {events:?}");
}

/// The order that a checker outside relies on: who is told that it lost the lock has been told before anybody else can
/// have it.
#[test]
fn the_guard_is_told_before_the_lock_is_free() {
    let (dir, locks) = lock_dir();
    for _ in 0..20 {
        let guard = locks.lock("s").max_hold(Duration::from_millis(1), HoldExceeded::Release).blocking().expect("free");
        wait_until(|| !dir.path().join("s.lock").exists());
        assert_eq!(guard.is_lost(), Some(Loss::HoldExceeded));
    }
}

#[test]
fn a_hold_that_ends_in_time_is_not_exceeded() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    for max_hold in [SHORT, Duration::MAX] {
        drop(locks.lock("s").max_hold(max_hold, HoldExceeded::Release).blocking().expect("free"));
    }
    let guard = locks.lock("s").blocking().expect("free");
    std::thread::sleep(SHORT * 2);
    assert_eq!(guard.is_lost(), None, "the end of an earlier hold ended this one");
    assert!(!recorder.events().iter().any(EXCEEDED));
}

/// Keeps the names of the sessions that were held for too long, in order.
#[derive(Default)]
struct Order(Mutex<Vec<String>>);

impl Sink for Order {
    fn record(&self, session: &str, event: &Event) {
        if EXCEEDED(event) {
            self.0.lock().expect("no panic in a sink").push(session.to_owned());
        }
    }
}

#[test]
fn maximum_holds_of_many_sessions_end_in_order() {
    let (dir, _) = lock_dir();
    let order = Arc::new(Order::default());
    let locks = LockDir::options().sink(order.clone()).open(dir.path()).expect("it can hold locks");
    // Each ends its time after the acquire, which takes as long as it takes.
    let holds = [5, 3, 1, 4, 2].map(|nth: u32| {
        let (name, began) = (nth.to_string(), Instant::now());
        let hold = locks.lock(&name).max_hold(SHORT * nth, HoldExceeded::Release);
        let guard = hold.blocking().expect("free");
        (name, began + SHORT * nth, Instant::now() + SHORT * nth, guard)
    });
    wait_until(|| order.0.lock().expect("no panic").len() == 5);
    let order = order.0.lock().expect("no panic");
    let ends = |name: &String| holds.iter().find(|(held, ..)| held == name).expect("it was held");
    for pair in order.windows(2) {
        let ((_, earliest, ..), (_, _, latest, _)) = (ends(&pair[0]), ends(&pair[1]));
        assert!(earliest <= latest, "{order:?}");
    }
}

#[test]
fn the_lock_is_held_until_the_last_guard_is_gone() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let outer = locks.lock("s").blocking().expect("free");
    let handle = outer.handle();
    let token = outer.token();
    let inner = handle.reenter().expect("held");
    assert_eq!(inner.token(), token);
    let third = inner.handle().reenter().expect("held");
    // In whatever order they go.
    outer.release().expect("held to the end");
    drop(third);
    assert!(dir.path().join("s.lock").exists());
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    inner.release().expect("the last one");
    assert!(!dir.path().join("s.lock").exists());
    assert_eq!(handle.reenter().expect_err("over"), ReentryError::Over);
    let events = recorder.events();
    assert_eq!(events.iter().filter(|event| **event == Event::Reentered { token }).count(), 2);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Released { .. })).count(), 1);
}

#[test]
fn a_handle_holds_nothing_and_enters_no_later_hold() {
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").blocking().expect("free");
    let handle = guard.handle();
    drop(guard);
    let _next = locks.lock("s").timeout(LONG).blocking().expect("a handle does not keep it held");
    assert_eq!(handle.reenter().expect_err("another hold"), ReentryError::Over);
}

#[test]
fn a_lost_hold_cannot_be_entered() {
    let (dir, locks) = lock_dir();
    let guard = locks.lock("s").max_hold(Duration::ZERO, HoldExceeded::Release).blocking().expect("free");
    wait_until(|| guard.is_lost().is_some());
    assert_eq!(guard.handle().reenter().expect_err("lost"), ReentryError::Lost(Loss::HoldExceeded));
    wait_until(|| !dir.path().join("s.lock").exists());
}

/// A guard is entered on some threads while others let go: whatever the order, the count never comes back from nothing.
#[test]
fn reentry_races_with_the_last_release() {
    let (_dir, locks) = lock_dir();
    for _ in 0..200 {
        let guard = locks.lock("s").timeout(LONG).blocking().expect("free");
        let handle = guard.handle();
        std::thread::scope(|scope| {
            let entering = scope.spawn(|| handle.reenter().is_ok_and(|guard| guard.release().is_ok()));
            guard.release().expect("held to the end");
            entering.join().expect("no panic");
        });
        assert_eq!(handle.reenter().expect_err("over"), ReentryError::Over);
    }
}

/// Does something when it is woken.
struct OnWake<F>(F);

impl<F: Fn() + Send + Sync> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Two futures of one task wait for the same loss. One that learns of it in its first poll, before the other one is woken,
/// takes nothing with it.
#[test]
fn a_loss_that_is_learned_of_at_once_wakes_the_others_as_well() {
    let (_dir, locks) = lock_dir();
    let woken = Arc::new(AtomicBool::new(false));
    let task = Waker::from(Arc::new(OnWake({
        let woken = Arc::clone(&woken);
        move || woken.store(true, Ordering::Relaxed)
    })));
    let guard = locks.lock("s").max_hold(SHORT, HoldExceeded::Release).blocking().expect("free");
    let mut waiting = pin!(guard.lost());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&task)).is_pending());
    // Whoever is next is woken between the loss and those who wait for it.
    let late = Mutex::new(Some(guard.lost()));
    let next = Waker::from(Arc::new(OnWake({
        let task = task.clone();
        move || {
            let mut late = Box::pin(late.lock().expect("no panic").take().expect("woken once"));
            assert!(late.as_mut().poll(&mut Context::from_waker(&task)).is_ready());
        }
    })));
    let mut acquire = pin!(locks.lock("s").into_future());
    assert!(acquire.as_mut().poll(&mut Context::from_waker(&next)).is_pending());
    wait_until(|| woken.load(Ordering::Relaxed));
    assert!(waiting.poll(&mut Context::from_waker(&task)).is_ready());
}
