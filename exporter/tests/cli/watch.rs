//! `watch`: a line for each change, soon after it.

use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::support::{Running, Sessions, ended, lines_of, stderr};

#[test]
fn changes_come_as_lines_of_json() {
    let sessions = Sessions::new();
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    let mut watching = Running::start(&mut sessions.command(&["watch", "--interval", "10ms", "--json"]));
    let mut next = || {
        let line = watching.line();
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let at = line["at"].as_str().expect("a time");
        assert!(at.len() == 24 && at.ends_with('Z'), "{at}");
        line
    };
    let is = |line: &Value, change: &str, session: &str| {
        assert_eq!((line["change"].as_str(), line["session"].as_str()), (Some(change), Some(session)), "{line}");
    };
    is(&next(), "reclaimable", "dead");
    let guard = sessions.hold("s", "run 17");
    let acquired = next();
    is(&acquired, "acquired", "s");
    assert_eq!(acquired["lock"]["holder"]["token"], guard.token());
    assert!(acquired["words"].as_str().is_some_and(|words| words.contains("run 17")), "{acquired}");
    let waiting = Running::start(
        sessions.command(&["run", "s", "--label", "next", "--", "cat"]).stdin(std::process::Stdio::piped()),
    );
    let line = next();
    is(&line, "waiting", "s");
    assert!(line["words"].as_str().is_some_and(|words| words.contains("\"next\"")), "{line}");
    guard.release().expect("held");
    // In one look or in two: the new claim is there before the record of the wait is gone.
    let mut changes = Vec::new();
    while changes.len() < 3 {
        let line = next();
        changes.push(line["change"].as_str().expect("a word").to_owned());
    }
    changes.sort();
    assert_eq!(changes, ["acquired", "released", "waited"]);
    waiting.send(Signal::KILL);
    is(&next(), "left", "s");
    std::fs::remove_file(sessions.file("dead.lock")).expect("there");
    is(&next(), "reclaimed", "dead");
}

#[test]
fn one_session_can_be_asked_for_and_interrupt_ends_it() {
    let sessions = Sessions::new();
    let mut watching = Running::start(&mut sessions.command(&["watch", "s", "--interval", "10ms"]));
    let other = sessions.hold("other", "no");
    let guard = sessions.hold("s", "run\u{7}17");
    let line = watching.line();
    assert!(line.contains(" s: by another process, pid ") && line.contains("run\\u{7}17"), "{line}");
    drop(other);
    drop(guard);
    let line = watching.line();
    assert!(line.contains(" released     s: "), "{line}");
    watching.send(Signal::INT);
    let (status, rest) = watching.end();
    assert_eq!((status.signal(), rest), (Some(2), Vec::new()));
}

#[test]
fn a_claim_that_is_replaced_is_told_as_lost() {
    let sessions = Sessions::new();
    let _guard = sessions.hold("s", "victim");
    let mut watching = Running::start(&mut sessions.command(&["watch", "--interval", "10ms"]));
    assert!(watching.line().contains(" held "));
    sessions.write("new", r#"{"pid":4194303}"#);
    std::fs::rename(sessions.file("new"), sessions.file("s.lock")).expect("renamed");
    while !watching.line().contains(" lost         -: holds whose claim was replaced: 1") {}
}

/// Nothing changes any more, so that no write can tell.
#[test]
fn it_ends_when_nobody_reads_it_any_more() {
    let sessions = Sessions::new();
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    let mut command = sessions.command(&["watch", "--interval", "10ms"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = lines_of(child.stderr.take().expect("piped"));
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    assert!(line.contains(" reclaimable  dead: "), "{line}");
    drop(said);
    assert!(ended(&mut child).success());
    assert_eq!(lines.iter().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_look_without_a_pause_is_wrong_usage() {
    let output = Sessions::new().output(&["watch", "--interval", "0s"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("at least 10ms"), "{output:?}");
}
