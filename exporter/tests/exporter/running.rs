//! The binary, running.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The binary with arguments, and no environment that means something to it.
pub(crate) fn exporter(arguments: &[&str]) -> Command {
    with_clean_environment(Command::new(env!("CARGO_BIN_EXE_session-lock-exporter")), arguments)
}

/// The same under a limit of open descriptors.
pub(crate) fn exporter_with_descriptors(most: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_session-lock-exporter")]);
    with_clean_environment(command, arguments)
}

fn with_clean_environment(mut command: Command, arguments: &[&str]) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || text.starts_with("SESSION_LOCK_EXPORTER_") || text.starts_with("LISTEN_") {
            command.env_remove(&name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    exporter(arguments).output().expect("the binary runs")
}

/// A running exporter; killed when a test fails before it has ended.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// What it wrote to stderr before it listened.
    pub(crate) began: String,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    /// Starts it on a free port of loopback.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(exporter(arguments).args(["--web.listen-address", "127.0.0.1:0"]))
    }

    /// Starts it, and waits for it to say where it listens.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut running = Self { child, address: (Ipv4Addr::LOCALHOST, 0).into(), began: String::new(), stderr };
        loop {
            let line = running.began.len();
            let count = running.stderr.read_line(&mut running.began).expect("stderr is text");
            assert_ne!(count, 0, "it ended with {:?}: {}", running.child.wait(), running.began);
            if let Some(address) = address(&running.began[line..]) {
                running.address = address;
                return running;
            }
        }
    }

    /// Sends `signal`, then waits for the end: the exit code, and what was written to stderr since it listened.
    pub(crate) fn end(mut self, signal: Signal) -> io::Result<(Option<i32>, String)> {
        kill_process(Pid::from_child(&self.child), signal)?;
        let mut said = String::new();
        self.stderr.read_to_string(&mut said)?;
        Ok((self.child.wait()?.code(), said))
    }
}

/// The address in the line that says that it listens.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening")?;
    let (_, rest) = rest.split_once("://")?;
    rest.trim_end().trim_end_matches(['"', '}']).split('"').next()?.parse().ok()
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when the child was waited for, which is the ordinary case.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
