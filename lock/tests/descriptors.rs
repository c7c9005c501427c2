//! What a program inherits that this process executes: nothing of the lock, which it would keep after its owner's death.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::{LockDir, TryAcquire};
use std::fs;
use std::io::Write;
use std::path::Path;
use support::process::OtherProcess;
use support::{LONG, Recorder, lock_dir};

/// The flag of fcntl(2) `FD_CLOEXEC` as /proc/pid/fdinfo shows it.
const CLOEXEC: u32 = 0o2_000_000;

/// What the open descriptors of the lock name, and whether an exec closes each.
fn descriptors(dir: &Path) -> Vec<(String, bool)> {
    let (dir, mut found) = (dir.to_string_lossy(), Vec::new());
    for entry in fs::read_dir("/proc/self/fd").expect("readable") {
        let number = entry.expect("readable").file_name();
        // One that is closed meanwhile has neither.
        let Ok(target) = fs::read_link(Path::new("/proc/self/fd").join(&number)) else { continue };
        let Ok(info) = fs::read_to_string(Path::new("/proc/self/fdinfo").join(&number)) else { continue };
        let target = target.to_string_lossy().into_owned();
        if target.starts_with(&*dir) || target.contains("inotify") || target.contains("eventfd") {
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim();
            let flags = u32::from_str_radix(flags, 8).expect("octal");
            found.push((target, flags & CLOEXEC != 0));
        }
    }
    found
}

/// While one session is held, one is waited for in the kernel's queue, and one waits out a grace under its pin.
#[test]
fn an_exec_closes_every_descriptor_of_the_lock() {
    let (dir, _) = lock_dir();
    let (_recorder, locks) = Recorder::on(dir.path());
    let slow = LockDir::options().grace(LONG).open(dir.path()).expect("open");
    let theirs = OtherProcess::hold(dir.path(), "theirs");
    fs::File::create(dir.path().join("old.lock")).expect("made").write_all(b"{\"pid\":1}").expect("written");
    std::thread::scope(|scope| {
        // More than one, so that the process keeps a spare.
        for _ in 0..16 {
            drop(locks.lock("s").blocking().expect("free"));
        }
        // One is the spare, and one is not.
        let _guards = ["s", "t"].map(|name| locks.lock(name).blocking().expect("free"));
        let waits = scope.spawn(|| drop(locks.lock("theirs").timeout(LONG).blocking().expect("released")));
        support::wait_until(|| !locks.inspect("theirs").expect("looked at").waiters.here.is_empty());
        assert!(matches!(slow.try_lock("old"), Ok(TryAcquire::Busy(_))), "it has a grace");
        support::wait_until(|| descriptors(dir.path()).iter().any(|(target, _)| target.contains("/old.lock")));
        let mut seen = descriptors(dir.path());
        seen.sort();
        // A claim that was made without a name is shown by its number.
        for part in ["/old.lock", "/#", "/arbiter-", "inotify", "eventfd"] {
            assert!(seen.iter().any(|(target, _)| target.contains(part)), "{part}: {seen:?}");
        }
        let kept: Vec<_> = seen.iter().filter(|(_, closes)| !closes).collect();
        assert!(kept.is_empty(), "a program that is executed keeps {kept:?}");
        theirs.release();
        waits.join().expect("no panic");
    });
}
