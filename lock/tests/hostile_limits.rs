//! Limits of the process and of the user: a typed error that names the limit, nothing left over, and once there is room again
//! the same process locks.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use nix::libc;
use rustix::fs::inotify;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use session_lock::error::SystemError;
use session_lock::{LockDir, LockError, OpenError};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;
use support::sandbox::{Needs, become_user, isolated, role, skipped, start};
use support::snapshot::snapshot;
use support::{LONG, SHORT, release_deleted, wait_until};
use tempfile::TempDir;

fn open(dir: &Path) -> Result<LockDir, OpenError> {
    LockDir::options().grace(Duration::from_millis(5)).open(dir)
}

fn lock(locks: &LockDir) -> Result<(), LockError> {
    locks.lock("s").timeout(LONG).blocking()?.release().expect("released");
    Ok(())
}

/// A waiter's thread may be the last to have the directory, and the spare goes with that.
fn nothing_is_left(dir: &Path) {
    wait_until(|| snapshot(dir).is_empty());
}

/// Runs `act` with a lower limit; the hard one stays, so that it can be raised again.
fn limited<T>(resource: Resource, limit: u64, act: impl FnOnce() -> T) -> T {
    let before = getrlimit(resource);
    setrlimit(resource, Rlimit { current: Some(limit), maximum: before.maximum }).expect("lowered");
    let result = act();
    setrlimit(resource, before).expect("raised again");
    result
}

#[track_caller]
fn assert_names_limit(error: &SystemError, errno: i32, limit: &str) {
    assert_eq!(error.cause.raw_os_error(), Some(errno), "{error}");
    assert!(error.to_string().contains(limit), "{error}");
}

/// A write beyond the limit raises SIGXFSZ, which kills.
#[test]
fn a_limit_of_file_sizes() {
    isolated("a_limit_of_file_sizes", Needs::Nothing, || {
        for limit in [0, 1, 63, 64, 65, 100, 4000, 4095, 4096] {
            for holds in [0, 1, 16] {
                let dir = TempDir::new().expect("made");
                let locks = open(dir.path()).expect("open");
                for _ in 0..holds {
                    lock(&locks).expect("free");
                }
                let before = snapshot(dir.path());
                match limited(Resource::Fsize, limit, || lock(&locks)) {
                    Err(LockError::System(error)) => assert_names_limit(&error, libc::EFBIG, "ulimit -f"),
                    other => panic!("{limit}: {other:?}"),
                }
                assert_eq!(snapshot(dir.path()), before, "{limit}");
                lock(&locks).expect("raised again");
            }
        }
    });
}

/// The claim is deleted, and a file must not grow: nothing dies, and the release is fine.
#[test]
fn a_limit_of_file_sizes_within_a_hold() {
    isolated("a_limit_of_file_sizes_within_a_hold", Needs::Nothing, || {
        let dir = TempDir::new().expect("made");
        let locks = open(dir.path()).expect("open");
        let guard = locks.lock("s").blocking().expect("free");
        limited(Resource::Fsize, 0, || {
            fs::remove_file(dir.path().join("s.lock")).expect("it was there");
            std::thread::sleep(SHORT);
            release_deleted(guard);
        });
        lock(&locks).expect("raised again");
        assert!(snapshot(dir.path()).is_empty());
    });
}

/// How many descriptors the process needs for what `limited_files` does is found by trying every number.
const MOST_FILES: u64 = 40;

/// With so few descriptors, each acquire works or says that there are too few; free, and with a foreign claim in the way.
fn limited_files(dir: &Path, limit: u64) -> bool {
    let claim = dir.join("s.lock");
    let check = |error: &SystemError| assert_names_limit(error, libc::EMFILE, "ulimit -n");
    let attempt = |locks: Option<&LockDir>| match locks.map_or_else(|| open(dir), |locks| Ok(locks.clone())) {
        Err(OpenError::System(error)) => {
            check(&error);
            false
        }
        Err(error) => panic!("{limit}: {error}"),
        Ok(locks) => match locks.lock("s").timeout(SHORT).blocking() {
            Ok(guard) => {
                guard.release().expect("a release needs no descriptor");
                true
            }
            Err(LockError::System(error)) => {
                check(&error);
                false
            }
            Err(LockError::Timeout { .. }) => true,
            Err(error) => panic!("{limit}: {error}"),
        },
    };
    let free = limited(Resource::Nofile, limit, || attempt(None));
    assert!(snapshot(dir).is_empty(), "{limit}: {:?}", snapshot(dir));
    fs::write(&claim, "{\"pid\":1}").expect("written");
    let owner = OpenOptions::new().write(true).open(&claim).expect("opened");
    let before = snapshot(dir);
    let waited = limited(Resource::Nofile, limit, || attempt(None));
    assert_eq!(snapshot(dir), before, "{limit}");
    drop(owner);
    let locks = open(dir).expect("raised again");
    let many = limited(Resource::Nofile, limit, || (0..16).all(|_| attempt(Some(&locks))));
    lock(&locks).unwrap_or_else(|error| panic!("raised again from {limit}: {error}"));
    drop(locks);
    nothing_is_left(dir);
    free && waited && many
}

