//! `show`: the verdict and what it rests on.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{ANOTHER_USER, Running, Sessions, as_another_user, json, skipped, stderr, stdout, wait_until};

#[test]
fn a_held_lock_has_claim_evidence_and_those_who_wait() {
    let sessions = Sessions::new();
    let guard = sessions.hold("s", "run 17");
    let waiting = Running::start(&mut sessions.command(&["run", "s", "--label", "next", "--", "true"]));
    let shown = || json(&sessions.output(&["show", "s", "--json"]));
    wait_until("it waits", || shown()["contention"]["waiting"] != Value::Array(Vec::new()));
    let value = shown();
    assert_eq!(value["state"], "held");
    assert_eq!(value["holder"]["pid"], std::process::id());
    assert_eq!(value["holder"]["token"], guard.token());
    assert_eq!(value["evidence"]["process"], "present");
    // The kernel's list may say it twice while others come and go.
    assert!(value["evidence"]["parked"].as_u64().is_some_and(|parked| parked >= 1), "{value}");
    let waiter = &value["contention"]["waiting"][0];
    assert_eq!(waiter["waiter"]["pid"], waiting.pid().as_raw_nonzero().get());
    assert_eq!(waiter["waiter"]["label"], "next");

    let text = stdout(&sessions.output(&["show", "s"]));
    assert!(text.starts_with("s is held by another process, pid "), "{text}");
    for part in [
        "its claim is locked; wait, or end that process",
        "label        run 17\n",
        "process      there is such a process",
        "\nwaiting\n",
        ", \"next\": for ",
    ] {
        assert!(text.contains(part), "{part} {text}");
    }
    guard.release().expect("held");
    assert!(waiting.end().0.success());
    let text = stdout(&sessions.output(&["show", "s"]));
    assert!(text.starts_with("s is free\n") && text.contains("\nwaited\n") && !text.contains("\nwaiting\n"), "{text}");
}

#[test]
fn what_others_wrote_is_escaped_and_what_waits_for_others_is_not_there() {
    let sessions = Sessions::new();
    let guard = sessions.hold("s", "run\u{1b}[31m\u{202e}17");
    let other = sessions.hold("other", "no");
    let waiting = Running::start(&mut sessions.command(&["run", "other", "--label", "elsewhere", "--", "true"]));
    let waits =
        || json(&sessions.output(&["show", "other", "--json"]))["contention"]["waiting"] != Value::Array(Vec::new());
    wait_until("it waits", waits);
    let text = stdout(&sessions.output(&["show", "s"]));
    assert!(text.contains("label        run\\u{1b}[31m\\u{202e}17\n"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']) && !text.contains("waiting\n"), "{text}");
    let value = json(&sessions.output(&["show", "s", "--json"]));
    assert_eq!(
        (&value["holder"]["label"], &value["contention"]["waiting"]),
        (&"run\u{1b}[31m\u{202e}17".into(), &Value::Array(Vec::new()))
    );
    drop((guard, other));
    assert!(waiting.end().0.success());
}

#[test]
fn each_state_says_why_and_what_to_do() {
    let sessions = Sessions::new();
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    sessions.write("torn.lock", r#"{"pid":"#);
    fs::create_dir(sessions.file("none.lock")).expect("made");
    let mut foreign = File::create_new(sessions.file("foreign.lock")).expect("made");
    foreign.write_all(b"{\"pid\":1}").expect("written");
    for (name, state, reason, part) in [
        ("free", "free", Value::Null, "free is free"),
        ("dead", "reclaimable", "dead-pid".into(), "the next acquire takes it over after the grace"),
        ("torn", "corrupt", "torn-payload".into(), "it is cut short"),
        ("none", "not_a_claim", Value::Null, "move it away, or use another name"),
        ("foreign", "foreign_held", Value::Null, "somebody has its claim open for writing"),
    ] {
        let output = sessions.output(&["show", name]);
        assert!(output.status.success() && stdout(&output).contains(part), "{output:?}");
        let value = json(&sessions.output(&["show", name, "--json"]));
        assert_eq!((&value["state"], &value["evidence"]["reason"]), (&state.into(), &reason), "{value}");
        assert_eq!(value["words"].as_str(), stdout(&output).lines().next());
    }
}

#[test]
fn evidence_of_a_dead_owner_is_in_words() {
    let sessions = Sessions::new();
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    let text = stdout(&sessions.output(&["show", "dead"]));
    for part in ["process      no process has the claim's pid\n", "reason       its process has ended\n"] {
        assert!(text.contains(part), "{part} {text}");
    }
    fs::set_permissions(sessions.path(), Permissions::from_mode(0o755)).expect("ours");
    let Some(mut command) = as_another_user(&sessions, &["show", "dead"]) else {
        return skipped("evidence_of_a_dead_owner_is_in_words, another user's part", ANOTHER_USER);
    };
    let text = stdout(&command.output().expect("it runs"));
    assert!(text.contains("note         whether anybody has its claim open for writing cannot be asked"), "{text}");
}

#[test]
fn a_name_that_cannot_be_one_is_told() {
    let output = Sessions::new().output(&["show", "a/b"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("it must be one path component"), "{output:?}");
}
