//! `run` and flock(1) given the same: the same exit codes.

use std::fs::File;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::support::{Sessions, ended, skipped, works};

/// Whether somebody else holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    Free,
    Taken,
}

/// Options of both, and the command.
const CASES: [(Lock, &[&str], &[&str]); 30] = [
    (Lock::Free, &[], &["true"]),
    (Lock::Free, &[], &["false"]),
    (Lock::Free, &[], &["sh", "-c", "exit 7"]),
    (Lock::Free, &[], &["sh", "-c", "exit 255"]),
    (Lock::Free, &["-n"], &["sh", "-c", "exit 7"]),
    (Lock::Free, &["-w", "5"], &["sh", "-c", "exit 7"]),
    (Lock::Free, &["-w", "0"], &["sh", "-c", "exit 7"]),
    (Lock::Free, &["-w", "0.5", "-E", "9"], &["sh", "-c", "exit 7"]),
    (Lock::Free, &[], &["sh", "-c", "kill -TERM $$"]),
    (Lock::Free, &[], &["sh", "-c", "kill -KILL $$"]),
    (Lock::Free, &[], &["sh", "-c", "kill -INT $$"]),
    (Lock::Free, &[], &["sh", "-c", "kill -HUP $$"]),
    (Lock::Free, &[], &["sh", "-c", "kill -USR1 $$"]),
    (Lock::Free, &[], &["sh", "-c", "kill -PIPE $$"]),
    (Lock::Free, &[], &["/nonexistent/command"]),
    (Lock::Free, &[], &["no-such-command-in-the-path"]),
    (Lock::Free, &[], &["/"]),
    (Lock::Free, &[], &["/etc/passwd"]),
    (Lock::Taken, &["-n"], &["true"]),
    (Lock::Taken, &["--nonblock"], &["true"]),
    (Lock::Taken, &["--nb", "-E", "42"], &["true"]),
    (Lock::Taken, &["-n", "--conflict-exit-code", "0"], &["false"]),
    (Lock::Taken, &["-n", "-E", "255"], &["true"]),
    (Lock::Taken, &["-n"], &["/nonexistent/command"]),
    (Lock::Taken, &["-w", "0"], &["true"]),
    (Lock::Taken, &["--wait", ".1"], &["true"]),
    (Lock::Taken, &["--timeout", "0.1", "-E", "42"], &["true"]),
    (Lock::Taken, &["-w", "soon"], &["true"]),
    (Lock::Taken, &["-n", "-E", "256"], &["true"]),
    (Lock::Free, &["--bogus"], &["true"]),
];

fn code(command: &mut Command) -> Option<i32> {
    command.stdin(Stdio::null()).output().expect("it runs").status.code()
}

/// With the signals that a shell would give it.
fn flock_tool(options: &[&str], file: &std::path::Path, words: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", "flock"]).args(options).arg(file).args(words);
    command
}

#[test]
fn exit_codes_are_those_of_flock() {
    if !works("flock", &["--version"]) {
        return skipped("exit_codes_are_those_of_flock", "flock (util-linux)");
    }
    let sessions = Sessions::new();
    let _ours = sessions.hold("taken", "holder");
    let theirs = File::create_new(sessions.file("their.taken")).expect("made");
    flock(&theirs, FlockOperation::LockExclusive).expect("free");
    for (lock, options, words) in CASES {
        let (session, file) = match lock {
            Lock::Free => ("free", sessions.file("their.free")),
            Lock::Taken => ("taken", sessions.file("their.taken")),
        };
        let expected = code(&mut flock_tool(options, &file, words));
        let arguments = [&["run"], options, &[session, "--"], words].concat();
        let found = code(&mut sessions.command(&arguments));
        assert_eq!(found, expected, "{lock:?} {options:?} {words:?}");
    }
    let nowhere = sessions.file("nowhere");
    let expected = code(&mut flock_tool(&[], &nowhere.join("file"), &["true"]));
    let mut command = crate::support::tool();
    let found = code(command.arg("--dir").arg(&nowhere).args(["run", "file", "--", "true"]));
    assert_eq!(found, expected, "a directory that is not there");
    let expected = code(&mut flock_tool(&[], &sessions.file("their.free"), &[]));
    assert_eq!(code(&mut sessions.command(&["run", "free"])), expected, "no command");
}

/// Both wait for a lock that becomes free, and then run the command.
#[test]
fn who_waits_gets_it() {
    let sessions = Sessions::new();
    let guard = sessions.hold("s", "holder");
    let mut waiting =
        sessions.command(&["run", "-w", "100", "s", "--", "sh", "-c", "exit 7"]).spawn().expect("it starts");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(waiting.try_wait().expect("our child").is_none());
    guard.release().expect("held");
    assert_eq!(ended(&mut waiting).code(), Some(7));
}
