//! All who may end a hold at once: its guard, the watcher after its longest time, a restart.

use super::{Party, directory, every_schedule, many_schedules, poll, polled};
use crate::event::{Event, HoldExceeded};
use crate::payload::Content;
use crate::sys::sync::thread;
use crate::{LockError, Loss, ReleaseError, TryAcquire};
use std::future::{Future, IntoFuture};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
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

/// Says whether a claim is there when its future is woken.
struct Looks(PathBuf, Mutex<Option<bool>>);

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        *self.1.lock().expect("no panic") = Some(self.0.exists());
    }
}

/// When holders are told of a restart nothing is left of the instance, not even what a hold has handed on to an acquire
/// that has not noticed.
#[test]
fn a_restart_ends_what_was_handed_on() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    // There is one.
    every_schedule(2, move || {
        let party = Party::new(&path);
        let (guard, other) = (party.acquire().expect("free"), party.locks.lock("t").blocking().expect("free"));
        let looks = Arc::new(Looks(claim.clone(), Mutex::new(None)));
        let waker = Waker::from(Arc::clone(&looks));
        let mut lost = Box::pin(other.lost());
        assert!(lost.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let (mut next, held) = polled(&party.locks);
        assert!(held.is_none(), "somebody holds");
        guard.release().expect("it was held");
        assert!(claim.exists(), "it was not handed on");
        for released in party.process.restart() {
            released.expect("unlinked");
        }
        assert_eq!(*looks.1.lock().expect("no panic"), Some(false));
        assert!(matches!(poll(&mut next), Some(Err(LockError::Restarted))));
        assert!(party.is_idle());
    });
}

/// The same, while who was given it takes it, or gives up. Wherever the restart comes in, nothing is left when it is over.
/// Who takes it goes on with what was begun for it, or begins anew: because that was for somebody else, or long ago.
#[test]
fn a_restart_meets_what_is_handed_on_wherever_it_is() {
    let (dir, claim) = directory();
    let (went_on, anew): (Arc<AtomicU32>, Arc<AtomicU32>) = Default::default();
    for takes_first in [false, true] {
        let (path, claim) = (dir.path().to_owned(), claim.clone());
        let (went_on, anew) = (Arc::clone(&went_on), Arc::clone(&anew));
        many_schedules(250, move || {
            let party = Party::new(&path);
            let guard = party.acquire().expect("free");
            let mut waiting = [polled(&party.locks), polled(&party.locks)].map(|(acquire, held)| {
                assert!(held.is_none(), "somebody holds");
                acquire
            });
            if takes_first {
                waiting.reverse();
            }
            let [gives_up, mut takes] = waiting;
            guard.release().expect("it was held");
            let begun = token(&claim);
            let leaving = thread::spawn(move || drop(gives_up));
            let taking = thread::spawn(move || {
                // The guard goes only after the restart.
                let held = poll(&mut takes);
                (takes, held)
            });
            for released in party.process.restart() {
                released.expect("unlinked");
            }
            assert!(!claim.exists(), "a claim outlasted the restart");
            leaving.join().expect("no panic");
            let (_takes, held) = taking.join().expect("no panic");
            if let Some(Ok(guard)) = held {
                let counted = if guard.token() == begun { &went_on } else { &anew };
                counted.fetch_add(1, Ordering::Relaxed);
            }
            assert!(!claim.exists() && party.is_idle());
        });
    }
    let [went_on, anew] = [went_on, anew].map(|count| count.load(Ordering::Relaxed));
    let is_replayed = std::env::var_os("SCHEDULE").is_some();
    assert!(is_replayed || went_on > 0 && anew > 0, "{went_on} went on, {anew} began anew");
}

/// What the claim says.
fn token(claim: &Path) -> u64 {
    let content = Content::classify(&std::fs::read(claim).expect("there"));
    content.payload().and_then(|payload| payload.token).expect("a whole claim")
}
