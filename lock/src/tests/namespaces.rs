//! Looks at holders and waiters in other processes, PID namespaces and mounts, and in forked children.

use super::inspections::{assert_state, is_root, look};
use super::{LONG, exit_code, kill, pid, stranger, strangers, wait_until};
use crate::sys::fork::{between_forks, children_in_own_pid_namespace, in_child, in_raw_child};
use crate::verdict::OwnerProcess;
use crate::{HolderKind, InspectError, LockDir, State};
use rustix::process::{Signal, kill_process};
use std::fs;
use std::process::{Child, Command, Stdio};

/// A child made without fork handlers keeps its dead parent's descriptors, and so its lock.
#[test]
fn a_lock_that_a_child_inherited_says_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let parent = in_child(|| {
        let Ok(locks) = LockDir::open(path) else { return 1 };
        let Ok(_guard) = locks.lock("s").blocking() else { return 1 };
        let child = in_raw_child(|| std::thread::sleep(LONG));
        fs::write(path.join("part"), child.to_string()).ok();
        fs::rename(path.join("part"), path.join("child")).ok();
        std::thread::sleep(LONG);
        0
    });
    wait_until(|| path.join("child").exists());
    let child: u32 = fs::read_to_string(path.join("child")).expect("written").parse().expect("a pid");
    let locks = stranger(path);
    assert_state(&look(&locks), State::Held);
    kill(parent);
    let found = look(&locks);
    assert_state(&found, State::Inherited);
    assert_eq!((found.reason, found.process), (None, OwnerProcess::Gone));
    assert!(matches!(locks.try_lock("s"), Ok(crate::TryAcquire::Busy(_))), "never taken over");
    kill_process(pid(child), Signal::KILL).expect("it sleeps");
    wait_until(|| look(&locks).state == State::Reclaimable);
}

#[test]
fn a_holder_in_another_pid_namespace_has_a_pid_here() {
    if !is_root() {
        eprintln!("skipped: a_holder_in_another_pid_namespace_has_a_pid_here: needs root");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let outside = in_child(|| {
        if children_in_own_pid_namespace().is_err() {
            fs::write(path.join("ready"), "no namespace").ok();
            return 1;
        }
        let inside = in_child(|| {
            let Ok(locks) = LockDir::open(path) else { return 1 };
            let Ok(_guard) = locks.lock("s").blocking() else { return 1 };
            fs::write(path.join("ready"), "").ok();
            std::thread::sleep(LONG);
            0
        });
        i32::from(exit_code(inside).is_some())
    });
    wait_until(|| path.join("ready").exists());
    if fs::metadata(path.join("ready")).expect("there").len() > 0 {
        eprintln!("skipped: a_holder_in_another_pid_namespace_has_a_pid_here: needs PID namespaces");
        assert_eq!(exit_code(outside), Some(1));
        return;
    }
    let locks = stranger(path);
    let found = look(&locks);
    assert_state(&found, State::Held);
    let holder = found.holder.as_ref().expect("its claim names it");
    assert_eq!(holder.kind, HolderKind::OtherPidNamespace);
    assert_eq!(holder.payload.as_ref().and_then(|payload| payload.pid), Some(1));
    assert_eq!(found.process, OwnerProcess::Present);
    let here = found.pid_here.expect("root sees the processes of namespaces below");
    assert!(here != 1 && found.to_string().contains(&format!("pid {here} here")), "{found}");
    assert_eq!(locks.inspect_all().expect("readable")[0].pid_here, Some(here));
    kill_process(pid(here), Signal::KILL).expect("it is the holder");
    assert_eq!(exit_code(outside), Some(0), "the holder was killed");
    let found = look(&locks);
    assert_state(&found, State::Reclaimable);
    assert_eq!(found.pid_here, None);
}

/// Requests of processes in other PID namespaces are in the kernel's queue as well.
#[test]
fn a_request_from_another_pid_namespace_is_counted() {
    if !is_root() {
        eprintln!("skipped: a_request_from_another_pid_namespace_is_counted: needs root");
        return;
    }
    let (dir, locks, _) = strangers();
    let path = dir.path();
    let guard = locks.lock("s").blocking().expect("free");
    let outside = in_child(|| {
        if children_in_own_pid_namespace().is_err() {
            return 2;
        }
        let inside = in_child(|| {
            let Ok(locks) = LockDir::open(path) else { return 1 };
            i32::from(locks.lock("s").timeout(LONG).blocking().is_err())
        });
        exit_code(inside).unwrap_or(1)
    });
    wait_until(|| look(&locks).waiters.parked == Some(1));
    assert!(look(&locks).waiters.here.is_empty());
    drop(guard);
    assert_eq!(exit_code(outside), Some(0), "it was served");
}

/// On an overlay of two file systems stat(2) gives another device than /proc/locks. Run by itself it mounts one, and runs
/// itself on it.
#[test]
fn a_request_on_overlayfs_is_counted() {
    const ON: &str = "SESSION_LOCK_TEST_OVERLAY";
    const MOUNT: &str = "mount -t tmpfs none \"$1\" && mkdir \"$1/upper\" \"$1/work\" \"$1/merged\" && mount -t overlay none -o \
                         \"lowerdir=$2,upperdir=$1/upper,workdir=$1/work\" \"$1/merged\" && mkdir \"$1/merged/s\" || exit 77";
    if let Some(path) = std::env::var_os(ON) {
        let (one, other) = (stranger(path.as_ref()), stranger(path.as_ref()));
        let guard = one.lock("s").blocking().expect("free");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| other.lock("s").timeout(LONG).blocking().expect("released").release());
            wait_until(|| look(&one).waiters.parked == Some(1));
            drop(guard);
            waiter.join().expect("no panic").expect("released");
        });
        return;
    }
    let [mounts, lower] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    let script = format!("{MOUNT}; exec \"$0\" --exact tests::namespaces::a_request_on_overlayfs_is_counted");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("this program"))
        .args([mounts.path(), lower.path()])
        .env(ON, mounts.path().join("merged/s"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = between_forks(|| command.spawn()).and_then(Child::wait_with_output);
    match run.map(|output| (output.status.code(), output)) {
        Ok((Some(0), output)) => assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}"),
        Err(_) | Ok((Some(1 | 77), _)) if !is_root() => skipped_overlay(),
        Err(_) | Ok((Some(77), _)) => skipped_overlay(),
        Ok((_, output)) => panic!("{output:?}"),
    }
}

fn skipped_overlay() {
    eprintln!("skipped: a_request_on_overlayfs_is_counted: needs root, unshare(1) and overlayfs");
}

#[test]
fn an_inherited_directory_says_forked() {
    let (_dir, locks, _) = strangers();
    let child = in_child(|| {
        let one = matches!(locks.inspect("s"), Err(InspectError::Forked));
        i32::from(!(one && matches!(locks.inspect_all(), Err(InspectError::Forked))))
    });
    assert_eq!(exit_code(child), Some(0));
}
