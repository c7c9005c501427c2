//! However a run ends, nobody is left: no process, no container, no image, no cgroup.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Run, binary, cgroups, freezer_can_be_had, log, temporary, wait_for};

/// Every topology in which something outlives its parent, with a fault that makes it hard to kill.
const HARD: [(&str, &str); 6] = [
    ("processes", "freeze=20"),
    ("pidns-private", "freeze=20"),
    ("pidns-shared", "long-stop=20"),
    ("pidns-private", "group-kill=5"),
    ("docker-private", "pause=20"),
    ("docker-shared", "pause=20"),
];

#[test]
fn a_supervisor_that_is_killed_leaves_nobody() {
    each_hard_run(|mut run, topology| {
        thread::sleep(Duration::from_millis(300));
        run.child.kill().expect("it can be killed");
        run.child.wait().expect("it can be waited for");
        assert_nobody_is_left(run.pid(), &run.dir, topology);
    });
}

#[test]
fn an_interrupted_run_is_inconclusive_and_leaves_nobody() {
    each_hard_run(interrupt);
}

/// With each of [`HARD`] that can be had here, once it is under way.
fn each_hard_run(end: impl Fn(Run, &str)) {
    for (topology, fault) in HARD {
        if fault.starts_with("freeze") && !freezer_can_be_had() {
            continue;
        }
        let Some(binary) = binary(topology) else { continue };
        let dir = temporary();
        let run = Run::start(&binary, dir.path(), &["--topology", topology, "--duration", "60s", "--fault", fault]);
        run.under_way();
        end(run, topology);
    }
}

/// Also while something is mounted, or the image is built, or the containers start.
#[test]
fn a_supervisor_that_is_killed_while_it_starts_leaves_nothing() {
    let small = ["--fault", "disk-full=1", "--small-fs", "ext4"];
    let mounts = [5, 15, 25, 35, 50].map(|after_ms| ("processes", &small[..], after_ms));
    let containers = [100, 300, 500, 700, 1000, 2000].map(|after_ms| ("docker-shared", &[][..], after_ms));
    for (topology, more, after_ms) in mounts.into_iter().chain(containers) {
        let Some(binary) = binary(topology) else { continue };
        let dir = temporary();
        let mut run = Run::start(&binary, dir.path(), &[&["--topology", topology, "--duration", "60s"], more].concat());
        wait_for("the run", || fs::metadata(dir.path().join("history")).is_ok());
        thread::sleep(Duration::from_millis(after_ms));
        run.child.kill().expect("it can be killed");
        run.child.wait().expect("it can be waited for");
        assert_nobody_is_left(run.pid(), &run.dir, topology);
    }
}

/// The next run's mounts would be undone by the janitor of the one before.
#[test]
fn a_run_directory_is_taken_until_it_is_cleaned_up() {
    let (dir, binary) = (temporary(), env!("CARGO_BIN_EXE_stress"));
    let arguments = ["--duration", "60s", "--fault", "disk-full=1"];
    let mut run = Run::start(binary, dir.path(), &arguments);
    if !mounted(&run.dir) {
        wait_for("a mount, or a word why not", || {
            mounted(&run.dir) || run.child.try_wait().is_ok_and(|ended| ended.is_some())
        });
    }
    if !mounted(&run.dir) {
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    run.child.kill().expect("it can be killed");
    run.child.wait().expect("it can be waited for");
    let again = Run::start(binary, dir.path(), &["--duration", "100ms"]).finish();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.code() == Some(255) && said.contains("being cleaned up"), "{:?}: {said}", again.status);
    assert_nobody_is_left(run.pid(), &run.dir, "processes");
    let again = Run::start(binary, dir.path(), &["--duration", "100ms"]).finish();
    assert_eq!(again.status.code(), Some(2), "{}", String::from_utf8_lossy(&again.stderr));
}

/// Also while the image is built and the containers start.
#[test]
fn a_run_can_be_interrupted_while_it_starts() {
    for (topology, after_ms) in [
        ("processes", 50),
        ("pidns-shared", 50),
        ("docker-shared", 300),
        ("docker-shared", 1500),
        ("docker-shared", 2500),
    ] {
        let Some(binary) = binary(topology) else { continue };
        let dir = temporary();
        let run = Run::start(&binary, dir.path(), &["--topology", topology, "--duration", "60s"]);
        wait_for("the run", || fs::metadata(dir.path().join("history")).is_ok());
        thread::sleep(Duration::from_millis(after_ms));
        interrupt(run, topology);
    }
}

fn interrupt(run: Run, topology: &str) {
    let (dir, supervisor) = (run.dir.clone(), run.pid());
    kill(supervisor, Signal::SIGINT).expect("it can be interrupted");
    let output = run.finish();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{topology}: {said} {}", log(&dir));
    let results: Value = serde_json::from_slice(&output.stdout).expect("a partial verdict");
    assert_eq!(results["verdict"], "inconclusive");
    assert!(results["doubts"].to_string().contains("interrupted"), "{results:#}");
    assert_nobody_is_left(supervisor, &dir, topology);
}

/// The tool ends where it is; what it leaves is cleaned up behind it.
#[test]
fn a_second_interrupt_ends_it_at_once() {
    each_hard_run(|run, topology| {
        let (dir, supervisor) = (run.dir.clone(), run.pid());
        // Two of the same kind that come together would be one, and two threads may each take theirs for the first.
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
            kill(supervisor, signal).expect("it can be interrupted");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(run.finish().status.code(), Some(255), "{topology}: {}", log(&dir));
        assert_nobody_is_left(supervisor, &dir, topology);
    });
}

fn assert_nobody_is_left(supervisor: Pid, dir: &str, topology: &str) {
    wait_for("the processes' end", || processes_of(dir).is_empty());
    wait_for("the cgroups' end", || cgroups(supervisor).is_empty());
    wait_for("the janitor's end", || janitors_of(dir) == 0);
    assert!(!mounted(dir), "{topology}: something is mounted");
    if topology.starts_with("docker") {
        let prefix = format!("session-lock-stress-{supervisor}-");
        let named = || docker(&["ps", "--all", "--format", "{{.Names}}"]).lines().any(|name| name.starts_with(&prefix));
        wait_for("the containers' end", || !named());
        wait_for("the images' end", || !has_images(supervisor));
    }
}

/// Also layers without a name.
fn has_images(supervisor: Pid) -> bool {
    let listed = docker(&["images", "--all", "--quiet", "--filter", "label=session-lock-stress"]);
    let label = "{{index .Config.Labels \"session-lock-stress\"}}";
    let mut runs = listed.lines().map(|id| docker(&["inspect", "--format", label, id]));
    runs.any(|run| run.starts_with(&format!("{supervisor}-")))
}

fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().expect("there is an engine");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn mounted(dir: &str) -> bool {
    fs::read_to_string("/proc/self/mounts").expect("/proc is there").contains(dir)
}

/// Those who hold the lock on this run's directory after its supervisor.
fn janitors_of(dir: &str) -> usize {
    let open = |path: PathBuf| fs::read_link(path.join("fd/1")).is_ok_and(|file| file == Path::new(dir));
    fs::read_dir("/proc").expect("/proc is there").flatten().filter(|entry| open(entry.path())).count()
}

/// The live processes that have this run's directory on their command line.
fn processes_of(dir: &str) -> Vec<String> {
    let lines = fs::read_dir("/proc").expect("/proc is there").flatten();
    let lines = lines.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains("stress ") && line.contains(dir)).collect()
}
