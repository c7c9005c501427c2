//! The spare: kept between holds, given up when somebody has touched it, gone with the directory or its successor.

use super::{LONG, exit_code, kill, stranger, wait_until};
use crate::sys::fork::in_child;
use crate::{LockDir, LockError, TryAcquire};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn spares(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(".session-lock")).expect("readable");
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths.filter(|path| path.to_string_lossy().contains("/spare-")).collect()
}

fn holds(locks: &LockDir, count: usize) {
    for _ in 0..count {
        locks.lock("s").timeout(LONG).blocking().expect("free").release().expect("released");
    }
}

fn assert_free_at_once(locks: &LockDir) {
    match locks.try_lock("s") {
        Ok(TryAcquire::Acquired(guard)) => drop(guard),
        other => panic!("a dead owner's lock is free at once, but: {other:?}"),
    }
}

fn claim_inode(locks: &LockDir, claim: &Path) -> u64 {
    let _guard = locks.lock("s").timeout(LONG).blocking().expect("free");
    fs::metadata(claim).expect("the claim is there").ino()
}

#[test]
fn a_process_that_locks_again_and_again_keeps_one_inode_and_leaves_none() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (locks, claim) = (stranger(dir.path()), dir.path().join("s.lock"));
    holds(&locks, 7);
    assert!(spares(dir.path()).is_empty(), "a process that locks a few times has no spare");
    holds(&locks, 1);
    assert_eq!(spares(dir.path()).len(), 1);
    let inode = claim_inode(&locks, &claim);
    assert_eq!(claim_inode(&locks, &claim), inode);
    assert!(!claim.exists(), "only the spare's own name is left after a release");
    let other = locks.lock("s").blocking().expect("free");
    drop(locks.lock("t").blocking().expect("a second hold has a claim of its own"));
    drop(other);
    assert_eq!(spares(dir.path()).len(), 1);
    drop(locks);
    assert!(spares(dir.path()).is_empty(), "the spare goes with the directory");
}

type Touch = fn(&Path);

/// Within a hold, at the claim's path, or between holds, at the spare's own name: a backup that makes links, an editor, rm.
const TOUCHES: [(&str, Touch); 4] = [
    ("linked", |claim| fs::hard_link(claim, claim.with_extension("link")).expect("linked")),
    ("extended", |claim| fs::write(claim, [b'x'; 5000]).expect("written")),
    ("chmod", |claim| fs::set_permissions(claim, fs::Permissions::from_mode(0o777)).expect("chmod")),
    ("deleted", |claim| fs::remove_file(claim).expect("removed")),
];

#[test]
fn a_spare_that_somebody_touched_is_given_up() {
    for (what, touch) in TOUCHES {
        for idle in [false, true] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let (locks, claim) = (stranger(dir.path()), dir.path().join("s.lock"));
            holds(&locks, 8);
            let [spare] = spares(dir.path()).try_into().expect("one spare");
            let touched = fs::File::open(&spare).expect("readable");
            if idle {
                touch(&spare);
            } else {
                let guard = locks.lock("s").blocking().expect("free");
                touch(&claim);
                drop(guard);
            }
            let guard = locks.lock("s").timeout(LONG).blocking().expect("free");
            let kept = touched.metadata().expect("readable").ino();
            let metadata = fs::metadata(&claim).expect("the claim is there");
            assert_ne!(metadata.ino(), kept, "{what}, idle: {idle}");
            let mode = fs::metadata(dir.path()).expect("there").permissions().mode() & 0o666;
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{what}, idle: {idle}");
            let text = fs::read(&claim).expect("readable");
            serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
            guard.release().expect("released");
            holds(&locks, 16);
            let left = spares(dir.path()).into_iter().filter(|path| path.extension().is_none()).count();
            assert_eq!(left, 1, "{what}, idle: {idle}");
        }
    }
}

/// What a power loss may leave of a spare that was a claim: both names, and none of what was written.
#[test]
fn a_claim_that_lost_its_content_is_taken_over_after_the_grace() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    holds(&stranger(dir.path()), 1);
    for content in ["", "{\"pid\":1,"] {
        let spare = dir.path().join(".session-lock/spare-00000000000000000000000000000001");
        fs::write(&spare, content).expect("written");
        fs::hard_link(&spare, dir.path().join("s.lock")).expect("linked");
        holds(&stranger(dir.path()), 1);
        assert!(!dir.path().join("s.lock").exists());
        fs::remove_file(&spare).expect("its own name is still there");
    }
}

/// A backup with hard links (`cp -al`) is no reason to refuse a dead owner's claim.
#[test]
fn a_claim_of_ours_with_more_links_is_taken_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let owner = in_child(|| {
        let Ok(locks) = LockDir::open(path) else { return 1 };
        holds(&locks, 8);
        let Ok(guard) = locks.lock("s").blocking() else { return 1 };
        fs::hard_link(path.join("s.lock"), path.join("backup")).ok();
        std::mem::forget(guard);
        0
    });
    assert_eq!(exit_code(owner), Some(0));
    assert!(path.join("s.lock").exists(), "the owner ended without a release");
    assert_free_at_once(&stranger(path));
}

#[test]
fn a_spare_whose_name_is_gone_is_replaced() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let locks = stranger(dir.path());
    for _ in 0..3 {
        holds(&locks, 8);
        fs::remove_dir_all(dir.path().join(".session-lock")).expect("removed");
        holds(&locks, 1);
    }
    holds(&locks, 8);
    assert_eq!(spares(dir.path()).len(), 1);
}

/// A killed process leaves its spare, and perhaps as a claim. The claim is taken over at once, and whoever makes a spare
/// next removes what is left.
#[test]
fn a_dead_process_spare_is_removed_by_the_next() {
    for inside in [false, true] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path();
        let owner = in_child(|| {
            let Ok(locks) = LockDir::open(path) else { return 1 };
            holds(&locks, 8);
            let Ok(guard) = locks.lock("s").blocking() else { return 1 };
            if !inside {
                drop(guard);
            }
            fs::write(path.join("ready"), "").ok();
            std::thread::sleep(LONG);
            0
        });
        wait_until(|| path.join("ready").exists());
        let locks = stranger(path);
        assert_eq!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))), inside);
        kill(owner);
        let [left] = spares(path).try_into().expect("the dead process left its spare");
        assert_free_at_once(&locks);
        holds(&locks, 16);
        assert!(!left.exists(), "the dead process's spare is still there");
        assert_eq!(spares(path).len(), 1);
    }
}

/// Two names are a spare's only if the content is a claim of this crate.
#[test]
fn a_second_link_to_something_else_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let locks = stranger(dir.path());
    for content in ["", "{", "{\"pid\":1}", "{\"v\":2}"] {
        let victim = dir.path().join("victim");
        fs::write(&victim, content).expect("written");
        fs::hard_link(&victim, dir.path().join("s.lock")).expect("linked");
        assert!(matches!(locks.try_lock("s"), Err(LockError::NotAClaim { .. })), "{content:?}");
        assert_eq!(fs::read_to_string(&victim).expect("readable"), content);
        fs::remove_file(dir.path().join("s.lock")).expect("removed");
    }
}
