//! Who uses the lock in a run: older peers beside ours, threads and tasks, and workers that fork and execute themselves anew.

mod support;

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, Record};
use support::{history, run, wait_for};
use tempfile::TempDir;

fn count(history: &[Record], event: Event) -> usize {
    history.iter().filter(|record| record.event == event).count()
}

#[test]
fn older_peers_exclude_each_other() {
    for arguments in [&["--lock", "older-peer"][..], &["--lock", "older-peer-starttime", "--older-peers", "2"]] {
        let (results, history) = run(&[arguments, &["--duration", "1s", "--workers", "4"]].concat());
        assert_eq!(results["verdict"], "valid", "{arguments:?}: {results:#}");
        let (releasing, released) = (count(&history, Event::Releasing), count(&history, Event::Released));
        assert_eq!(releasing, released, "each release is written down when it has returned");
    }
}

#[test]
fn ours_and_older_peers_exclude_each_other() {
    // Kills leave dead claims of both kinds, which only ours take over.
    let mixed = ["--workers", "4", "--older-peers", "4", "--duration", "3s", "--grace", "300ms", "--kill-rate", "4"];
    let (results, history) = run(&mixed);
    assert_eq!(results["verdict"], "valid", "{results:#}");
    for worker in 0..8 {
        let acquired = history.iter().filter(|record| record.event == Event::Acquired && record.worker == worker);
        let tokens: Vec<_> = acquired.map(|record| record.token > 0).collect();
        assert!(
            !tokens.is_empty() && tokens.iter().all(|&fenced| fenced == (worker < 4)),
            "worker {worker}: {tokens:?}"
        );
    }
    assert!(history.iter().filter(|record| record.event == Event::Released).all(|record| record.worker >= 4));
}

#[test]
fn threads_exclude_each_other() {
    let (results, history) = run(&["--topology", "threads", "--groups", "2", "--duration", "2s"]);
    assert_eq!(results["verdict"], "valid", "{results:#}");
    assert_eq!(count(&history, Event::Start), 8);
    assert_eq!(count(&history, Event::Done), 8);
    assert_eq!(count(&history, Event::Cancelled), 0);
}

#[test]
fn tasks_exclude_each_other_and_are_cancelled() {
    for lock in ["session-lock", "flock"] {
        let (results, history) = run(&["--topology", "tasks", "--groups", "2", "--duration", "2s", "--lock", lock]);
        assert_eq!(results["verdict"], "valid", "{results:#}");
        assert_eq!(count(&history, Event::Start), 8);
        let cancelled = count(&history, Event::Cancelled);
        // A lock that can only block cannot be cancelled.
        assert_eq!(cancelled > 0, lock == "session-lock", "{cancelled} cancelled with {lock}");
    }
}

#[test]
fn who_forks_or_executes_inside_a_hold_keeps_the_lock_sound() {
    let (results, history) = run(&["--duration", "3s", "--fault", "fork=10", "--fault", "exec=10", "--kill-rate", "5"]);
    assert_eq!(results["verdict"], "valid", "{results:#}");
    for (event, fault) in [(Event::Forked, Fault::Fork), (Event::Exec, Fault::Exec)] {
        let mut deeds = history.iter().filter(|record| record.event == event).peekable();
        assert!(deeds.peek().is_some(), "{fault:?} happened");
        assert!(deeds.all(|record| record.fault == Some(fault)));
    }
    for (place, exec) in history.iter().enumerate().filter(|(_, record)| record.event == Event::Exec) {
        let next = history[place + 1..].iter().find(|record| record.incarnation == exec.incarnation);
        let next = next.expect("something follows").event;
        assert!(matches!(next, Event::Start | Event::Kill), "{next:?} after an exec");
    }
}

/// One worker, and a directory for it, as the supervisor makes them.
struct Place {
    dir: TempDir,
    worker: Child,
}

impl Place {
    fn new(hold: &str) -> Self {
        Self::with(hold, "session-lock", &[])
    }