#[test]
fn a_limit_of_open_files() {
    const TEST: &str = "a_limit_of_open_files";
    let number = |role: String| role.strip_prefix("files-").and_then(|limit| limit.parse().ok());
    if let Some(limit) = role().and_then(number) {
        // The first open of this process is under the limit.
        let dir = TempDir::new().expect("made");
        limited_files(dir.path(), limit);
        return;
    }
    isolated(TEST, Needs::Nothing, || {
        let mut enough = None;
        for limit in 0..=MOST_FILES {
            let dir = TempDir::new().expect("made");
            if limited_files(dir.path(), limit) {
                enough = enough.or(Some(limit));
            } else {
                assert_eq!(enough, None, "{limit} is not enough, but less was");
            }
        }
        assert!(enough.is_some_and(|enough| enough > 3), "{enough:?}");
        for limit in 0..=enough.unwrap_or(MOST_FILES) {
            let status = start(TEST, &format!("files-{limit}")).wait().expect("ended");
            assert!(status.success(), "with {limit} files a fresh process: {status}");
        }
    });
}

/// The limit counts a user's processes, so it needs a user that has no others.
#[test]
fn a_limit_of_threads() {
    isolated("a_limit_of_threads", Needs::Root, || {
        let dir = TempDir::new().expect("made");
        chown(dir.path(), Some(64_321), Some(64_321)).expect("root may");
        become_user(64_321, 64_321, &[]);
        match limited(Resource::Nproc, 1, || open(dir.path())) {
            Err(OpenError::System(error)) => assert_names_limit(&error, libc::EAGAIN, "ulimit -u"),
            other => panic!("{other:?}"),
        }
        let locks = open(dir.path()).expect("raised again");
        let claim = dir.path().join("s.lock");
        fs::write(&claim, "{\"pid\":1}").expect("written");
        let owner = OpenOptions::new().write(true).open(&claim).expect("opened");
        let before = snapshot(dir.path());
        for _ in 0..3 {
            match limited(Resource::Nproc, 1, || locks.lock("s").timeout(LONG).blocking()) {
                Err(LockError::System(error)) => assert_names_limit(&error, libc::EAGAIN, "ulimit -u"),
                other => panic!("{other:?}"),
            }
            assert_eq!(snapshot(dir.path()), before);
        }
        drop(owner);
        lock(&locks).expect("raised again");
        drop(locks);
        nothing_is_left(dir.path());
    });
}

/// Nothing can be watched: deleted claims are put back, and foreign claims waited for, all the same.
fn without_watches(dir: &Path) {
    let locks = open(dir).expect("watching is not needed");
    let claims: Vec<_> = (0..20).map(|number| dir.join(format!("{number}.lock"))).collect();
    let guards: Vec<_> = (0..20).map(|number| locks.lock(&number.to_string()).blocking().expect("free")).collect();
    for _ in 0..2 {
        std::thread::sleep(SHORT);
        for claim in &claims {
            fs::remove_file(claim).expect("it was there");
        }
        wait_until(|| claims.iter().all(|claim| claim.exists()));
    }
    for guard in guards {
        assert_eq!(guard.is_lost(), None);
        guard.release().expect("released");
    }
    let claim = dir.join("s.lock");
    fs::write(&claim, "{\"pid\":1}").expect("written");
    let owner = OpenOptions::new().write(true).open(&claim).expect("opened");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| lock(&locks).expect("its owner is gone"));
        std::thread::sleep(SHORT);
        assert!(!waiter.is_finished(), "robbed a living owner");
        drop(owner);
        waiter.join().expect("acquired");
    });
    drop(locks);
    nothing_is_left(dir);
}

fn with_inotify_limit(test: &str, limit: &str, is_reached: impl FnOnce(&Path) -> bool) {
    isolated(test, Needs::Users, || {
        let dir = TempDir::new().expect("made");
        // The namespace's own limit.
        if let Err(error) = fs::write(limit, "0") {
            return skipped(test, &format!("a namespace's {limit}: {error}"));
        }
        assert!(is_reached(dir.path()), "the limit is not in force");
        without_watches(dir.path());
    });
}

#[test]
fn no_inotify_instance_left() {
    with_inotify_limit("no_inotify_instance_left", "/proc/sys/user/max_inotify_instances", |_| {
        inotify::init(inotify::CreateFlags::CLOEXEC).is_err()
    });
}

#[test]
fn no_inotify_watch_left() {
    with_inotify_limit("no_inotify_watch_left", "/proc/sys/user/max_inotify_watches", |dir| {
        let instance = inotify::init(inotify::CreateFlags::CLOEXEC).expect("an instance");
        let watch = inotify::add_watch(&instance, dir, inotify::WatchFlags::ATTRIB);
        watch.is_err_and(|errno| io::Error::from(errno).raw_os_error() == Some(libc::ENOSPC))
    });
}
