//! The binary, run to its end or killed.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(unreachable_pub, reason = "a module of several test programs")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use session_lock_stress::history::{RECORD_BYTES, Record};

/// Long enough for the slowest machine; what hangs ends here.
pub const BOUND: Duration = Duration::from_mins(4);

/// Runs `stress` with these arguments.
pub fn stress(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the binary starts");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let (ended, watch) = std::sync::mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let hangs = watch.recv_timeout(BOUND) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if hangs {
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it can be killed");
        }
        hangs
    });
    let output = child.wait_with_output().expect("it can be waited for");
    drop(ended);
    assert!(!watchdog.join().expect("no panic"), "stress {arguments:?} hangs");
    output
}

/// A run in a directory of its own, without faults that are not asked for: what it found, and its history.
pub fn run(arguments: &[&str]) -> (Value, Vec<Record>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().to_str().expect("temporary paths are UTF-8");
    let kills = if arguments.contains(&"--kill-rate") { &[][..] } else { &["--kill-rate", "0"] };
    let output = stress(&[&["run", "--dir", path, "--json", "--stop-rate", "0"], kills, arguments].concat());
    let results = serde_json::from_slice(&output.stdout);
    let results = results.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (results, history(dir.path()))
}

/// The whole records of a run directory.
pub fn history(dir: &Path) -> Vec<Record> {
    let bytes = fs::read(dir.join("history")).unwrap_or_default();
    let records = bytes.chunks_exact(RECORD_BYTES).map(Record::decode);
    records.map(|record| record.expect("a record")).collect()
}

/// Waits for something that has to come.
pub fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < BOUND, "{what} never came");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether PID namespaces can be had here.
pub fn pid_namespaces() -> bool {
    let unshared = thread::spawn(|| nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWPID));
    unshared.join().expect("no panic").is_ok()
}