    /// With a worker of this lock, and these lock files.
    fn with(hold: &str, lock: &str, claims: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (file, length) in [("history", 0), ("counters", 8), ("control", 1), ("alive", 0)] {
            File::create(dir.path().join(file)).and_then(|file| file.set_len(length)).expect("created");
        }
        // Begin: what the supervisor says first, and the worker takes back.
        fs::write(dir.path().join("control"), [4]).expect("written");
        DirBuilder::new().mode(0o700).create(dir.path().join("sessions")).expect("created");
        for (name, content) in claims {
            fs::write(dir.path().join("sessions").join(name), content).expect("written");
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
        command.args(["worker", "--topology", "processes", "--worker", "0", "--incarnation", "1", "--locks", "1"]);
        command.args(["--lock", lock, "--hold", hold, "--think", "1ms", "--timeout", "10s"]);
        command.args(["--grace", "1s", "--bound", "60s", "--seed", "1"]);
        for file in ["history", "counters", "control", "sessions"] {
            command.arg(format!("--{file}")).arg(dir.path().join(file));
        }
        let alive = File::open(dir.path().join("alive")).expect("there");
        alive.lock_shared().expect("locked");
        let worker = command.stdin(Stdio::piped()).stdout(alive).spawn().expect("it starts");
        Self { dir, worker }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn seen(&self, event: Event) -> usize {
        count(&history(self.path()), event)
    }

    /// Asks for this, once nothing else is asked for any more.
    fn ask(&self, byte: u8) {
        wait_for("a worker that can be asked", || fs::read(self.path().join("control")).is_ok_and(|byte| byte == [0]));
        let control = File::options().write(true).open(self.path().join("control")).expect("there");
        control.write_all_at(&[byte], 0).expect("written");
    }

    /// Whether nobody lives in this place, as its `alive` file says.
    fn is_deserted(&self) -> bool {
        File::open(self.path().join("alive")).expect("there").try_lock().is_ok()
    }

    /// The processes whose command line names this place.
    fn processes(&self) -> Vec<PathBuf> {
        let name = self.path().to_str().expect("UTF-8").to_owned();
        let entries = fs::read_dir("/proc").expect("/proc is there").flatten().map(|entry| entry.path());
        let named = |path: &PathBuf| {
            fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&name))
        };
        entries.filter(named).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.kill().ok();
        self.worker.wait().ok();
    }
}

#[test]
fn an_exec_is_the_same_life_and_leaves_no_moment_in_which_nobody_lives() {
    let mut place = Place::new("1ms");
    wait_for("the first hold", || place.seen(Event::Acquired) > 0);
    for round in 2..12 {
        place.ask(3);
        wait_for("the next start", || {
            assert!(!place.is_deserted(), "the file says that nobody lives");
            place.seen(Event::Start) == round
        });
    }
    let descriptors = fs::read_dir(format!("/proc/{}/fd", place.worker.id())).expect("it lives").count();
    assert!(descriptors < 40, "none is left behind by an exec: {descriptors}");
    drop(place.worker.stdin.take());
    assert_eq!(place.worker.wait().expect("our child").code(), Some(0), "it ends in good order");
    assert_eq!(place.seen(Event::Done), 1);
    assert!(place.is_deserted());
}

#[test]
fn a_forked_child_outlives_the_hold_and_keeps_nothing() {
    let mut place = Place::new("2s");
    place.ask(2);
    wait_for("the fork", || place.seen(Event::Forked) == 1);
    wait_for("the child", || place.processes().len() == 2);
    let mut input = place.worker.stdin.take().expect("piped");
    place.worker.kill().expect("our child");
    place.worker.wait().expect("our child");
    wait_for("the end of all that count", || place.is_deserted());
    wait_for("a pipe that nobody reads", || input.write_all(b"?").is_err());
    let locks = session_lock::LockDir::open(place.path().join("sessions")).expect("open");
    let guard = locks.lock("0.jsonl").timeout(support::BOUND).blocking().expect("free, since its owner is dead");
    assert_eq!(place.processes().len(), 1, "the child is still there");
    guard.release().expect("released");
    wait_for("the child's end", || place.processes().is_empty());
}

/// What a dead owner left is for ours to take over, and at the end of a run these may be gone before.
#[test]
fn an_older_peer_that_waits_for_a_dead_owner_ends_when_it_is_told_to() {
    let dead = [("0.jsonl.lock", r#"{"pid":4194304,"createdAt":"2026-02-01T10:00:00.000Z"}"#)];
    let mut place = Place::with("1ms", "older-peer", &dead);
    wait_for("its start", || place.seen(Event::Start) == 1);
    drop(place.worker.stdin.take());
    assert_eq!(place.worker.wait().expect("our child").code(), Some(0), "it ends in good order");
    assert_eq!((place.seen(Event::Cancelled), place.seen(Event::Timeout), place.seen(Event::Done)), (1, 0, 1));
}
