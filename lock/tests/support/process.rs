//! Another process that holds a session: the example `hold`.

use super::LONG;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// An example of this crate. `cargo test` builds it first; with `--test` alone it is the one of the last build.
pub fn example(name: &str) -> Command {
    let this = std::env::current_exe().expect("this program");
    // How deep below target/debug this program lies is cargo's affair.
    let example = this.ancestors().map(|place| place.join("examples").join(name)).find(|example| example.is_file());
    Command::new(example.unwrap_or_else(|| panic!("no example {name}: cargo build -p session-lock --examples")))
}

/// A process that holds a session, killed when dropped.
pub struct OtherProcess {
    child: Child,
    lines: Receiver<String>,
}

impl OtherProcess {
    /// Acquires in another process.
    pub fn hold(dir: &Path, session: &str) -> Self {
        let started = Self::begin(dir, session);
        started.wait_for("held");
        started
    }

    /// Starts another process that acquires, and does not wait until it has.
    pub fn begin(dir: &Path, session: &str) -> Self {
        Self::run(example("hold"), dir, session)
    }

    /// Starts a program that acquires.
    pub fn run(mut command: Command, dir: &Path, session: &str) -> Self {
        command.arg(dir).arg(session).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (said, lines) = channel();
        // One that never acquires fails the test instead of hanging it.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, lines }
    }

    /// Waits until it has said a line that begins so.
    pub fn wait_for(&self, line: &str) {
        while !self.lines.recv_timeout(LONG).expect("it says so, and lives").starts_with(line) {}
    }

    /// `SIGKILL`.
    pub fn kill(mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// `SIGTERM`, and waits until it has ended.
    pub fn terminate(mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("our child");
        self.child.wait().expect("our child");
    }

    /// Lets it release and end. What it said since it was last waited for.
    pub fn release(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}");
        self.lines.iter().collect()
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
