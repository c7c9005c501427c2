//! `ls`: what the table and the JSON have.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use session_lock_exporter::{Directory, Source};

use crate::support::{Sessions, json, stderr, stdout};

#[test]
fn a_row_has_session_state_holder_age_token_and_waiters() {
    let sessions = Sessions::new();
    drop(sessions.hold("held", "once"));
    let guard = sessions.hold("held", "run 17");
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    let output = sessions.output(&["ls"]);
    assert!(output.status.success(), "{output:?}");
    let table = stdout(&output);
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["SESSION", "STATE", "HOLDER", "AGE", "TOKEN", "WAITING"]);
    assert_eq!(rows[1], ["dead", "reclaimable", "4194303", "-", "-", "0"]);
    assert_eq!(rows[2][..2], ["held", "held"]);
    assert!(rows[2][2].starts_with(&format!("{}@", std::process::id())), "{table}");
    assert_eq!(rows[2][3..5], ["\"run", "17\""]);
    assert_eq!(rows[2][rows[2].len() - 2..], [guard.token().to_string().as_str(), "0"]);
    assert_eq!((guard.token(), rows.len()), (2, 3));
}

#[test]
fn who_waits_is_counted() {
    let sessions = Sessions::new();
    let guard = sessions.hold("s", "holder");
    let mut waiting = sessions.command(&["run", "s", "--", "true"]).spawn().expect("it starts");
    crate::support::wait_until("it waits", || stdout(&sessions.output(&["ls"])).trim_end().ends_with(" 1"));
    guard.release().expect("held");
    assert!(crate::support::ended(&mut waiting).success());
}

#[test]
fn only_what_is_asked_for() {
    let sessions = Sessions::new();
    let _guard = sessions.hold("held", "run 17");
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    fs::create_dir(sessions.file("none.lock")).expect("made");
    let asked = |states: &[&str]| {
        let options = states.iter().flat_map(|state| ["--state", state]);
        let output = sessions.output(&["ls", "--json"].into_iter().chain(options).collect::<Vec<_>>());
        let found = json(&output);
        found
            .as_array()
            .expect("a list")
            .iter()
            .map(|lock| lock["session"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(&[]), ["dead", "held", "none"]);
    assert_eq!(asked(&["held"]), ["held"]);
    assert_eq!(asked(&["reclaimable", "not_a_claim"]), ["dead", "none"]);
    assert_eq!(asked(&["corrupt"]), [""; 0]);
    let output = sessions.output(&["ls", "--state", "corrupt"]);
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("", "session-lock: no lock is in that state\n"));
    assert_eq!(sessions.output(&["ls", "--state", "lost"]).status.code(), Some(64));
}

/// Whoever reads one reads the other.
#[test]
fn the_json_is_the_exporters() {
    let sessions = Sessions::new();
    let _guard = sessions.hold("held\u{1b}[31m", "run 17");
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    let mut found = json(&sessions.output(&["ls", "--json"]));
    let theirs = Directory::new("d", sessions.path()).locks(Instant::now() + Duration::from_mins(1)).expect("readable");
    let mut theirs: serde_json::Value = serde_json::from_str(theirs.get()).expect("JSON");
    for locks in [&mut found, &mut theirs] {
        let held = &mut locks[1];
        assert!(held["heldSeconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{held}");
        held["heldSeconds"] = 0.into();
        // Another process asks.
        held["words"] = "".into();
    }
    assert_eq!(found, theirs);
    assert_eq!(found[1]["session"], "held\u{1b}[31m");
}

#[test]
fn no_name_reaches_the_terminal_as_it_is() {
    let sessions = Sessions::new();
    let _guard = sessions.hold("a\u{1b}[31m\nb\u{202e}", "\u{1b}]0;title\u{7}");
    for arguments in [&["ls"][..], &["show", "a\u{1b}[31m\nb\u{202e}"], &["sweep"], &["doctor"]] {
        let output = sessions.output(arguments);
        let said = stdout(&output) + &stderr(&output);
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");
    }
    assert!(stdout(&sessions.output(&["ls"])).contains("a\\u{1b}[31m\\nb\\u{202e}"));
}

#[test]
fn an_empty_directory_says_so_beside_the_output() {
    let sessions = Sessions::new();
    let output = sessions.output(&["ls"]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(stderr(&output).contains("no session in"), "{output:?}");
    assert_eq!(json(&sessions.output(&["ls", "--json"])), serde_json::json!([]));
}

#[test]
fn a_directory_that_cannot_be_looked_at_is_one_line_and_exit_code_2() {
    let sessions = Sessions::new();
    for arguments in [&["ls"][..], &["show", "s"], &["watch"], &["sweep"], &["doctor"]] {
        let gone = sessions.file("gone");
        let output = crate::support::tool().args(arguments).arg("--dir").arg(&gone).output().expect("it runs");
        let said = stderr(&output);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains("No such file or directory") && said.contains("create the directory"), "{said}");
    }
}

#[test]
fn the_directory_can_be_said_in_the_environment() {
    let sessions = Sessions::new();
    let _guard = sessions.hold("s", "run 17");
    let output = crate::support::tool().arg("ls").env("SESSION_LOCK_DIR", sessions.path()).output().expect("it runs");
    assert!(stdout(&output).contains("run 17"), "{output:?}");
    let output = crate::support::tool().arg("ls").current_dir(sessions.path()).output().expect("it runs");
    assert!(stdout(&output).contains("run 17"), "{output:?}");
}

/// As under `| head`.
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let sessions = Sessions::new();
    let _guard = sessions.hold("s", "run 17");
    for arguments in [
        &["ls"][..],
        &["ls", "--json"],
        &["show", "s"],
        &["sweep"],
        &["doctor"],
        &["completions", "bash"],
        &["man"],
        &["watch"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = sessions.command(arguments);
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(command);
        let output = child.wait_with_output().expect("our child");
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
}
