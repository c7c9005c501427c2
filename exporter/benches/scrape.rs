//! What a scrape costs, over HTTP from the binary itself: claims in the directory, a hundred of them held, the others left by
//! processes that were killed, half of them of this crate and half of older peers.
//!
//! It starts itself as those processes.
#![allow(clippy::disallowed_methods, reason = "the bans are for the lock itself")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

#[path = "../tests/exporter/http.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod http;
#[path = "../tests/exporter/running.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod running;

use http::request;
use running::Running;
use session_lock::LockDir;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SIZES: [usize; 3] = [10, 1_000, 10_000];
const SCRAPES: usize = 200;
const GOAL: Duration = Duration::from_millis(100);
const GOAL_MIB: f64 = 50.0;
/// Beyond this, a holder would need more descriptors than it gets.
const PER_HOLDER: usize = 200;
const HOLDS: &str = "SESSION_LOCK_BENCH_HOLDS";

fn main() {
    if let Some(sessions) = std::env::var_os(HOLDS) {
        hold(&sessions.into_string().expect("made here"));
    }
    println!("{SCRAPES} scrapes each; the goal is a p99 of {GOAL:?} and {GOAL_MIB} MiB at 10000 claims\n");
    println!(
        "{:>7} {:>6} {:>10} {:>10} {:>10} {:>9} {:>9}",
        "claims", "held", "p50", "p99", "locks p50", "MiB", "goal"
    );
    for claims in SIZES {
        measure(claims);
    }
}

/// Holds the sessions that it is told until it is killed.
fn hold(told: &str) -> ! {
    let (directory, range) = told.rsplit_once(' ').expect("directory and numbers");
    let (first, end) = range.split_once("..").expect("numbers");
    let numbers: Range<usize> = first.parse().expect("a number")..end.parse().expect("a number");
    let locks = LockDir::open(directory).expect("a directory for locks");
    let guards: Vec<_> = numbers.map(|nth| locks.lock(&session(nth)).blocking().expect("free")).collect();
    println!("held");
    loop {
        std::thread::park();
        assert!(!guards.is_empty());
    }
}

fn session(nth: usize) -> String {
    format!("session-{nth:05}.jsonl")
}

fn holder(directory: &Path, numbers: Range<usize>) -> Child {
    let told = format!("{} {}..{}", directory.display(), numbers.start, numbers.end);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let mut child = command.env(HOLDS, told).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut said = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut said).expect("text");
    assert_eq!(said, "held\n");
    child
}

fn end(mut child: Child) {
    child.kill().expect("our child");
    child.wait().expect("our child");
}

fn measure(claims: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let held = (claims / 2).min(100);
    let own = (claims - held) / 2;
    for first in (held..held + own).step_by(PER_HOLDER) {
        end(holder(path, first..(first + PER_HOLDER).min(held + own)));
    }
    for nth in held + own..claims {
        let claim = r#"{"pid":4194303,"createdAt":"2026-01-01T00:00:00.000Z","starttime":1}"#;
        fs::write(path.join(session(nth) + ".lock"), claim).expect("written");
    }
    let holder = holder(path, 0..held);
    let exporter = Running::start(&["--dir", path.to_str().expect("a plain path")]);
    let scrape = |route: &str| -> (Duration, String) {
        let begin = Instant::now();
        let answer = request(exporter.address, "GET", route, &[]).expect("an answer");
        assert_eq!(answer.status, 200);
        (begin.elapsed(), answer.text())
    };
    let (_, metrics) = scrape("/metrics");
    for (state, count) in [("held", held), ("reclaimable", claims - held)] {
        let found = metrics.lines().find(|line| line.starts_with("session_lock_files") && line.contains(state));
        assert!(found.is_some_and(|line| line.ends_with(&format!(" {count}.0"))), "{state}: {found:?}");
    }
    let times = |route: &str, scrapes: usize| -> Vec<Duration> {
        let mut times: Vec<_> = (0..scrapes).map(|_| scrape(route).0).collect();
        times.sort_unstable();
        times
    };
    let times_of_metrics = times("/metrics", SCRAPES);
    let mib = resident_mib(exporter.child.id());
    let locks = times("/api/v1/locks", 5);
    let (p50, p99) = (times_of_metrics[SCRAPES / 2], times_of_metrics[SCRAPES * 99 / 100]);
    let goal = if p99 <= GOAL && mib <= GOAL_MIB { "met" } else { "missed" };
    println!("{claims:>7} {held:>6} {p50:>10.2?} {p99:>10.2?} {:>10.2?} {mib:>9.1} {goal:>9}", locks[2]);
    end(holder);
}

/// The most that was ever resident, as the kernel says.
fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says it");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
