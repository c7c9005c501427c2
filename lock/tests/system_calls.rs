//! What an uncontended acquire and release cost: counted by strace, none without a purpose.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

use session_lock::LockDir;
use std::collections::BTreeMap;
use std::process::Command;

/// What one hold needs, in order: lock the arbiter; see that a file may grow; append, and where; look at the spare; write it;
/// name it; look at the arbiter's path; look at the claim's path; unlink;
/// unlock; write the counters.
const PER_HOLD: [(&str, u64); 8] = [
    ("fcntl", 2),
    ("linkat", 1),
    ("lseek", 1),
    ("prlimit64", 1),
    ("pwrite64", 2),
    ("statx", 3),
    ("unlinkat", 1),
    ("write", 1),
];
/// What no hold needs, once there is a spare.
const NEVER: [&str; 5] = ["openat", "close", "pread64", "fchmod", "clone3"];
const COUNT: &str = "SESSION_LOCK_TEST_HOLDS";

/// Run by itself, a test that tokens count holds; run by strace, what is counted.
#[test]
fn hold_again_and_again() {
    let count = std::env::var(COUNT).map_or(20, |count| count.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let locks = LockDir::open(dir.path()).expect("open");
    for number in 1..=count {
        let guard = locks.lock("s").blocking().expect("free");
        assert_eq!(guard.token(), number);
        guard.release().expect("released");
    }
}

#[test]
fn a_hold_makes_no_system_call_without_a_purpose() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("SKIPPED: strace is not installed");
        return;
    }
    let (few, many) = (calls(100), calls(1100));
    // Rounded: on a busy machine a hold may be a long one, or the watcher may come in between.
    let per_hold =
        |name: &str| (many.get(name).unwrap_or(&0) + 500).saturating_sub(*few.get(name).unwrap_or(&0)) / 1000;
    for (name, expected) in PER_HOLD {
        assert_eq!(per_hold(name), expected, "{name}: {few:?} {many:?}");
    }
    for name in NEVER {
        assert_eq!(per_hold(name), 0, "{name}: {few:?} {many:?}");
    }
}

/// The calls of a process with this many holds, by name.
fn calls(holds: u64) -> BTreeMap<String, u64> {
    let summary = tempfile::NamedTempFile::new().expect("a temporary file");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-c", "-o"])
        .arg(summary.path())
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "hold_again_and_again"])
        .env(COUNT, holds.to_string())
        .output()
        .expect("strace runs")
        .status;
    assert!(status.success(), "{status}");
    let text = std::fs::read_to_string(summary.path()).expect("readable");
    let row = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        Some(((*fields.last()?).to_owned(), fields.get(3)?.parse().ok()?))
    };
    text.lines().filter_map(row).collect()
}
