//! The binary as people run it: short runs, their verdicts, exit codes and files.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Long enough for the slowest machine; a run that hangs ends here.
const BOUND: Duration = Duration::from_mins(3);

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary starts")
}

/// Runs to the end, or kills what does not get there.
fn stress(arguments: &[&str]) -> Output {
    let mut child = start(arguments);
    let pid = pid(&child);
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let out = thread::spawn(move || read(&mut out));
    let err = thread::spawn(move || read(&mut err));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break status;
        }
        if started.elapsed() > BOUND {
            kill(pid, Signal::SIGKILL).expect("it can be killed");
            child.wait().expect("it can be waited for");
            panic!("stress {arguments:?} hangs");
        }
        thread::sleep(Duration::from_millis(20));
    };
    Output { status, stdout: out.join().expect("it reads"), stderr: err.join().expect("it reads") }
}

fn read(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("a pipe can be read");
    bytes
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid"))
}

/// A run with its directory; the content of `results.json`, and the exit code.
fn run(dir: &Path, arguments: &[&str]) -> (Value, i32) {
    let dir = dir.to_str().expect("temporary paths are UTF-8");
    let output = stress(&[&["run", "--dir", dir, "--json"], arguments].concat());
    let code = output.status.code().expect("it exits");
    let results = serde_json::from_slice(&output.stdout);
    (results.unwrap_or_else(|_| panic!("{code}: {}", String::from_utf8_lossy(&output.stderr))), code)
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

const FAULTY: &[&str] = &["--duration", "3s", "--kill-rate", "20", "--stop-rate", "2", "--seed", "11"];

#[test]
fn a_short_run_of_the_lock_is_valid_and_leaves_its_files() {
    let dir = temporary();
    let (results, code) = run(dir.path(), FAULTY);
    assert_eq!((results["verdict"].as_str(), code), (Some("valid"), 0), "{results:#}");
    assert_eq!(results["seed"], 11);
    assert!(results["findings"]["takeovers"].as_u64() >= Some(1));
    assert_eq!(results["acquisitions_per_worker"].as_array().map(Vec::len), Some(8));
    let kept: Value = serde_json::from_slice(&fs::read(dir.path().join("results.json")).expect("it is there"))
        .expect("results.json is JSON");
    assert_eq!(kept, results);
    let history = fs::read(dir.path().join("history")).expect("it is there");
    assert_eq!(history.len() % 32, 0);
    assert_eq!(Some((history.len() / 32) as u64), results["findings"]["records"].as_u64());
    let mode = fs::metadata(dir.path().join("sessions")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_directory_can_be_used_again() {
    let dir = temporary();
    for _ in 0..2 {
        let (results, code) = run(dir.path(), &["--duration", "1s", "--kill-rate", "20", "--locks", "2"]);
        assert_eq!(code, 0, "{results:#}");
    }
}

fn pid_namespaces_can_be_had() -> bool {
    let dir = temporary();
    let path = dir.path().to_str().expect("temporary paths are UTF-8");
    let tried = stress(&["run", "--dir", path, "--topology", "pidns-private", "--duration", "100ms"]);
    let impossible = String::from_utf8_lossy(&tried.stderr).contains("PID namespaces are not possible here");
    assert_eq!(impossible, tried.status.code() == Some(255), "only this makes the tool fail");
    !impossible
}

#[test]
fn workers_in_pid_namespaces_of_their_own_exclude_each_other() {
    if !pid_namespaces_can_be_had() {
        eprintln!("skipped: PID namespaces need root, or CAP_SYS_ADMIN");
        return;
    }
    let dir = temporary();
    let (results, code) = run(dir.path(), &[FAULTY, &["--topology", "pidns-private"]].concat());
    assert_eq!((results["verdict"].as_str(), code), (Some("valid"), 0), "{results:#}");
    assert_eq!(results["asked"]["topology"], "pidns-private");
}

#[test]
fn a_broken_lock_is_a_violation_with_its_story() {
    let dir = temporary();
    let broken = ["--lock", "rename-over", "--duration", "10s", "--kill-rate", "40", "--stop-rate", "0"];
    let (results, code) = run(dir.path(), &[&broken[..], &["--hold", "500us", "--think", "0s"]].concat());
    assert_eq!((results["verdict"].as_str(), code), (Some("violation"), 1), "{results:#}");
    assert_eq!(results["findings"]["stories"][0]["kind"], "overlap");
    assert_eq!(results["findings"]["stories"][0]["holds"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_run_in_which_too_little_happens_is_inconclusive() {
    let dir = temporary();
    let (results, code) = run(dir.path(), &["--duration", "1s", "--hold", "300ms", "--kill-rate", "0"]);
    assert_eq!((results["verdict"].as_str(), code), (Some("inconclusive"), 2), "{results:#}");
    assert!(results["doubts"][0].as_str().is_some_and(|doubt| doubt.contains("acquisitions")), "{results:#}");
}

#[test]
fn a_timeout_is_counted_and_never_valid() {
    let dir = temporary();
    let short = ["--duration", "1s", "--hold", "30ms", "--timeout", "10ms", "--kill-rate", "0", "--stop-rate", "0"];
    let (results, code) = run(dir.path(), &short);
    assert_eq!(code, 2, "{results:#}");
    assert!(results["findings"]["timeouts"].as_u64() >= Some(1), "{results:#}");
}

#[test]
fn the_exit_code_says_what_was_wrong() {
    for usage in [
        &["run", "--workers", "0"][..],
        &["run", "--lock", "hope"],
        &["juggle"],
        &["run", "--hold", "2ms..1ms"],
        &["run", "--topology", "processes", "--fault", "pause=1"],
    ] {
        assert_eq!(stress(usage).status.code(), Some(254), "{usage:?}");
    }
    assert_eq!(stress(&["run", "--dir", "/proc/nowhere"]).status.code(), Some(255));
    for help in [&["--help"][..], &["run", "--help"], &["selftest", "--help"], &["--version"]] {
        assert_eq!(stress(help).status.code(), Some(0), "{help:?}");
    }
}

#[test]
fn the_seed_and_the_replay_come_first() {
    let dir = temporary();
    let path = dir.path().to_str().expect("temporary paths are UTF-8");
    let output = stress(&["run", "--dir", path, "--duration", "200ms", "--seed", "77"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().expect("something is said");
    assert!(first.starts_with("seed 77; replay: "), "{first}");
    let replay = first.split_once("replay: ").expect("a replay").1;
    let replayed = Command::new("sh").args(["-c", &format!("{replay} --json")]).output().expect("a shell");
    let results: Value = serde_json::from_slice(&replayed.stdout).expect("the replay runs");
    assert_eq!(results["replay"], replay);
}

#[test]
fn two_runs_do_not_share_a_directory() {
    let dir = temporary();
    let path = dir.path().to_str().expect("temporary paths are UTF-8");
    let mut first = start(&["run", "--dir", path, "--duration", "60s", "--lock", "flock"]);
    wait_for("the first run", || records(dir.path()) > 10);
    assert_eq!(stress(&["run", "--dir", path, "--duration", "1s"]).status.code(), Some(255));
    kill(pid(&first), Signal::SIGINT).expect("it can be interrupted");
    let status = first.wait().expect("it can be waited for");
    assert_eq!(status.code(), Some(2), "an interrupted run is inconclusive");
    assert!(dir.path().join("results.json").exists());
}

#[test]
fn a_worker_that_dies_of_something_else_makes_the_run_inconclusive() {
    let dir = temporary();
    let path = dir.path().to_str().expect("temporary paths are UTF-8");
    let mut run = start(&["run", "--dir", path, "--duration", "60s", "--kill-rate", "0"]);
    wait_for("the workers", || records(dir.path()) > 100 && workers_of(path).len() == 8);
    kill(workers_of(path)[0], Signal::SIGKILL).expect("it can be killed");
    assert_eq!(run.wait().expect("it can be waited for").code(), Some(2));
    let results = fs::read_to_string(dir.path().join("results.json")).expect("it is there");
    assert!(results.contains("ended on its own"), "{results}");
}

/// Also those that are stopped when it happens.
#[test]
fn a_supervisor_that_is_killed_leaves_no_workers() {
    for extra in [&["--stop-rate", "40"][..], &["--topology", "pidns-private"]] {
        if extra == ["--topology", "pidns-private"] && !pid_namespaces_can_be_had() {
            eprintln!("skipped: PID namespaces need root, or CAP_SYS_ADMIN");
            continue;
        }
        let dir = temporary();
        let path = dir.path().to_str().expect("temporary paths are UTF-8");
        let mut run = start(&[&["run", "--dir", path, "--duration", "60s", "--kill-rate", "0"], extra].concat());
        wait_for("the workers", || records(dir.path()) > 100 && workers_of(path).len() == 8);
        run.kill().expect("it can be killed");
        run.wait().expect("it can be waited for");
        wait_for("the workers' end", || workers_of(path).is_empty());
    }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < BOUND, "{what} never came");
        thread::sleep(Duration::from_millis(20));
    }
}

fn records(dir: &Path) -> u64 {
    fs::metadata(dir.join("history")).map_or(0, |history| history.len() / 32)
}

/// The live processes that are workers of the run in this directory.
fn workers_of(dir: &str) -> Vec<Pid> {
    let is_worker = |line: Vec<u8>| {
        let line = String::from_utf8_lossy(&line);
        line.contains("\0worker\0--topology") && line.contains(dir)
    };
    let pids = fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw));
    pids.filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(is_worker)).collect()
}
