//! Somebody exchanges what is at the paths while they are used, or waits at a FIFO for somebody to open it.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use session_lock::{LockDir, LockError};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::snapshot::snapshot;
use support::{LONG, lock_dir, try_write_lock, wait_until};

/// Opening a FIFO wakes whoever waits for its other end: a log reader that starts for nobody, a writer that dies of SIGPIPE.
#[test]
fn whoever_waits_at_a_fifo_is_not_woken() {
    for reads in [true, false] {
        for place in ["s.lock", ".session-lock", "arbiter", ".session-lock/spare-0123456789abcdef0123456789abcdef"] {
            let (dir, locks) = lock_dir();
            let mut path = dir.path().join(place);
            if !["s.lock", ".session-lock"].contains(&place) {
                drop(locks.lock("s").blocking().expect("free"));
            }
            if place == "arbiter" {
                path = support::the_arbiter(dir.path());
                fs::remove_file(&path).expect("removed");
            }
            mkfifo(&path, Mode::from_bits_truncate(0o600)).expect("made");
            let opened = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let blocked = scope.spawn(|| {
                    let file = OpenOptions::new().read(reads).write(!reads).open(&path).expect("opened");
                    opened.store(true, Ordering::SeqCst);
                    file
                });
                // Until it waits in open(2); the kernel shows the system call only to some.
                std::thread::sleep(Duration::from_millis(20));
                for _ in 0..16 {
                    match locks.lock("s").timeout(LONG).blocking() {
                        Ok(guard) => guard.release().expect("released"),
                        Err(LockError::NotAClaim { .. } | LockError::State { .. }) => {}
                        Err(error) => panic!("{place}: {error}"),
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
                assert!(!opened.load(Ordering::SeqCst), "{place}: it was woken");
                let _other_end = OpenOptions::new().read(true).write(true).open(&path).expect("opened");
                blocked.join().expect("opened");
            });
        }
    }
}

/// Puts the next thing at the path, whatever is there.
fn swap(round: usize, path: &Path, outside: &Path) {
    if path.symlink_metadata().is_ok() {
        // A claim may be there by now, or be gone.
        fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)).ok();
    }
    match round % 7 {
        0 => symlink(outside.join("victim"), path),
        1 => fs::hard_link(outside.join("victim"), path),
        2 => fs::create_dir(path),
        3 => mkfifo(path, Mode::from_bits_truncate(0o600)).map_err(std::io::Error::from),
        4 => fs::write(path, "{\"pid\":1}"),
        5 => symlink(outside.join("directory"), path),
        _ => symlink(outside.join("nowhere"), path),
    }
    // A claim of the lock may be quicker.
    .ok();
}

/// Acquires and releases while `path` is swapped, with the victim's content, identity and locks watched.
fn swapped(dir: &Path, locks: &LockDir, path: &Path) {
    let outside = tempfile::tempdir().expect("made");
    let victim = outside.path().join("victim");
    fs::write(&victim, "{\"pid\":1}").expect("written");
    fs::create_dir(outside.path().join("directory")).expect("made");
    let before = snapshot(outside.path());
    let end = Instant::now() + Duration::from_millis(700);
    let over = || Instant::now() >= end;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if over() {
                    break;
                }
                swap(round, path, outside.path());
            }
        });
        scope.spawn(|| {
            let victim = OpenOptions::new().read(true).write(true).open(&victim).expect("opened");
            while !over() {
                assert!(try_write_lock(&victim), "somebody has locked the victim");
            }
        });
        scope.spawn(|| {
            while !over() {
                match locks.lock("s").timeout(Duration::from_millis(20)).blocking() {
                    // Somebody else's file may be there, or a directory; the lock is free in any case.
                    Ok(guard) => drop(guard),
                    Err(
                        LockError::NotAClaim { .. }
                        | LockError::Timeout { .. }
                        | LockError::State { .. }
                        | LockError::System(_),
                    ) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    });
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)).expect("removed");
    }
    assert_eq!(snapshot(outside.path()), before, "the victim was changed or a link followed");
    wait_until(|| match locks.lock("s").timeout(LONG).blocking() {
        Ok(guard) => guard.release().is_ok(),
        Err(error) => panic!("the swapping is over, but: {error}"),
    });
    let left: Vec<_> = snapshot(dir).into_keys().filter(|path| !path.starts_with(dir.join(".session-lock"))).collect();
    assert!(left.is_empty(), "left over: {left:?}");
}

#[test]
fn a_claims_path_that_is_swapped_harms_nobody() {
    let (dir, locks) = lock_dir();
    swapped(dir.path(), &locks, &dir.path().join("s.lock"));
}

#[test]
fn a_state_directory_that_is_swapped_harms_nobody() {
    let (dir, locks) = lock_dir();
    swapped(dir.path(), &locks, &dir.path().join(".session-lock"));
}

#[test]
fn an_arbiter_that_is_swapped_harms_nobody() {
    let (dir, locks) = lock_dir();
    drop(locks.lock("s").blocking().expect("free"));
    let arbiter = support::the_arbiter(dir.path());
    swapped(dir.path(), &locks, &arbiter);
}
