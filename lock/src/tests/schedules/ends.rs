//! All who may end a hold at once: its guard, the watcher after its longest time, a restart.

use super::{Party, directory, many_schedules, poll};
use crate::event::{Event, HoldExceeded};
use crate::sys::sync::thread;
use crate::{LockError, Loss, ReleaseError, TryAcquire};
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[test]
fn a_hold_ends_once_whoever_ends_it() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let party = Party::new(&path);
        let begin = || party.locks.lock("s").max_hold(Duration::ZERO, HoldExceeded::Release).blocking();
        let guard = begin().expect("free");
        let restarting = thread::spawn({
            let party = Arc::clone(&party);
            move || party.process.restart().len()
        });
        let watching = thread::spawn({
            let party = Arc::clone(&party);
            move || party.process.watcher.look()
        });
        let released = guard.release();
        let by_restart = restarting.join().expect("no panic");
        watching.join().expect("no panic");
        let exceeded = party.seen.count(|event| matches!(event, Event::HoldExceeded { .. }));
        let by_guard = usize::from(released.is_ok());
        assert_eq!(by_restart + exceeded + by_guard, 1, "{released:?}");
        if let Err(error) = released {
            let ReleaseError::Lost { cause, .. } = error else { panic!("{error}") };
            assert!(matches!(cause, Loss::Restarted | Loss::HoldExceeded), "{cause:?}");
        }
        assert_eq!(party.seen.count(|event| matches!(event, Event::Released { .. })), 1);
        assert!(!claim.exists() && party.is_idle());
        drop(begin().expect("free"));
    });
}

/// The guard is told before anybody else can have the lock.
#[test]
fn who_is_robbed_of_its_time_knows_before_the_next_holds() {
    let (dir, _) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let party = Party::new(&path);
        let guard = party.locks.lock("s").max_hold(Duration::ZERO, HoldExceeded::Release).blocking().expect("free");
        let next = thread::spawn({
            let party = Arc::clone(&party);
            move || {
                let next = party.acquire().expect("served");
                let told = guard.is_lost();
                drop(next);
                drop(guard);
                told
            }
        });
        party.process.watcher.look();
        assert_eq!(next.join().expect("no panic"), Some(Loss::HoldExceeded));
    });
}

/// The same, where the next is another process: it need not wait for the turn.
#[test]
fn who_is_robbed_of_its_time_knows_before_another_process_holds() {
    let (dir, _) = directory();
    let path = dir.path().to_owned();
    let served = Arc::new(AtomicU32::default());
    let count = Arc::clone(&served);
    many_schedules(1_000, move || {
        let (party, other) = (Party::new(&path), Party::new(&path));
        let guard = party.locks.lock("s").max_hold(Duration::ZERO, HoldExceeded::Release).blocking().expect("free");
        let served = Arc::clone(&count);
        let next = thread::spawn(move || {
            if let TryAcquire::Acquired(next) = other.locks.try_lock("s").expect("no error") {
                assert_eq!(guard.is_lost(), Some(Loss::HoldExceeded));
                served.fetch_add(1, Ordering::Relaxed);
                drop(next);
            }
            drop(guard);
        });
        party.process.watcher.look();
        next.join().expect("no panic");
    });
    assert!(served.load(Ordering::Relaxed) > 0, "the other process never had the lock");
}

/// An acquire that began before a restart is over after it: it fails, or its hold is taken away.
#[test]
fn no_hold_from_before_a_restart_outlasts_it() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let party = Party::new(&path);
        let mut acquire = Box::pin(party.locks.lock("s").into_future());
        let acquiring = thread::spawn(move || poll(&mut acquire));
        for released in party.process.restart() {
            released.expect("unlinked");
        }
        match acquiring.join().expect("no panic").expect("nobody else is there") {
            Ok(guard) => assert_eq!(guard.is_lost(), Some(Loss::Restarted)),
            Err(LockError::Restarted) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(!claim.exists(), "a claim was left");
    });
}
