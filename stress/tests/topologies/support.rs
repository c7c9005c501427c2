//! A run of the binary, what it has shown, and what there is here to run it in.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::Value;
use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, RECORD_BYTES, Record};

/// Long enough for the slowest machine; a run that hangs ends here.
pub(crate) const BOUND: Duration = Duration::from_mins(3);

/// The binary that can live where this topology wants it. `None`: it cannot be had here, which was said.
pub(crate) fn binary(topology: &str) -> Option<String> {
    let dynamic = env!("CARGO_BIN_EXE_stress").to_owned();
    if topology.starts_with("docker") {
        let Ok(fixed) = std::env::var("STRESS_STATIC") else {
            eprintln!("skipped: {topology} needs a static binary, named by STRESS_STATIC");
            return None;
        };
        let engine = Command::new("docker").arg("version").output().is_ok_and(|output| output.status.success());
        if !engine {
            eprintln!("skipped: {topology} needs a Docker engine");
        }
        return engine.then_some(fixed);
    }
    if topology.starts_with("pidns") {
        let probe = Command::new(&dynamic).args(["enter", "--probe", "--ahead-s=3600"]).output().expect("it starts");
        if !probe.status.success() {
            eprintln!("skipped: {topology}: {}", String::from_utf8_lossy(&probe.stderr).trim());
            return None;
        }
    }
    Some(dynamic)
}

pub(crate) fn freezer_can_be_had() -> bool {
    let dir = temporary();
    let path = dir.path().to_str().expect("UTF-8");
    let tried = Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(["run", "--dir", path, "--duration", "100ms", "--fault", "freeze=1"])
        .output()
        .expect("it starts");
    if tried.status.code() == Some(255) {
        eprintln!("skipped: {}", String::from_utf8_lossy(&tried.stderr).trim());
    }
    tried.status.code() != Some(255)
}

pub(crate) fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A run that goes on.
pub(crate) struct Run {
    pub(crate) child: Child,
    pub(crate) dir: String,
}

impl Run {
    pub(crate) fn start(binary: &str, dir: &Path, arguments: &[&str]) -> Self {
        let dir = dir.to_str().expect("temporary paths are UTF-8").to_owned();
        let mut command = Command::new(binary);
        command.args(["run", "--json", "--dir", &dir]).args(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self { child: child.expect("the binary starts"), dir }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    /// Waits for its end; one that hangs is interrupted, and fails.
    pub(crate) fn finish(mut self) -> Output {
        let (mut out, mut err) = (self.child.stdout.take().expect("piped"), self.child.stderr.take().expect("piped"));
        let out = thread::spawn(move || read(&mut out));
        let err = thread::spawn(move || read(&mut err));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            if started.elapsed() > BOUND {
                self.child.kill().expect("it can be killed");
                self.child.wait().expect("it can be waited for");
                panic!("a run hangs: {}", log(&self.dir));
            }
            thread::sleep(Duration::from_millis(5));
        };
        Output { status, stdout: out.join().expect("no panic"), stderr: err.join().expect("no panic") }
    }

    /// Waits until its workers do what they are there for.
    pub(crate) fn under_way(&self) {
        let acquired = || decoded(&self.dir).iter().filter(|record| record.event == Event::Acquired).count();
        wait_for("the workers' first holds", || acquired() > 50);
    }
}

pub(crate) fn read(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("a pipe can be read");
    bytes
}

pub(crate) fn decoded(dir: &str) -> Vec<Record> {
    let history = fs::read(format!("{dir}/history")).unwrap_or_default();
    history.chunks_exact(RECORD_BYTES).filter_map(|bytes| Record::decode(bytes).ok()).collect()
}

pub(crate) fn log(dir: &str) -> String {
    fs::read_to_string(format!("{dir}/workers.log")).unwrap_or_default()
}

/// What a run has shown: `results.json`, and how often each fault was done, by the kind of its record.
pub(crate) struct Shown {
    pub(crate) results: Value,
    pub(crate) code: Option<i32>,
    pub(crate) supervisor: Pid,
    counts: HashMap<(Event, Fault), usize>,
    pub(crate) dir: tempfile::TempDir,
}

impl Shown {
    pub(crate) fn by(binary: &str, arguments: &[&str]) -> Self {
        Self::within(temporary(), binary, arguments)
    }

    /// In this run directory.
    pub(crate) fn within(dir: tempfile::TempDir, binary: &str, arguments: &[&str]) -> Self {
        let run = Run::start(binary, dir.path(), arguments);
        let (path, supervisor) = (run.dir.clone(), run.pid());
        let output = run.finish();
        let results = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{arguments:?}: {} {}", String::from_utf8_lossy(&output.stderr), log(&path));
        });
        let mut counts = HashMap::new();
        for record in decoded(&path) {
            if let Some(fault) = record.fault {
                *counts.entry((record.event, fault)).or_default() += 1;
            }
        }
        Self { results, code: output.status.code(), supervisor, counts, dir }
    }

    pub(crate) fn count(&self, event: Event, fault: Fault) -> usize {
        self.counts.get(&(event, fault)).copied().unwrap_or(0)
    }

    pub(crate) fn assert_valid(&self) {
        let log = log(self.dir.path().to_str().expect("UTF-8"));
        assert_eq!(
            (self.results["verdict"].as_str(), self.code),
            (Some("valid"), Some(0)),
            "{:#}\n{log}",
            self.results
        );
    }

    pub(crate) fn assert_happened(&self, event: Event, fault: Fault, at_least: usize) {
        let count = self.count(event, fault);
        assert!(count >= at_least, "{count} {event:?} {fault:?} of at least {at_least}: {:#}", self.results);
    }

    /// Every life that began ended once, and nobody's death was told twice.
    pub(crate) fn assert_one_exit_each(&self) {
        let mut exits: HashMap<u32, usize> = HashMap::new();
        let mut started = Vec::new();
        for record in decoded(self.dir.path().to_str().expect("UTF-8")) {
            match record.event {
                Event::Exit => *exits.entry(record.incarnation).or_default() += 1,
                Event::Start => started.push(record.incarnation),
                _ => {}
            }
        }
        assert!(exits.values().all(|&count| count == 1), "{exits:?}");
        assert!(started.iter().all(|incarnation| exits.contains_key(incarnation)));
    }
}

/// The cgroups that this run has made.
pub(crate) fn cgroups(supervisor: Pid) -> Vec<String> {
    let roots = ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup"];
    let entries = roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&format!("session-lock-stress-{supervisor}-"))).collect()
}

pub(crate) fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < BOUND, "{what} never came");
        thread::sleep(Duration::from_millis(20));
    }
}
