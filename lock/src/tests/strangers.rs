//! Two processes, one directory: what the kernel decides.

use super::{LONG, SHORT, somebody_waits, stranger, strangers, wait_until};
use crate::{LockError, TryAcquire};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[test]
fn another_process_waits_and_is_served() {
    let (_dir, one, other) = strangers();
    let guard = one.lock("s").blocking().expect("free");
    assert!(matches!(other.try_lock("s"), Ok(TryAcquire::Busy(_))));
    assert!(matches!(other.lock("s").timeout(SHORT).blocking(), Err(LockError::Timeout { .. })));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| other.lock("s").timeout(LONG).blocking().expect("released").token());
        wait_until(|| somebody_waits(&other));
        let token = guard.token();
        drop(guard);
        assert!(waiter.join().expect("no panic") > token);
    });
}

/// A request that is parked in the kernel's queue cannot be called off. The grant goes to the next one who wants it, and
/// back to the kernel if nobody does.
#[test]
fn a_grant_nobody_wants_is_handed_on() {
    let (_dir, one, other) = strangers();
    let guard = one.lock("s").blocking().expect("free");
    for _ in 0..3 {
        assert!(matches!(other.lock("s").timeout(SHORT).blocking(), Err(LockError::Timeout { .. })));
    }
    assert!(matches!(other.try_lock("s"), Ok(TryAcquire::Busy(_))));
    drop(guard);
    // The parked thread gets the range, finds nobody, and gives it back.
    wait_until(|| matches!(one.try_lock("s"), Ok(TryAcquire::Acquired(_))));
    wait_until(|| matches!(other.try_lock("s"), Ok(TryAcquire::Acquired(_))));
}

/// While a request is parked, the process leaves the range alone: a try through the same description would be granted.
#[test]
fn a_try_beside_a_parked_request_is_busy_and_the_parked_one_is_served() {
    let (_dir, one, other) = strangers();
    let guard = one.lock("s").blocking().expect("free");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| drop(other.lock("s").timeout(LONG).blocking().expect("released")));
        wait_until(|| somebody_waits(&other));
        for _ in 0..100 {
            assert!(matches!(other.try_lock("s"), Ok(TryAcquire::Busy(_))));
        }
        drop(guard);
        waiter.join().expect("no panic");
    });
}

#[test]
fn a_stampede_has_one_holder_at_a_time() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let inside = AtomicU32::new(0);
    let acquired = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (locks, inside, acquired) = (stranger(dir.path()), &inside, &acquired);
            scope.spawn(move || {
                for _ in 0..250 {
                    let guard = locks.lock("s").timeout(LONG).blocking().expect("its turn comes");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    acquired.fetch_add(1, Ordering::SeqCst);
                    guard.release().expect("released");
                }
            });
        }
    });
    assert_eq!(acquired.load(Ordering::SeqCst), 2000);
}

/// The arbiter of the removed state directory and that of the new one know nothing of each other; the claim's own lock
/// does.
#[test]
fn removing_the_state_directory_makes_no_second_holder() {
    let (dir, one, other) = strangers();
    let guard = one.lock("s").blocking().expect("free");
    std::fs::remove_dir_all(dir.path().join(".session-lock")).expect("removed");
    assert!(matches!(other.try_lock("s"), Ok(TryAcquire::Busy(_))));
    assert!(matches!(other.lock("s").timeout(SHORT).blocking(), Err(LockError::Timeout { .. })));
    guard.release().expect("released");
    drop(other.lock("s").timeout(LONG).blocking().expect("free"));
    drop(one.lock("s").timeout(LONG).blocking().expect("free, with the new arbiter"));
    assert!(dir.path().join(".session-lock").exists());
}

#[test]
fn removing_the_claim_makes_no_second_holder() {
    let (dir, one, other) = strangers();
    let claim = dir.path().join("s.lock");
    let guard = one.lock("s").blocking().expect("free");
    for _ in 0..10 {
        std::fs::remove_file(&claim).ok();
        assert!(matches!(other.try_lock("s"), Ok(TryAcquire::Busy(_))));
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(guard);
    drop(other.lock("s").timeout(LONG).blocking().expect("free"));
}

#[test]
fn tokens_grow_over_processes() {
    let (_dir, one, other) = strangers();
    let mut last = 0;
    for locks in [&one, &other, &one, &one, &other] {
        let guard = locks.lock("s").blocking().expect("free");
        assert!(guard.token() > last);
        last = guard.token();
    }
}

/// The only arbiter of a directory in which one session was locked.
fn the_arbiter(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir.join(".session-lock")).expect("readable");
    let mut paths = entries.map(|entry| entry.expect("readable").path());
    paths.find(|path| path.to_string_lossy().contains("/arbiter-")).expect("one")
}

/// What a machine's crash may do to the arbiter: the last appends are gone, and the boot is another one.
#[test]
fn tokens_grow_over_a_reboot_that_loses_appends() {
    let (dir, one, _) = strangers();
    let mut last = 0;
    for _ in 0..5 {
        last = one.lock("s").blocking().expect("free").token();
    }
    drop(one);
    let arbiter = the_arbiter(dir.path());
    let mut bytes = std::fs::read(&arbiter).expect("readable");
    bytes.truncate(65);
    bytes[16..48].copy_from_slice(&crate::arbiter::record(&[9; 16], 0));
    std::fs::write(&arbiter, bytes).expect("written");
    let after = stranger(dir.path()).lock("s").blocking().expect("free").token();
    assert!(after > last, "{after} after {last}");
    assert_eq!(after, 1 << 40 | 2);
    assert_eq!(stranger(dir.path()).lock("s").blocking().expect("free").token(), after + 1);
}

#[test]
fn a_damaged_arbiter_is_an_error_that_says_so() {
    let (dir, one, other) = strangers();
    drop(one.lock("s").blocking().expect("free"));
    let arbiter = the_arbiter(dir.path());
    std::fs::write(arbiter, "damage").expect("written");
    let error = other.lock("s").blocking().expect_err("its header is gone");
    assert!(error.to_string().contains("header is damaged"), "{error}");
}
