//! Sessions' names come from outside: whatever is in them, they are one label's value and one JSON string.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use session_lock::LockDir;

use crate::http::{PLENTY, get, request};
use crate::judges::{OPENMETRICS, PYTHON, fed, python};
use crate::running::Running;

/// Eight, because so many acquires that wait are told of one process.
fn names() -> [String; 8] {
    [
        "quote \" backslash \\ newline \n end".to_owned(),
        "\\n is no newline, \\\\ no escape, \\\" no quote\\".to_owned(),
        "\"} 1\n# EOF\nforged_total 1\n".to_owned(),
        "\",forged=\"1".to_owned(),
        "\u{1b}[2J\u{1b}]0;title\u{7}\r\nforged_total 1\r".to_owned(),
        (1..=31).chain([127]).map(char::from).collect(),
        "\u{e4}\u{2028}\u{202e}\u{85}\u{1F512}{{}}".to_owned(),
        "\n\"\\x".repeat(62) + "\u{1b}\u{1}",
    ]
}

/// The value of the label `session` in a line of this metric; `None` in another line.
fn session(line: &str, metric: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix(metric)?.split_once("session=\"")?;
    let (mut name, mut rest) = (String::new(), rest.chars());
    loop {
        name.push(match rest.next().expect("the value ends in its line") {
            '"' => return Some(name),
            '\\' => match rest.next().expect("an escape has two characters") {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                other => panic!("no escape: {other:?} in {line}"),
            },
            plain => plain,
        });
    }
}

/// No line begins in a name, and all names are there.
fn assert_lines(text: &str, expected: &BTreeSet<String>) {
    // Not `lines`, which would take a carriage return off.
    for line in text.strip_suffix('\n').expect("the last line is one").split('\n') {
        let ours =
            ["# HELP ", "# TYPE ", "# UNIT ", "session_lock_", "process_"].iter().any(|begin| line.starts_with(begin));
        assert!(ours || line == "# EOF", "a forged line: {line:?}");
        if !line.starts_with('#') {
            let value = line.rsplit(' ').next().expect("a part");
            assert!(value.parse::<f64>().is_ok(), "no number at the end: {line:?}");
        }
    }
    assert!(text.matches("\n# EOF\n").count() <= 1);
    for metric in ["session_lock_held_seconds", "session_lock_waiting_seconds"] {
        let found: BTreeSet<_> = text.split('\n').filter_map(|line| session(line, metric)).collect();
        assert_eq!(found, *expected, "{metric}");
    }
}

fn judged_by_others(text: &[u8], format: &str, expected: &BTreeSet<String>) {
    if let Some(python) = python() {
        let judged = fed(Command::new(python).args(["-c", PYTHON, format]), text);
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
        let said = String::from_utf8(judged.stdout).expect("JSON");
        let samples = said.lines().map(|line| serde_json::from_str(line).expect("the script prints JSON"));
        let held = samples.filter(|sample: &serde_json::Value| sample[2] == "session_lock_held_seconds");
        let found: BTreeSet<_> = held.filter_map(|sample| Some(sample[3]["session"].as_str()?.to_owned())).collect();
        assert_eq!(found, *expected);
    } else {
        eprintln!("skipped: any_name_stays_in_its_place, Python's part: needs python3 with prometheus_client");
    }
    if format == "openmetrics" {
        return;
    }
    if Command::new("promtool").arg("--version").output().is_ok() {
        let judged = fed(Command::new("promtool").args(["check", "metrics"]), text);
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    } else {
        eprintln!("skipped: any_name_stays_in_its_place, promtool's part: needs promtool (Debian: prometheus)");
    }
}

fn json_names(running: &Running, route: &str, pointer: &str) -> BTreeSet<String> {
    let answer: serde_json::Value = serde_json::from_slice(&get(running.address, route).bytes).expect("JSON");
    let list = answer.pointer(pointer).and_then(serde_json::Value::as_array).unwrap_or_else(|| panic!("{answer}"));
    for one in list {
        let words = one["words"].as_str().expect("words");
        assert!(!words.chars().any(char::is_control), "a control character in words for people: {words:?}");
    }
    list.iter().map(|one| one["session"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn any_name_stays_in_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let locks = LockDir::open(directory.path()).expect("a directory for locks");
    let names = names();
    let expected: BTreeSet<String> = names.iter().cloned().collect();
    assert!(names.iter().any(|name| name.len() == session_lock::MAX_NAME_LEN), "one of the longest");
    let path = directory.path().to_str().expect("a plain path");
    let running = Running::start(&["--dir", path, "--locks.detail", "10"]);
    let label = |name: &str| name.chars().take(30).collect::<String>();
    let lock = |name| locks.lock(name).label(label(name)).timeout(PLENTY).blocking().expect("free in time");
    let held: Vec<_> = names.iter().map(|name| lock(name)).collect();
    thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| drop(lock(name)));
        }
        let until = Instant::now() + PLENTY;
        while locks.metrics().expect("readable").waits.len() < names.len() {
            assert!(Instant::now() < until, "all wait");
            thread::sleep(Duration::from_millis(5));
        }
        for (accept, format) in [("Accept: text/plain", "text"), (OPENMETRICS, "openmetrics")] {
            let response = request(running.address, "GET", "/metrics", &[accept]).expect("an answer");
            assert_lines(&response.text(), &expected);
            judged_by_others(&response.bytes, format, &expected);
        }
        assert_eq!(json_names(&running, "/api/v1/locks", "/directories/0/locks"), expected);
        assert_eq!(json_names(&running, "/api/v1/contention", "/directories/0/contention/waiting"), expected);
        drop(held);
    });
    // What has ended is written a moment later.
    let past = || json_names(&running, "/api/v1/contention", "/directories/0/contention/past");
    let until = Instant::now() + PLENTY;
    while past().len() < expected.len() && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(past(), expected);
}
