//! The binary as an operator meets it: it says where it listens, answers, and ends when told to.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use rustix::process::Signal;

use crate::http::{self, get};
use crate::running::{Running, exporter, output};

#[test]
fn answers_and_ends_on_sigterm_and_on_sigint() {
    for (listen_address, signal, name) in
        [("127.0.0.1:0", Signal::TERM, "SIGTERM"), ("localhost:0", Signal::INT, "SIGINT")]
    {
        let running = Running::spawn(&mut exporter(&["--dir", "/", "--web.listen-address", listen_address]));
        assert!(running.address.ip().is_loopback() && running.address.port() != 0, "{}", running.address);
        let response = get(running.address, "/-/healthy");
        assert_eq!((response.status, response.text().as_str()), (200, "session-lock-exporter is healthy.\n"));
        let (code, said) = running.end(signal).expect("the exporter ends");
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn an_address_in_use_is_named_with_the_reason() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    let output = output(&["--dir", "/", "--web.listen-address", &address]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert!(said.contains("--web.listen-address") && said.contains("Address already in use"), "{said}");
    assert!(!said.contains("listening"), "{said}");
}

#[test]
fn wrong_usage_is_told() {
    for (arguments, complaint) in [
        (&["--dir", "/", "--web.listen-address", "127.0.0.1"][..], "expected host:port"),
        (&[], "--dir"),
        (&["--dir", "/", "--log.level", "loud"], "--log.level"),
        (&["--dir", "/", "--web.max-requests", "many"], "--web.max-requests"),
    ] {
        let output = output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(complaint), "{said}");
    }
    let output = output(&["--dir", "/", "--web.telemetry-path", "/-/healthy", "--web.listen-address", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--web.telemetry-path"), "{said}");
}

#[test]
fn says_its_version_and_its_defaults() {
    let version = output(&["--version"]);
    assert!(version.status.success());
    let said = String::from_utf8_lossy(&version.stdout);
    assert!(said.starts_with(&format!("session-lock-exporter {}\n", env!("CARGO_PKG_VERSION"))), "{said}");
    assert!(said.contains("\nrevision: ") && said.contains("\nrustc: rustc 1."), "{said}");
    let help = output(&["--help"]);
    assert!(help.status.success());
    let said = String::from_utf8_lossy(&help.stdout);
    assert!(said.contains("[default: 127.0.0.1:15625]"), "{said}");
    for heading in ["\nLocks:\n", "\nWeb:\n", "\nLog:\n"] {
        assert!(said.contains(heading), "{said}");
    }
}

#[test]
fn the_environment_says_the_same_as_options_and_the_command_line_wins() {
    let running = Running::spawn(
        exporter(&["--web.telemetry-path", "/from-command-line"])
            .env("SESSION_LOCK_EXPORTER_DIR", "one=/:/nonexistent/two")
            .env("SESSION_LOCK_EXPORTER_WEB_LISTEN_ADDRESS", "127.0.0.1:0")
            .env("SESSION_LOCK_EXPORTER_WEB_TELEMETRY_PATH", "/from-environment")
            .env("SESSION_LOCK_EXPORTER_LOG_FORMAT", "json"),
    );
    assert!(running.began.starts_with('{'), "{}", running.began);
    assert_eq!(get(running.address, "/from-environment").status, 404);
    let metrics = get(running.address, "/from-command-line").text();
    for directory in ["one", "two"] {
        let up = format!("session_lock_exporter_up{{directory=\"{directory}\"}}");
        assert!(metrics.contains(&up), "{metrics}");
    }
}

#[test]
fn a_directory_that_is_missing_is_down_until_it_is_there() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("sessions");
    let running = Running::start(&["--dir", path.to_str().expect("a plain path")]);
    let up = |value| format!("session_lock_exporter_up{{directory=\"sessions\"}} {value}\n");
    let before = get(running.address, "/metrics");
    assert_eq!(before.status, 200);
    assert!(before.text().contains(&up("0.0")), "{}", before.text());
    assert!(!before.text().contains(parent.path().to_str().expect("a plain path")), "no path in a label");
    std::fs::create_dir(&path).expect("the directory is made");
    let after = get(running.address, "/metrics").text();
    assert!(after.contains(&up("1.0")), "{after}");
    let (code, said) = running.end(Signal::TERM).expect("the exporter ends");
    assert_eq!(code, Some(0));
    assert!(said.contains("No such file or directory"), "{said}");
}

/// No value can leave its field or its line, in either format.
#[test]
fn a_log_line_is_one_line() {
    for format in ["logfmt", "json"] {
        let hostile = "/nonexistent/a\"b\nlevel=error message=forged\\";
        let running = Running::start(&["--dir", hostile, "--log.format", format]);
        assert_eq!(get(running.address, "/metrics").status, 200);
        let began = running.began.clone();
        let (_, said) = running.end(Signal::TERM).expect("the exporter ends");
        let lines: Vec<_> = began.lines().chain(said.lines()).collect();
        assert!(lines.len() >= 3, "listening, not up, stopping: {lines:?}");
        for line in &lines {
            if format == "json" {
                let parsed: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
                assert!(parsed["level"].is_string() && parsed["timestamp"].is_string(), "{line}");
            } else {
                assert!(line.starts_with("ts=") && !line.contains("\" message=forged"), "{line}");
            }
        }
    }
}

#[test]
fn systemd_passes_the_socket() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    // systemd's protocol: the sockets from descriptor 3 on, and the process that they are for.
    let socket = OwnedFd::from(listener);
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).expect("the child inherits it");
    let script = format!("exec 3<&{}; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"", socket.as_raw_fd());
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_session-lock-exporter"), "--dir", "/", "--web.systemd-socket"]);
    let running = Running::spawn(&mut command);
    assert_eq!(running.address, address);
    assert_eq!(http::get(address, "/-/healthy").status, 200);

    let none = output(&["--dir", "/", "--web.systemd-socket"]);
    let said = String::from_utf8_lossy(&none.stderr);
    assert_eq!(none.status.code(), Some(1), "{said}");
    assert!(said.contains("--web.systemd-socket"), "{said}");
}
