//! All who may end a hold at once: its guard, the watcher after its longest time, a restart.

use super::{Party, directory, many_schedules};
use crate::event::{Event, HoldExceeded};
use crate::sys::sync::thread;
use crate::{Loss, ReleaseError};
use std::sync::Arc;
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
