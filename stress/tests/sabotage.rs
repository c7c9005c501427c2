//! The lock while its files are deleted, cut short and replaced, while its disk is full and while the clock jumps: never two
//! owners, and every fault that was asked for is in the history.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, RECORD_BYTES, Record};
use tempfile::TempDir;

/// What a run with these faults has found, and its records.
struct Run {
    dir: TempDir,
    output: Output,
    records: Vec<Record>,
}

impl Run {
    fn new(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // A limit from outside: a run that hangs fails the test.
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", "120s", env!("CARGO_BIN_EXE_stress"), "run", "--json", "--seed", "5", "--dir"]);
        command.arg(dir.path()).args(arguments).stdin(Stdio::null());
        let output = command.output().expect("timeout(1) is everywhere");
        let history = fs::read(dir.path().join("history")).unwrap_or_default();
        let records = history.chunks(RECORD_BYTES).map(|bytes| Record::decode(bytes).expect("whole records")).collect();
        Self { dir, output, records }
    }

    fn errors(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn results(&self) -> Value {
        serde_json::from_slice(&self.output.stdout)
            .unwrap_or_else(|_| panic!("{}: {}", self.output.status, self.errors()))
    }

    fn counted(&self, event: Event, fault: Fault) -> usize {
        self.records.iter().filter(|record| (record.event, record.fault) == (event, Some(fault))).count()
    }

    fn holds_exclude_each_other(&self) {
        let results = self.results();
        assert_eq!(results["findings"]["violations"], 0, "{results:#}");
        assert_eq!(results["findings"]["timeouts"], 0, "{results:#}");
        assert!(results["findings"]["acquired"].as_u64() > Some(100), "{results:#}");
    }

    /// What the workers had to say, each line without its worker, and how often.
    fn said(&self) -> HashMap<String, usize> {
        let log = fs::read_to_string(self.dir.path().join("workers.log")).expect("it is there");
        let mut said = HashMap::new();
        for line in log.lines() {
            *said.entry(line.split_once(": ").map_or(line, |(_, said)| said).to_owned()).or_default() += 1;
        }
        said
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("procfs is mounted").uid() == 0
}

#[test]
fn claims_are_deleted_cut_short_and_replaced() {
    let run = Run::new(&["--duration", "5s", "--fault", "delete-claim=5,truncate-claim=5,replace-claim=2"]);
    run.holds_exclude_each_other();
    for fault in [Fault::DeleteClaim, Fault::TruncateClaim, Fault::ReplaceClaim] {
        let strikes = run.counted(Event::Strike, fault);
        assert!(strikes > 0, "{fault:?} never happened");
        assert_eq!(run.counted(Event::Relieve, fault), strikes, "{fault:?} is over at once");
    }
    for said in run.said().keys() {
        assert!(said.contains("was not held to the end"), "no fault explains: {said}");
    }
}

/// Without stops: a hold that lasts long enough for its claim to be deleted as well would be free for everybody.
#[test]
fn the_state_directory_is_deleted() {
    let run = Run::new(&["--duration", "4s", "--stop-rate", "0", "--fault", "delete-state=2"]);
    run.holds_exclude_each_other();
    let strikes = run.counted(Event::Strike, Fault::DeleteState);
    assert!(strikes > 0);
    assert_eq!(run.counted(Event::Relieve, Fault::DeleteState), strikes);
    assert_eq!(run.said(), HashMap::new());
}

fn the_disk_is_full(small_fs: &str) {
    let faults = ["--fault", "disk-full=2,inodes-full=2", "--small-fs", small_fs];
    let run = Run::new(&[&["--duration", "4s"], &faults[..]].concat());
    if run.errors().contains("loop device") || run.errors().contains("cannot run mkfs.ext4") {
        eprintln!("skipped: no ext4 on a loop device here: {}", run.errors());
        return;
    }
    run.holds_exclude_each_other();
    for fault in [Fault::DiskFull, Fault::InodesFull] {
        let strikes = run.counted(Event::Strike, fault);
        assert!(strikes > 0, "{fault:?} never happened");
        assert_eq!(run.counted(Event::Relieve, fault), strikes);
    }
    assert!(run.records.iter().any(|record| record.event == Event::Error), "nobody noticed");
    // Who waits for a full disk does not wait for ever: the last fault is over when the workers end.
    let last = run.records.iter().rposition(|record| record.event == Event::Relieve).expect("one was over");
    assert!(run.records[last..].iter().any(|record| record.event == Event::Acquired), "none acquired afterwards");
    let sessions = run.dir.path().join("sessions");
    assert_eq!(fs::read_dir(sessions).expect("it is there").count(), 0, "the small file system is unmounted");
}

#[test]
fn a_tmpfs_is_full() {
    if is_root() {
        the_disk_is_full("tmpfs");
    } else {
        eprintln!("skipped: mounts need root");
    }
}

#[test]
fn an_ext4_is_full() {
    if is_root() {
        the_disk_is_full("ext4");
    } else {
        eprintln!("skipped: mounts need root");
    }
}

#[test]
fn a_mount_that_is_not_allowed_is_named() {
    let possible = Command::new("unshare").args(["--user", "true"]).status().is_ok_and(|status| status.success());
    if !possible {
        eprintln!("skipped: no user namespaces here");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (fault, needed) in [("disk-full=1", "CAP_SYS_ADMIN"), ("clock-jump=1", "CAP_SYS_TIME")] {
        // In a user namespace of its own, without a mount namespace: root of nothing that could be mounted on.
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", env!("CARGO_BIN_EXE_stress"), "run", "--duration", "1s", "--dir"]);
        let output = command.arg(dir.path().join(fault)).args(["--fault", fault]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(255), "{said}");
        assert!(said.contains(needed), "{said}");
    }
}

/// The wall clock is everybody's on this machine, so this is for machines of their own.
#[test]
fn the_wall_clock_jumps() {
    if std::env::var_os("STRESS_CLOCK").is_none_or(|value| value != "1") {
        eprintln!("skipped: sets the wall clock of the machine; STRESS_CLOCK=1 allows it");
        return;
    }
    let run = Run::new(&["--duration", "3s", "--fault", "clock-jump=3"]);
    run.holds_exclude_each_other();
    let strikes = run.counted(Event::Strike, Fault::ClockJump);
    assert!(strikes > 0);
    assert_eq!(run.counted(Event::Relieve, Fault::ClockJump), strikes);
    assert_eq!(run.said(), HashMap::new());
}
