//! Directories in which locks cannot be had, or not yet: a typed error that says why, nothing left over, and the same handle
//! works once the cause is gone.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use nix::libc;
use nix::sys::stat::{Mode, umask};
use session_lock::{LockDir, LockError, Loss, OpenError};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use support::sandbox::{Needs, become_user, isolated, skipped};
use support::snapshot::snapshot;
use support::spans::Collector;
use support::{LONG, SHORT, lock_dir, read_lock, release_deleted, the_arbiter, wait_until};
use tempfile::TempDir;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

fn lock(locks: &LockDir) -> Result<(), LockError> {
    locks.lock("s").timeout(LONG).blocking()?.release().expect("released");
    Ok(())
}

/// The system call's error, with its message's remedy.
#[track_caller]
fn assert_fails(error: &LockError, errno: i32, remedy: &str) {
    let LockError::System(system) = error else { panic!("{error}") };
    assert_eq!(system.cause.raw_os_error(), Some(errno), "{error}");
    assert!(error.to_string().contains(remedy), "{error}");
}

/// A directory of an ordinary user, who this process is from now on.
fn users_directory() -> (TempDir, LockDir) {
    let dir = TempDir::new().expect("made");
    chown(dir.path(), Some(1001), Some(1001)).expect("root may");
    become_user(1001, 1001, &[]);
    let locks = LockDir::open(dir.path()).expect("ours");
    (dir, locks)
}

/// Before there is a state directory, and with one.
fn without_permission(mode: u32) {
    let (dir, _) = users_directory();
    for first in [true, false] {
        chmod(dir.path(), mode);
        let locks = LockDir::open(dir.path()).expect("opening asks for nothing");
        let before = snapshot(dir.path());
        assert_fails(&lock(&locks).expect_err("no permission"), libc::EACCES, "write and search");
        assert_eq!(snapshot(dir.path()), before);
        chmod(dir.path(), 0o700);
        assert_eq!(dir.path().join(".session-lock").exists(), !first);
        lock(&locks).expect("permitted again");
        drop(locks);
        // What was made by a handle from before must do for everybody after.
        lock(&LockDir::open(dir.path()).expect("open")).expect("another handle");
        let arbiter = fs::metadata(the_arbiter(dir.path())).expect("there");
        assert_eq!(arbiter.permissions().mode() & 0o600, 0o600, "its owner may read and write it");
    }
}

/// A umask that takes the owner's own permissions: what is made has what the directory has all the same.
#[test]
fn a_umask_that_keeps_its_own_user_out() {
    isolated("a_umask_that_keeps_its_own_user_out", Needs::Root, || {
        let (dir, locks) = users_directory();
        umask(Mode::from_bits_truncate(0o777));
        lock(&locks).expect("the umask takes nothing");
        for made in [dir.path().join(".session-lock"), the_arbiter(dir.path())] {
            let mode = fs::metadata(&made).expect("there").permissions().mode();
            assert_eq!(mode & 0o600, 0o600, "{}: {mode:o}", made.display());
        }
    });
}

#[test]
fn a_directory_that_may_not_be_written() {
    isolated("a_directory_that_may_not_be_written", Needs::Root, || without_permission(0o555));
}

#[test]
fn a_directory_that_may_not_be_searched() {
    isolated("a_directory_that_may_not_be_searched", Needs::Root, || without_permission(0o000));
}

#[test]
fn a_state_directory_that_may_not_be_searched() {
    isolated("a_state_directory_that_may_not_be_searched", Needs::Root, || {
        let (dir, locks) = users_directory();
        let state = dir.path().join(".session-lock");
        fs::create_dir(&state).expect("made");
        for mode in [0o000, 0o600, 0o500] {
            chmod(&state, mode);
            assert_fails(&lock(&locks).expect_err("no permission"), libc::EACCES, ".session-lock");
            chmod(&state, 0o700);
            assert_eq!(fs::read_dir(&state).expect("readable").count(), 0, "mode {mode:o}");
        }
        lock(&locks).expect("permitted again");
    });
}

#[test]
fn a_directory_that_is_missing_or_none() {
    let base = TempDir::new().expect("made");
    let path = base.path().join("sessions");
    let failed = |errno| match LockDir::open(&path) {
        Err(OpenError::System(error)) => assert_eq!(error.cause.raw_os_error(), Some(errno), "{error}"),
        other => panic!("{other:?}"),
    };
    failed(libc::ENOENT);
    assert!(!path.exists(), "opening makes no directory");
    fs::write(&path, "").expect("written");
    failed(libc::ENOTDIR);
    fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink("sessions", &path).expect("made");
    failed(libc::ELOOP);
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    lock(&LockDir::open(&path).expect("it is there")).expect("free");
}

#[test]
fn a_directory_for_everybody() {
    for mode in [0o1700, 0o702, 0o777, 0o1777] {
        let dir = TempDir::new().expect("made");
        chmod(dir.path(), mode);
        match LockDir::open(dir.path()) {
            Err(OpenError::Permissions { path, permissions }) => {
                assert_eq!((path.as_path(), permissions), (dir.path(), mode));
            }
            other => panic!("{mode:o}: {other:?}"),
        }
        assert!(snapshot(dir.path()).is_empty());
        lock(&LockDir::options().any_permissions().open(dir.path()).expect("on the caller's word")).expect("free");
        drop(fs::remove_dir_all(dir.path().join(".session-lock")));
        chmod(dir.path(), 0o770);
        lock(&LockDir::open(dir.path()).expect("for a group")).expect("free");
    }
}

