//! `sweep`: told first, done with `--yes`.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{self, Sessions, stdout};

#[test]
fn what_the_dead_left_is_told_and_then_removed() {
    let sessions = Sessions::new();
    let guard = sessions.hold("held", "run 17");
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    let unfinished = sessions.file(&format!(".session-lock-{}", "0a".repeat(16)));
    fs::create_dir(&unfinished).expect("made");
    let spare = sessions.file(&format!(".session-lock/spare-{}", "0b".repeat(16)));
    fs::write(&spare, r#"{"pid":4194303}"#).expect("written");

    let output = sessions.output(&["sweep"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "dead: would be removed, left by",
        "held: kept: ",
        "spare files of dead processes: 1 would",
        "unfinished state directories of dead processes: 1 would",
        "--yes",
    ] {
        assert!(said.contains(part), "{part} {said}");
    }
    let there = || [sessions.file("dead.lock"), unfinished.clone(), spare.clone()].map(|path| path.exists());
    assert_eq!(there(), [true; 3]);
    let told = support::json(&sessions.output(&["sweep", "--json"]));
    assert_eq!((&told["removed"], &told["spares"], &told["unfinished"]), (&json!(false), &json!(1), &json!(1)));
    assert_eq!(told["claims"][0]["reason"], "dead-pid");

    let output = sessions.output(&["sweep", "--yes", "--grace", "10ms"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("dead: removed, left by"), "{output:?}");
    assert_eq!(there(), [false; 3]);
    assert!(guard.is_lost().is_none());
    guard.release().expect("held all the time");

    let output = sessions.output(&["sweep"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "nothing is left of the dead\n"));
}

#[test]
fn a_spare_alone_is_something_left() {
    let sessions = Sessions::new();
    sessions.hold("s", "once").release().expect("held");
    let spare = sessions.file(&format!(".session-lock/spare-{}", "0b".repeat(16)));
    fs::write(&spare, r#"{"pid":4194303}"#).expect("written");
    let output = sessions.output(&["sweep"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).ends_with("nothing was changed; --yes removes it\n"), "{output:?}");
}

#[test]
fn an_older_programs_lock_file_is_watched_for_the_grace() {
    let sessions = Sessions::new();
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    let grace = Duration::from_millis(2500);
    let begin = Instant::now();
    let output = sessions.output(&["sweep", "--yes", "--grace", "2500ms"]);
    assert!(begin.elapsed() >= grace, "{output:?}");
    assert!(stdout(&output).contains("dead: removed"), "{output:?}");
}

#[test]
fn what_could_not_be_removed_is_told_by_the_exit_code() {
    const TEST: &str = "what_could_not_be_removed_is_told_by_the_exit_code";
    let sessions = Sessions::new();
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    // Nothing can be removed from it, not by root either.
    if !support::works("chattr", &["+a", &sessions.path().to_string_lossy()]) {
        return support::skipped(TEST, "root, and chattr +a on the file system of temporary files");
    }
    let output = sessions.output(&["sweep", "--yes", "--grace", "10ms"]);
    assert!(support::works("chattr", &["-a", &sessions.path().to_string_lossy()]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).contains("dead: kept: "), "{output:?}");
}
