//! Somebody deletes the claim or the state directory while the lock is held.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::event::{Event, ReleaseOutcome};
use session_lock::{Loss, LossCause, ReleaseError, TryAcquire};
use std::path::Path;
use std::time::{Duration, Instant};
use support::{LONG, Recorder, SHORT, lock_dir, release_deleted, wait_until};

fn count(recorder: &Recorder, wanted: impl Fn(&Event) -> bool) -> usize {
    recorder.events().iter().filter(|event| wanted(event)).count()
}

fn is_back(claim: &Path) -> impl FnMut() -> bool {
    move || claim.exists()
}

#[test]
fn a_deleted_claim_is_put_back_each_time() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let claim = dir.path().join("s.lock");
    let guard = locks.lock("s").blocking().expect("free");
    std::thread::sleep(SHORT);
    let mut took = Vec::new();
    for round in 1..=20 {
        std::fs::remove_file(&claim).expect("it was there");
        let began = Instant::now();
        wait_until(is_back(&claim));
        took.push(began.elapsed());
        wait_until(|| count(&recorder, |event| *event == Event::ClaimRestored) == round);
        assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    }
    took.sort();
    eprintln!("a deleted claim is back after {:?} (median), {:?} (longest)", took[10], took[19]);
    assert_eq!(guard.is_lost(), None);
    guard.release().expect("released");
    assert!(!claim.exists());
    assert_eq!(count(&recorder, |event| matches!(event, Event::Lost { .. })), 0);
}

#[tokio::test]
async fn a_replaced_claim_is_lost_and_stays_untouched() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let claim = dir.path().join("s.lock");
    let guard = locks.lock("s").await.expect("free");
    let theirs = dir.path().join("theirs");
    std::fs::write(&theirs, "{\"pid\":1}").expect("written");
    std::fs::rename(&theirs, &claim).expect("replaced");
    assert_eq!(tokio::time::timeout(LONG, guard.lost()).await, Ok(Loss::Replaced));
    assert_eq!(guard.is_lost(), Some(Loss::Replaced));
    let Err(ReleaseError::Lost { cause, .. }) = guard.release() else {
        panic!("a lost hold was released as if it were whole")
    };
    assert_eq!(cause, Loss::Replaced);
    assert_eq!(std::fs::read_to_string(&claim).expect("still theirs"), "{\"pid\":1}");
    assert_eq!(count(&recorder, |event| *event == Event::Lost { cause: LossCause::Replaced }), 1);
    assert_eq!(count(&recorder, |event| matches!(event, Event::Released { outcome: ReleaseOutcome::Lost, .. })), 1);
}

#[test]
fn a_claim_deleted_within_a_short_hold_is_found_at_the_release() {
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    for _ in 0..50 {
        let guard = locks.lock("s").blocking().expect("free");
        std::fs::remove_file(dir.path().join("s.lock")).expect("it was there");
        release_deleted(guard);
    }
    let restored = count(&recorder, |event| *event == Event::ClaimRestored);
    let lost = count(&recorder, |event| *event == Event::Lost { cause: LossCause::Deleted });
    assert_eq!(restored + lost, 50, "a deletion went unnoticed");
}

#[test]
fn deleting_everything_again_and_again_loses_no_acquire() {
    let (dir, locks) = lock_dir();
    let end = Instant::now() + Duration::from_millis(500);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < end {
                // Racing with the state directory's creation, so it may fail.
                std::fs::remove_dir_all(dir.path().join(".session-lock")).ok();
                std::fs::remove_file(dir.path().join("s.lock")).ok();
                // Faster than any lock could make it anew, and an acquire ends with an error that says so.
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let mut acquired = 0;
        while Instant::now() < end {
            drop(locks.lock("s").timeout(LONG).blocking().expect("free"));
            acquired += 1;
        }
        assert!(acquired > 0);
    });
}
