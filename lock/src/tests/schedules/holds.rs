//! What meets within one hold: guards, healing, and whoever deletes the claim.

use super::{Party, directory, many_schedules};
use crate::event::{Event, ReleaseOutcome};
use crate::sys::sync::thread;
use crate::{Guard, ReentryError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const RELEASED: fn(&Event) -> bool = |event| matches!(event, Event::Released { .. });

/// The watcher looks, by itself and because it was told, while the claim is deleted and the hold ends. Whatever the order,
/// no claim is there afterwards: one that came back after the release would keep the lock for nobody.
#[test]
fn no_claim_comes_back_after_the_release() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let party = Party::new(&path);
        let guard = party.acquire().expect("free");
        let watching = thread::spawn({
            let party = Arc::clone(&party);
            move || party.process.watcher.look()
        });
        let deleting = thread::spawn({
            let claim = claim.clone();
            move || std::fs::remove_file(claim).ok()
        });
        // Deleted too late to be put back: then the release says so.
        let released = guard.release();
        let lost = matches!(released, Err(crate::ReleaseError::Lost { cause: crate::Loss::Deleted, .. }));
        assert!(released.is_ok() || lost, "{released:?}");
        watching.join().expect("no panic");
        deleting.join().expect("no panic");
        assert!(!claim.exists(), "the claim of a hold that has ended");
        assert!(party.seen.count(RELEASED) == 1 && party.is_idle());
        let (_, next) = super::polled(&party.locks);
        next.expect("nobody is in the way").expect("free").release().expect("held");
    });
}

/// While it is held it is put back, and then the hold goes on as before.
#[test]
fn two_who_look_put_a_claim_back_once() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(500, move || {
        let party = Party::new(&path);
        let guard = party.acquire().expect("free");
        std::fs::remove_file(&claim).expect("held");
        let other = thread::spawn({
            let party = Arc::clone(&party);
            move || party.process.watcher.look()
        });
        party.process.watcher.look();
        other.join().expect("no panic");
        // Each has looked at all that the other one did not have at hand just then.
        party.process.watcher.look();
        assert!(claim.exists());
        assert_eq!(party.seen.count(|event| *event == Event::ClaimRestored), 1);
        guard.release().expect("held to the end");
        assert!(!claim.exists());
    });
}

/// The last guard goes while a handle enters: either the hold is over, or it lasts until the new guard goes.
#[test]
fn a_hold_ends_once_with_its_last_guard() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let party = Party::new(&path);
        let guard = party.acquire().expect("free");
        let handle = guard.handle();
        let entering = thread::spawn({
            let claim = claim.clone();
            move || match handle.reenter() {
                Ok(inner) => {
                    assert!(claim.exists(), "entered a hold that is over");
                    thread::yield_now();
                    assert!(claim.exists(), "the hold ended under its guard");
                    inner.release().expect("held");
                }
                Err(error) => assert_eq!(error, ReentryError::Over),
            }
        });
        guard.release().expect("held");
        entering.join().expect("no panic");
        assert!(!claim.exists() && party.is_idle());
        assert_eq!(party.seen.count(RELEASED), 1);
    });
}

/// Two guards of one hold, and who waits for it meanwhile.
#[test]
fn the_next_is_served_after_the_last_guard() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let party = Party::new(&path);
        let outer = party.acquire().expect("free");
        let inner = outer.handle().reenter().expect("held");
        let (token, guards) = (outer.token(), Arc::new(AtomicU32::new(2)));
        let next = thread::spawn({
            let (party, guards) = (Arc::clone(&party), Arc::clone(&guards));
            move || {
                let guard = party.acquire().expect("served");
                assert!(guard.token() > token);
                assert_eq!(guards.load(Ordering::SeqCst), 0, "two hold");
                guard.release().expect("held");
            }
        });
        let release = |guard: Guard, guards: &AtomicU32| {
            guards.fetch_sub(1, Ordering::SeqCst);
            guard.release().expect("held");
        };
        let dropping = thread::spawn({
            let guards = Arc::clone(&guards);
            move || release(inner, &guards)
        });
        release(outer, &guards);
        dropping.join().expect("no panic");
        next.join().expect("no panic");
        let released = |event: &Event| matches!(event, Event::Released { outcome: ReleaseOutcome::Released, .. });
        assert_eq!(party.seen.count(released), 2);
        assert!(!claim.exists() && party.is_idle());
    });
}