/// A handle is on the directory, not on its path, and says so when that is gone.
#[test]
fn a_directory_that_is_removed_while_it_is_open() {
    for holds in [0, 1, 16] {
        let base = TempDir::new().expect("made");
        let path = base.path().join("sessions");
        fs::create_dir(&path).expect("made");
        let locks = LockDir::open(&path).expect("open");
        for _ in 0..holds {
            lock(&locks).expect("free");
        }
        fs::remove_dir_all(&path).expect("removed");
        for _ in 0..2 {
            assert_fails(&lock(&locks).expect_err("gone"), libc::ENOENT, "opened again");
        }
        fs::create_dir(&path).expect("made");
        assert_fails(&lock(&locks).expect_err("another directory"), libc::ENOENT, "opened again");
        lock(&LockDir::open(&path).expect("open")).expect("free");
    }
}

#[test]
fn a_directory_that_is_removed_within_a_hold() {
    for pause in [false, true] {
        let base = TempDir::new().expect("made");
        let path = base.path().join("sessions");
        fs::create_dir(&path).expect("made");
        let locks = LockDir::open(&path).expect("open");
        let guard = locks.lock("s").blocking().expect("free");
        if pause {
            std::thread::sleep(SHORT);
        }
        // The claim may be put back while the directory is emptied.
        wait_until(|| fs::remove_dir_all(&path).is_ok());
        if pause {
            std::thread::sleep(SHORT);
        }
        assert_ne!(guard.is_lost(), Some(Loss::Replaced));
        release_deleted(guard);
        assert_fails(&lock(&locks).expect_err("gone"), libc::ENOENT, "opened again");
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    Command::new("mount").args(arguments).arg(at).status().is_ok_and(|status| status.success())
}

/// The kernel refuses to make a file system read-only while an arbiter is open, so this is about handles that have none.
#[test]
fn a_file_system_that_is_mounted_for_reading() {
    isolated("a_file_system_that_is_mounted_for_reading", Needs::Mounts, || {
        let dir = TempDir::new().expect("made");
        assert!(mount(&["-t", "tmpfs", "-o", "mode=0700", "none"], dir.path()));
        for _ in 0..2 {
            let locks = LockDir::open(dir.path()).expect("open");
            let before = snapshot(dir.path());
            assert!(mount(&["-o", "remount,ro"], dir.path()));
            for _ in 0..2 {
                assert_fails(&lock(&locks).expect_err("read-only"), libc::EROFS, "for writing");
            }
            assert_eq!(snapshot(dir.path()), before);
            assert!(mount(&["-o", "remount,rw"], dir.path()));
            lock(&locks).expect("writable again");
        }
    });
}

/// The release says that it could not remove the claim, and the next acquire gets past that.
#[test]
fn a_directory_that_may_not_be_written_any_more_within_a_hold() {
    isolated("a_directory_that_may_not_be_written_any_more_within_a_hold", Needs::Root, || {
        let (dir, locks) = users_directory();
        let (seen, _listening) = Collector::listen();
        for _ in 0..16 {
            let guard = locks.lock("s").timeout(LONG).blocking().expect("an owner that is gone");
            chmod(dir.path(), 0o500);
            let error = guard.release().expect_err("the claim cannot be removed");
            assert!(error.to_string().contains("write and search"), "{error}");
            assert!(dir.path().join("s.lock").exists());
            let (hold, release) = (seen.last("session_lock.hold"), seen.last("session_lock.release"));
            assert!(
                [&hold, &release].iter().all(|span| span.is_closed && span.field("session_lock.outcome") == "error")
            );
            assert_eq!((release.field("error.type"), release.field("otel.status_code")), ("system", "ERROR"));
            assert_eq!(release.field("error.message"), error.to_string());
            chmod(dir.path(), 0o700);
        }
        lock(&locks).expect("an owner that is gone");
        drop(locks);
        assert!(snapshot(dir.path()).is_empty());
    });
}

#[test]
fn a_file_system_that_is_not_on_the_list() {
    match LockDir::open("/proc") {
        Err(OpenError::FileSystem { path, kind }) => assert_eq!((path.as_path(), &*kind), (Path::new("/proc"), "proc")),
        other => panic!("{other:?}"),
    }
    isolated("a_file_system_that_is_not_on_the_list", Needs::Mounts, || {
        let dir = TempDir::new().expect("made");
        if !mount(&["-t", "ramfs", "-o", "mode=0700", "none"], dir.path()) {
            return skipped("a_file_system_that_is_not_on_the_list", "ramfs");
        }
        match LockDir::open(dir.path()) {
            Err(error @ OpenError::FileSystem { .. }) => {
                let text = error.to_string();
                assert!(text.contains("ramfs") && text.contains("any_file_system"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        assert!(snapshot(dir.path()).is_empty());
        lock(&LockDir::options().any_file_system().open(dir.path()).expect("on the caller's word")).expect("free");
    });
}

/// Whoever may read a file may take a read lock on it. That keeps everybody out for as long as it lasts, and no longer.
#[test]
fn a_readers_lock_is_waited_for() {
    let waits = |locks: &LockDir| {
        let error = locks.lock("s").timeout(SHORT).blocking().expect_err("locked");
        assert!(matches!(error, LockError::Timeout { .. }), "{error}");
    };
    let (dir, locks) = lock_dir();
    lock(&locks).expect("free");
    let reader = read_lock(&the_arbiter(dir.path()));
    let before = snapshot(dir.path());
    waits(&locks);
    assert_eq!(snapshot(dir.path()), before);
    drop(reader);
    lock(&locks).expect("the arbiter is free again");

    let claim = dir.path().join("s.lock");
    fs::write(&claim, "{\"pid\":1}").expect("written");
    let reader = read_lock(&claim);
    let before = snapshot(dir.path());
    waits(&locks);
    assert_eq!(snapshot(dir.path()), before);
    drop(reader);
    lock(&locks).expect("the claim is free again");
}
