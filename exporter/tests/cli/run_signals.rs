//! `run` and signals: they are the command's, each once.

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;

use crate::support::{PLENTY, Running, Sessions, ended, lines_of, skipped, stderr, wait_until, works};

/// Says which it gets; ends when it has one.
const TELLS: &str = "for s in HUP INT QUIT TERM USR1 USR2; do trap \"echo $s; exit 5\" $s; done; echo ready; \
                     for i in $(seq 9999); do sleep 0.01; done";

#[test]
fn signals_reach_the_command_and_its_exit_code_is_passed_on() {
    let sessions = Sessions::new();
    for (signal, name) in [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::TERM, "TERM"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ] {
        let mut running = Running::start(&mut sessions.command(&["run", "s", "--", "sh", "-c", TELLS]));
        assert_eq!(running.line(), "ready");
        running.send(signal);
        let (status, rest) = running.end();
        assert_eq!((status.code(), rest), (Some(5), vec![name.to_owned()]));
        assert!(!sessions.file("s.lock").exists());
    }
}

/// Nobody has a command to pass them on to.
#[test]
fn while_it_waits_a_signal_ends_it_as_it_ends_others() {
    let sessions = Sessions::new();
    let guard = sessions.hold("s", "holder");
    let running = Running::start(&mut sessions.command(&["run", "s", "--", "true"]));
    let locks = session_lock::LockDir::open(sessions.path()).expect("a directory for locks");
    wait_until("it waits", || !locks.metrics().expect("readable").waits.is_empty());
    running.send(Signal::TERM);
    assert_eq!(running.end().0.signal(), Some(15));
    guard.release().expect("held");
}

/// As under nohup(1).
#[test]
fn a_signal_that_is_ignored_stays_ignored_in_the_command() {
    let sessions = Sessions::new();
    let mut command = Command::new("env");
    command.args(["--ignore-signal=HUP", env!("CARGO_BIN_EXE_session-lock"), "--dir"]).arg(sessions.path());
    let script = "kill -HUP $$; echo alive; read end; echo $end";
    command.args(["run", "s", "--", "sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let lines = lines_of(child.stdout.take().expect("piped"));
    assert_eq!(lines.recv_timeout(PLENTY).as_deref(), Ok("alive"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::HUP).expect("our child");
    child.stdin.take().expect("piped").write_all(b"end\n").expect("read");
    assert_eq!(lines.recv_timeout(PLENTY).as_deref(), Ok("end"));
    assert!(ended(&mut child).success());
}

/// What the terminal sends goes to the whole group. A command that has left the group does not get it from there, so it would
/// notice that it is passed on.
#[test]
fn a_key_reaches_the_command_once() {
    const NAME: &str = "a_key_reaches_the_command_once";
    if !works("script", &["--version"]) || !works("setsid", &["--version"]) {
        return skipped(NAME, "script and setsid (util-linux)");
    }
    for (command, count) in [("sh tells.sh", 1), ("setsid sh tells.sh", 0)] {
        assert_eq!(interrupts(command), format!("{count}\n"), "{command}");
    }
}

/// How often a command that runs in a terminal gets SIGINT when somebody types the key for it.
fn interrupts(command: &str) -> String {
    let sessions = Sessions::new();
    let tells = "n=0; trap 'n=$((n+1))' INT; echo rea''dy; while [ ! -e go ]; do sleep 0.01; done; echo $n > counted";
    sessions.write("tells.sh", tells);
    let line = format!("exec env --default-signal {} run s -- {command}", env!("CARGO_BIN_EXE_session-lock"));
    let mut terminal = Command::new("timeout");
    terminal
        .args(["--foreground", "120", "script", "--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(sessions.path());
    // A shell that stays would get the key too, and end by it.
    terminal
        .env("SHELL", "/bin/sh")
        .env_remove("SESSION_LOCK_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = terminal.spawn().expect("it starts");
    let lines = lines_of(child.stdout.take().expect("piped"));
    assert_eq!(lines.recv_timeout(PLENTY).as_deref().map(str::trim), Ok("ready"));
    let mut keys = child.stdin.take().expect("piped");
    keys.write_all(b"\x03").expect("read");
    // Nothing tells that a signal does not come.
    std::thread::sleep(std::time::Duration::from_millis(500));
    sessions.write("go", "");
    drop(keys);
    let output = child.wait_with_output().expect("our child");
    assert!(output.status.success(), "{output:?}");
    let counted = std::fs::read_to_string(sessions.file("counted"));
    counted.unwrap_or_else(|error| panic!("{error} {}", stderr(&output)))
}
