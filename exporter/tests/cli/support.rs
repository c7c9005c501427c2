//! A directory of sessions, the binary in it, and processes that end with their test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use session_lock::{Guard, LockDir};
use tempfile::TempDir;

/// For what happens soon on a machine that is not busy.
pub(crate) const PLENTY: Duration = Duration::from_mins(2);

/// A directory of sessions.
pub(crate) struct Sessions(TempDir);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.file(name), content).expect("written");
    }

    /// Holds a lock, as this process.
    pub(crate) fn hold(&self, name: &str, label: &str) -> Guard {
        let locks = LockDir::open(self.path()).expect("a directory for locks");
        locks.lock(name).label(label).timeout(PLENTY).blocking().expect("free")
    }

    /// A runner whose command holds `s` until it is ended.
    pub(crate) fn runner(&self, label: &str) -> Running {
        let sleeping = ["run", "s", "--label", label, "--", "sh", "-c", "echo; exec sleep 600"];
        let mut runner = Running::start(&mut self.command(&sleeping));
        runner.line();
        runner
    }

    /// The binary in this directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tool();
        command.arg("--dir").arg(self.path()).args(arguments);
        command
    }

    /// The same through a shell, which does something first.
    pub(crate) fn after(&self, preparation: &str, arguments: &[&str]) -> Command {
        let mut command = clean(Command::new("sh"));
        command.args(["-c", &format!("{preparation} && exec \"$0\" \"$@\""), BINARY, "--dir"]);
        command.arg(self.path()).args(arguments);
        command
    }

    /// What it says and how it ends; 124 if it does not.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        let mut command = clean(Command::new("timeout"));
        command.args(["--foreground", "120", BINARY, "--dir"]).arg(self.path()).args(arguments);
        command.output().expect("the binary runs")
    }
}

const BINARY: &str = env!("CARGO_BIN_EXE_session-lock");

/// The binary, with no environment that means something to it, and signals as a terminal's shell would have them.
pub(crate) fn tool() -> Command {
    let mut command = clean(Command::new("env"));
    command.args(["--default-signal", BINARY]);
    command
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SESSION_LOCK_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

pub(crate) fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A running tool; killed when a test fails before it has ended.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let lines = lines_of(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    /// The next line of its stdout.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        self.lines.recv_timeout(PLENTY).expect("it says more")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("our child");
    }

    /// Its exit status, and what else was said on its stdout until nobody had that open.
    #[track_caller]
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PLENTY) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {rest:?}"),
            }
        }
        (ended(&mut self.child), rest)
    }
}

/// Its exit status, when it has ended.
#[track_caller]
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    wait_until("it ends", || child.try_wait().expect("our child").is_some());
    child.wait().expect("our child")
}

/// The lines that come, read by a thread, so that waiting for one has an end.
pub(crate) fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if sender.send(line.expect("text")).is_err() {
                return;
            }
        }
    });
    lines
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when the child was waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PLENTY;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What [`as_another_user`] needs.
pub(crate) const ANOTHER_USER: &str = "root, setpriv (util-linux), and a target directory that others may search";

/// The binary as a user without privileges; `None` where it cannot be
/// started so.
pub(crate) fn as_another_user(sessions: &Sessions, arguments: &[&str]) -> Option<Command> {
    const USER: [&str; 4] = ["--reuid=1001", "--regid=1001", "--clear-groups", "--inh-caps=-all"];
    if !works("setpriv", &[&USER[..], &["test", "-x", BINARY]].concat()) {
        return None;
    }
    let after = sessions.after("true", arguments);
    let mut command = clean(Command::new("setpriv"));
    command.args(USER).arg(after.get_program()).args(after.get_args());
    Some(command)
}

/// Whether the machine can run this.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let tried = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Says that a test is skipped.
pub(crate) fn skipped(test: &str, needs: &str) {
    eprintln!("skipped: {test}: needs {needs}");
}
