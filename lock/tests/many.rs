//! Ten thousand locks held by one process: what each costs in descriptors, threads and memory, and that all are looked
//! after. The documentation of [`session_lock::LockDir`] states the bounds that are asserted here.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use session_lock::event::Event;
use session_lock::{Guard, LockDir};
use std::fs::DirEntry;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Recorder, wait_until};

const HOLDS: usize = 10_000;
/// Beside one per hold: at most 256 arbiters, the directory, inotify, and some for the test itself.
const OTHER_DESCRIPTORS: usize = 256 + 36;
const BYTES_PER_HOLD: usize = 4096;

const NAME: &str = "ten_thousand_holds_cost_a_descriptor_and_some_memory_each";

#[test]
fn ten_thousand_holds_cost_a_descriptor_and_some_memory_each() {
    if !may_open(HOLDS + OTHER_DESCRIPTORS) {
        eprintln!("skipped: {NAME}: needs a hard limit of {} descriptors", HOLDS + OTHER_DESCRIPTORS);
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (recorder, locks) = Recorder::on(dir.path());
    hold_once_on_every_arbiter(&locks);
    let before = Used::now();

    let mut guards = Vec::with_capacity(HOLDS);
    let mut costs = Vec::new();
    for thousand in 0..HOLDS / 1000 {
        let began = Instant::now();
        guards.extend((0..1000).map(|number| hold(&locks, &format!("{thousand}-{number}"))));
        costs.push(began.elapsed() / 1000);
    }
    eprintln!("one acquire, thousand by thousand: {costs:?}");
    // By now the watcher has taken most of them up. More need not be so.
    std::thread::sleep(Duration::from_millis(100));
    let held = Used::now();
    eprintln!("before {before:?}, held {held:?}");
    assert_eq!(claims(dir.path()), HOLDS);
    assert!(held.descriptors <= HOLDS + OTHER_DESCRIPTORS, "{held:?}");
    assert_eq!(held.threads, 1, "the watcher, and none per hold");
    let per_hold = held.memory.saturating_sub(before.memory) / HOLDS;
    eprintln!("{per_hold} bytes of memory per hold");
    assert!(per_hold <= BYTES_PER_HOLD, "{per_hold} bytes per hold");

    let began = Instant::now();
    for guard in guards.iter().rev() {
        std::fs::remove_file(claim(dir.path(), guard)).expect("the claim is there");
    }
    wait_until(|| claims(dir.path()) == HOLDS);
    eprintln!("all deleted and put back in {:?}", began.elapsed());
    assert!(guards.iter().all(|guard| guard.is_lost().is_none()));

    let began = Instant::now();
    for guard in guards {
        guard.release().expect("released");
    }
    eprintln!("one release: {:?}", began.elapsed() / u32::try_from(HOLDS).expect("small"));
    assert_eq!(claims(dir.path()), 0);
    drop(hold(&locks, "0-0"));
    drop(locks);
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("readable").map(|entry| entry.expect("readable")).collect();
    assert_eq!(left.len(), 1, "only the state directory: {left:?}");
    let restored = |event: &&Event| matches!(event, Event::ClaimRestored);
    // Each claim was deleted once. An event may come a moment after the file.
    wait_until(|| recorder.events().iter().filter(restored).count() == HOLDS);
}

/// `inotify_add_watch(2)` fails with `ENOSPC` beyond a limit per user; such holds are looked after as well.
#[test]
fn holds_that_cannot_be_watched_are_looked_after() {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "sh", "-c", script])
            .arg(std::env::current_exe().expect("this program"));
        command
    };
    if !may_open(HOLDS + OTHER_DESCRIPTORS) {
        eprintln!("skipped: holds_that_cannot_be_watched_are_looked_after: needs more descriptors");
        return;
    }
    let limit = "echo 100 >/proc/sys/user/max_inotify_watches";
    if !unshare(limit).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: holds_that_cannot_be_watched_are_looked_after: needs a user namespace");
        return;
    }
    let output = unshare(&format!("{limit} && exec \"$0\" --exact {NAME} --nocapture")).output().expect("it runs");
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}{failed}");
}

fn hold(locks: &LockDir, session: &str) -> Guard {
    locks.lock(session).blocking().expect("free")
}

/// So that what is kept for all holds together is there before it is measured what they cost.
fn hold_once_on_every_arbiter(locks: &LockDir) {
    let guards: Vec<_> = (0..1000).map(|number| hold(locks, &format!("warm-{number}"))).collect();
    drop(guards);
}

fn claim(dir: &Path, guard: &Guard) -> std::path::PathBuf {
    dir.join(format!("{}.lock", guard.session()))
}

/// How many claims are in the directory. Its only other entry is the state directory.
fn claims(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("readable").count() - 1
}

/// Raises the soft limit if need be. False if the hard limit is lower.
fn may_open(descriptors: usize) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= descriptors as u64);
    enough(limit.current)
        || enough(limit.maximum) && setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok()
}

/// What this process uses, from `/proc/self`.
#[derive(Debug)]
struct Used {
    descriptors: usize,
    /// Those of the lock.
    threads: usize,
    /// In bytes.
    memory: usize,
}

impl Used {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("readable");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("proc_pid_status(5)");
        let memory: usize = memory.trim().trim_end_matches(" kB").parse().expect("a number");
        let entries = |path| std::fs::read_dir(path).expect("readable").map_while(Result::ok);
        let name = |task: DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        Self {
            descriptors: entries("/proc/self/fd").count(),
            threads: entries("/proc/self/task").map(name).filter(|name| name.starts_with("session-lock")).count(),
            memory: memory * 1024,
        }
    }
}
