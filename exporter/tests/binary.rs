//! The binary as an operator meets it: it says where it listens, answers, and ends when told to.

mod http;

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const LISTENING: &str = "session-lock-exporter: listening on http://";

fn exporter(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-lock-exporter"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    exporter(arguments).output().expect("the binary runs")
}

/// A running exporter; killed when a test fails before it has ended.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: SocketAddr,
}

impl Running {
    fn start(listen_address: &str) -> Self {
        let mut child = exporter(&["--web.listen-address", listen_address])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("stderr is text");
        let address = line.strip_prefix(LISTENING).and_then(|rest| rest.trim_end().parse().ok());
        let address = address.unwrap_or_else(|| panic!("the first line names the address: {line:?}"));
        Self { child, stderr, address }
    }

    /// Sends `signal`, then waits for the end: the exit code, and what was written to stderr after the first line.
    fn end(mut self, signal: Signal) -> io::Result<(Option<i32>, String)> {
        kill_process(Pid::from_child(&self.child), signal)?;
        let mut said = String::new();
        self.stderr.read_to_string(&mut said)?;
        Ok((self.child.wait()?.code(), said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when the child was waited for, which is the ordinary case.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn answers_and_ends_on_sigterm_and_on_sigint() {
    for (listen_address, signal, name) in
        [("127.0.0.1:0", Signal::TERM, "SIGTERM"), ("localhost:0", Signal::INT, "SIGINT")]
    {
        let running = Running::start(listen_address);
        assert!(running.address.ip().is_loopback() && running.address.port() != 0, "{}", running.address);
        let response = http::request(running.address, "GET", "/-/healthy").expect("the exporter answers");
        assert_eq!(response.status, 200, "{}", response.head);
        assert_eq!(response.body, "session-lock-exporter is healthy.\n");
        let (code, said) = running.end(signal).expect("the exporter ends");
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn an_address_in_use_is_named_with_the_reason() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    let output = output(&["--web.listen-address", &address]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert!(said.contains("--web.listen-address") && said.contains("Address already in use"), "{said}");
    assert!(!said.contains("listening on http"), "{said}");
}

#[test]
fn a_wrong_address_is_a_usage_error() {
    let output = output(&["--web.listen-address", "127.0.0.1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--web.listen-address") && said.contains("expected host:port"), "{said}");
}

#[test]
fn says_its_version_and_its_default() {
    let version = output(&["--version"]);
    assert!(version.status.success());
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        format!("session-lock-exporter {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = output(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("[default: 127.0.0.1:15625]"));
}
