//! A process that locks, and tells each acquire and release on its stderr: this program, started as the test [`worker`].

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use session_lock::{Guard, LockDir};

use crate::http::PLENTY;

const DIRECTORY: &str = "SESSION_LOCK_TEST_DIRECTORY";
const TASK: &str = "SESSION_LOCK_TEST_TASK";

/// What a worker does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// So many holds, then the end.
    Holds(u32),
    /// So many holds, and then one that lasts until it is killed.
    HoldsAndOneMore(u32),
    /// Holds until its stdin is closed, telling each hundredth.
    UntilTold,
}

/// A worker that runs; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
}

impl Worker {
    /// Starts one that holds sessions named after `seed`.
    pub(crate) fn start(directory: &Path, task: Task, seed: usize) -> Self {
        let task = match task {
            Task::Holds(holds) => format!("{holds} end {seed}"),
            Task::HoldsAndOneMore(holds) => format!("{holds} stay {seed}"),
            Task::UntilTold => format!("0 told {seed}"),
        };
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "worker::worker", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(DIRECTORY, directory).env(TASK, task);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let said = BufReader::new(child.stderr.take().expect("piped")).lines();
        Self { child, said }
    }

    /// What it says next; `None` at its end.
    pub(crate) fn said(&mut self) -> Option<String> {
        self.said.next().map(|line| line.expect("text"))
    }

    /// `SIGKILL`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// Closes its stdin.
    pub(crate) fn tell(&mut self) {
        drop(self.child.stdin.take());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("our child")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
#[ignore = "the other tests start it as a process of its own"]
fn worker() {
    let (Some(directory), Ok(task)) = (std::env::var_os(DIRECTORY), std::env::var(TASK)) else { return };
    let locks = LockDir::open(directory).expect("a directory for locks");
    let [holds, then, seed] = task.split(' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let (holds, seed): (usize, usize) = (holds.parse().expect("a number"), seed.parse().expect("a number"));
    let acquire = |nth: usize| -> Guard {
        let session = format!("s{}", (seed + nth) % 5);
        locks.lock(&session).timeout(PLENTY).blocking().expect("free in time")
    };
    for nth in 0..holds {
        let guard = acquire(nth);
        eprintln!("acquired");
        guard.release().expect("held to the end");
        eprintln!("released");
    }
    match then {
        "stay" => {
            let guard = acquire(holds);
            eprintln!("acquired");
            eprintln!("holding");
            loop {
                std::thread::park();
                assert!(guard.is_lost().is_none());
            }
        }
        "told" => until_told(acquire),
        _ => {}
    }
}

fn until_told(acquire: impl Fn(usize) -> Guard) {
    let told = std::thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let mut nth = 0;
    while !told.is_finished() {
        acquire(nth).release().expect("held to the end");
        nth += 1;
        if nth % 100 == 0 {
            eprintln!("{nth}");
        }
    }
    eprintln!("{nth}");
}
