//! What killed processes leave beside their claims, and who removes it: spares, and state directories that were being made.

use super::sweeps::{counts, name, outcomes};
use super::{LONG, kill, stranger, strangers, wait_until};
use crate::LockDir;
use crate::sys::fork::in_child;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_killed_process_spare_is_removed_and_counted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let owner = in_child(|| {
        let Ok(locks) = LockDir::open(path) else { return 1 };
        for number in 0..8 {
            drop(locks.lock(&name(number)).blocking());
        }
        let Ok(_guard) = locks.lock(&name(8)).blocking() else { return 1 };
        fs::write(path.join("ready"), "").ok();
        std::thread::sleep(LONG);
        0
    });
    wait_until(|| path.join("ready").exists());
    let locks = stranger(path);
    let living = locks.sweep().blocking().expect("listed");
    assert_eq!((outcomes(&living), living.spares), (counts([("kept Busy", 1)]), 0));
    kill(owner);
    assert_eq!(locks.sweep().dry_run().blocking().expect("listed").spares, 0, "it is still a claim as well");
    let swept = locks.sweep().blocking().expect("listed");
    assert_eq!((outcomes(&swept), swept.spares), (counts([("removed OwnerExited", 1)]), 1));
    let again = locks.sweep().blocking().expect("listed");
    assert_eq!((again.claims.len(), again.spares), (0, 0));
}

/// More than an acquire looks at.
#[test]
fn all_spares_of_killed_processes_are_removed() {
    let (dir, locks, _) = strangers();
    drop(locks.lock("s").blocking().expect("free"));
    let state = dir.path().join(".session-lock");
    let files = || fs::read_dir(&state).expect("readable").count();
    let before = files();
    for number in 0..1_100 {
        fs::write(state.join(format!("spare-{number:032x}")), "").expect("written");
    }
    assert_eq!(locks.sweep().dry_run().blocking().expect("listed").spares, 1_100);
    assert_eq!(locks.sweep().blocking().expect("listed").spares, 1_100);
    assert_eq!(files(), before);
}

/// A process that is killed while it makes the state directory leaves that under a name of its own.
#[test]
fn what_is_left_of_making_the_state_directory_is_removed() {
    let (dir, locks, _) = strangers();
    let left = |digits: &str| dir.path().join(format!(".session-lock-{digits}"));
    let unfinished = left("0123456789abcdef0123456789abcdef");
    let kept = [
        left("0123456789abcdef"),
        left("0123456789ABCDEF0123456789ABCDEF"),
        left(&"0".repeat(32)),
        left(&"1".repeat(32)),
    ];
    for path in kept.iter().take(3).chain([&unfinished]) {
        fs::create_dir(path).expect("made");
    }
    fs::write(kept[2].join("something"), "").expect("written");
    std::os::unix::fs::symlink(&kept[0], &kept[3]).expect("linked");
    assert_eq!(locks.sweep().dry_run().blocking().expect("listed").unfinished, 1);
    assert!(unfinished.exists(), "a dry run removed something");
    assert_eq!(locks.sweep().blocking().expect("listed").unfinished, 1);
    assert!(!unfinished.exists());

    fs::create_dir(&unfinished).expect("made");
    drop(locks.lock("s").blocking().expect("free"));
    assert!(!unfinished.exists(), "whoever makes the state directory removes it as well");
    assert!(kept.iter().all(|path| fs::symlink_metadata(path).is_ok()), "something else was removed");
}

/// A sweep takes the directory that an acquire is just making for one that a killed process left.
#[test]
fn a_sweep_beside_the_first_acquire_does_no_harm() {
    let (dir, locks, sweeper) = strangers();
    let state = dir.path().join(".session-lock");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sweeper.sweep().blocking().expect("listed");
            }
        });
        for _ in 0..200 {
            let acquired = locks.lock("s").timeout(LONG).blocking();
            stop.store(acquired.is_err(), Ordering::Relaxed);
            drop(acquired.expect("free"));
            // The counters of the acquire before may come into it while it is removed.
            let removed = (0..100).any(|_| fs::remove_dir_all(&state).is_ok());
            stop.store(!removed, Ordering::Relaxed);
            assert!(removed, "nobody holds");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
