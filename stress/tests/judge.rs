//! `stress judge` and `stress history` on kept histories, whole and with their beginning gone.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::fcntl::{FallocateFlags, fallocate};
use serde_json::{Value, json};
use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, NOBODY, Record};

fn stress(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args(arguments).stdin(Stdio::null()).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn record(event: Event, worker: u16, token: u64) -> Record {
    let incarnation = u32::from(worker) + 1;
    Record { event, fault: None, worker, incarnation, lock: 0, token, at_us: 0, detail: 0 }
}

/// Two workers take turns, so often each.
fn turns(rounds: u64) -> Vec<Record> {
    let mut records = vec![record(Event::Start, 0, 0), record(Event::Start, 1, 0)];
    for round in 0..rounds {
        for worker in [0, 1] {
            let token = 2 * round + u64::from(worker) + 1;
            records.push(record(Event::Acquired, worker, token));
            records.push(record(Event::Releasing, worker, token));
        }
    }
    records.extend([0, 1].map(|worker| record(Event::Done, worker, 0)));
    records.extend([0, 1].map(|worker| record(Event::Exit, worker, 0)));
    records
}

/// A run directory with this history, and a counter that has counted all of its sections.
fn keep(records: &[Record]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
    fs::write(dir.path().join("history"), bytes).expect("it is written");
    let completed = records.iter().filter(|record| record.event == Event::Releasing).count() as u64;
    fs::write(dir.path().join("counters"), completed.to_le_bytes()).expect("it is written");
    say(dir.path(), &json!({ "locks": 1 }), "valid", &[]);
    dir
}

/// Writes what a run says of itself.
fn say(dir: &Path, asked: &Value, verdict: &str, doubts: &[&str]) {
    let needs = json!({ "acquisitions": 50, "kills_inside": 0, "takeovers": 0, "passed_on": 5 });
    let results = json!({ "format": 1, "asked": asked, "needs": needs, "verdict": verdict, "doubts": doubts });
    write_results(dir, &results.to_string());
}

fn write_results(dir: &Path, text: &str) {
    fs::write(dir.join("results.json"), text).expect("it is written");
}

fn path(dir: &Path) -> &str {
    dir.to_str().expect("temporary paths are UTF-8")
}

fn judge(dir: &Path, options: &[&str]) -> (Option<i32>, String) {
    let output = stress(&[&["judge", path(dir)], options].concat());
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_kept_history_is_judged_again() {
    let dir = keep(&turns(100));
    let (code, words) = judge(dir.path(), &["--locks", "1"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.starts_with("valid: never two owners in 200 acquisitions"), "{words}");
    let (code, words) = judge(dir.path(), &["--locks", "1", "--tokens", "absent"]);
    assert_eq!(code, Some(0), "tokens that grow hurt nobody: {words}");
    let (code, words) = judge(dir.path(), &["--locks", "2"]);
    assert_eq!(code, Some(2), "the second counter is missing: {words}");
}

#[test]
fn without_what_the_run_says_of_itself_nothing_is_valid() {
    let dir = keep(&turns(100));
    let refused = |text: &str, why: &str| {
        write_results(dir.path(), text);
        let (code, words) = judge(dir.path(), &[]);
        assert_eq!(code, Some(255), "{words}");
        assert!(words.contains(why), "{words}");
    };
    refused("{", "is damaged");
    refused("{}", "has no version");
    refused(r#"{ "format": 99 }"#, "is of version 99");
    refused(r#"{ "format": 1, "asked": { "locks": 1 } }"#, "is damaged");

    fs::remove_file(dir.path().join("results.json")).expect("it is removed");
    let (code, words) = judge(dir.path(), &[]);
    assert_eq!(code, Some(255), "{words}");
    assert!(words.contains("say --locks"), "{words}");
    let (code, words) = judge(dir.path(), &["--locks", "1"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("what the run had to show is not known"), "{words}");
}

#[test]
fn what_the_run_was_asked_for_stands_in_its_results() {
    let mut records = turns(100);
    let theft = [record(Event::Acquired, 0, 500), record(Event::Acquired, 1, 0), record(Event::Releasing, 0, 0)];
    let strike = Record { fault: Some(Fault::DeleteClaim), incarnation: 0, ..record(Event::Strike, NOBODY, 0) };
    let end = records.split_off(records.len() - 4);
    records.extend([theft[0], strike, theft[1], theft[2], record(Event::Releasing, 1, 0)]);
    records.extend(end);
    let dir = keep(&records);
    let results = |older_peers: u64, verdict: &str, doubts: &[&str]| {
        let asked = json!({ "locks": 1, "workers": 1, "older_peers": older_peers, "lock": "session-lock" });
        say(dir.path(), &asked, verdict, doubts);
    };
    results(0, "valid", &[]);
    let (code, words) = judge(dir.path(), &[]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("two owners of lock 0") && words.contains("ours-ours, unexplained"), "{words}");

    results(1, "valid", &[]);
    let (code, words) = judge(dir.path(), &[]);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("inherent: 1 overlaps of ours-older, claim-deleted"), "{words}");

    results(1, "inconclusive", &["interrupted"]);
    let (code, words) = judge(dir.path(), &[]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("the run: interrupted"), "{words}");
}

/// Frees the first pages of the history. `false`: the file system cannot.
fn free(dir: &Path, bytes: i64) -> bool {
    let file = File::options().write(true).open(dir.join("history")).expect("it opens");
    let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let freed = fallocate(&file, how, 0, bytes).is_ok();
    if !freed {
        eprintln!("skipped: the file system of {} cannot make holes", dir.display());
    }
    freed
}

#[test]
fn a_history_without_its_beginning_is_inconclusive_at_best() {
    let dir = keep(&turns(1000));
    if !free(dir.path(), 8192) {
        return;
    }
    let (code, words) = judge(dir.path(), &["--locks", "1"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("256 records of the history are gone"), "{words}");
    assert_eq!(words.lines().filter(|line| line.starts_with("  ")).count(), 2, "no other doubt: {words}");

    let mut records = turns(1000);
    let late = records.iter().rposition(|record| record.event == Event::Acquired).expect("there are some");
    records[late].token = 1;
    let dir = keep(&records);
    assert!(free(dir.path(), 8192), "it could before");
    assert_eq!(judge(dir.path(), &["--locks", "1"]).0, Some(1), "what is left is judged");

    let lines = history(dir.path(), &["--from", "200", "--count", "2"]);
    assert_eq!(lines[0], json!({ "number": 0, "missing": 256 }));
    assert_eq!((&lines[1]["number"], lines.len()), (&json!(256), 2));
}

fn history(dir: &Path, options: &[&str]) -> Vec<Value> {
    let output = stress(&[&["history", path(dir)], options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn a_history_is_printed_as_it_is_asked_for() {
    let mut records = turns(2);
    records.insert(2, Record { lock: 3, ..record(Event::Timeout, 1, 0) });
    let dir = keep(&records);
    let lines = history(dir.path(), &[]);
    assert_eq!(lines.len(), records.len());
    let third = json!({ "number": 2, "event": "timeout", "fault": null, "worker": 1, "incarnation": 2, "lock": 3,
                        "token": 0, "at_us": 0, "detail": 0 });
    assert_eq!(lines[2], third);
    let numbers = |options: &[&str]| -> Vec<_> {
        history(dir.path(), options).iter().map(|line| line["number"].as_u64().expect("a number")).collect()
    };
    assert_eq!(numbers(&["--lock", "3"]), [2]);
    assert_eq!(numbers(&["--lock", "0"]), (3..11).collect::<Vec<_>>());
    assert_eq!(numbers(&["--worker", "0", "--from", "1", "--count", "2"]), [3, 4]);
    assert_eq!(numbers(&["--from", "14"]), [14]);

    let mut file = File::options().append(true).open(dir.path().join("history")).expect("it opens");
    file.write_all(&[7; 40]).expect("it is appended");
    let lines = history(dir.path(), &["--from", "15"]);
    assert_eq!(lines, [15, 16].map(|number| json!({ "number": number, "undecodable": true })));
}

#[test]
fn whoever_reads_a_history_may_stop() {
    let dir = keep(&turns(50_000));
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args(["history", path(dir.path())]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("it reads");
    assert!(first.starts_with(r#"{"number":0,"event":"start""#), "{first}");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn a_run_is_judged_again_as_it_was() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = ["--duration", "2s", "--kill-rate", "20", "--stop-rate", "0"];
    let ran = stress(&[&["run", "--dir", path(dir.path())], options.as_slice()].concat());
    let (code, words) = judge(dir.path(), &[]);
    assert_eq!(code, ran.status.code(), "{words}\n{}", text(&ran.stdout));
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("it is there");
    let results: Value = serde_json::from_str(&read("results.json")).expect("it is JSON");
    let records = results["findings"]["records"].as_u64().expect("a number");
    assert!(words.contains(&format!("  {records} records, ")), "{words}");
}

#[test]
fn a_run_keeps_as_much_of_its_history_as_it_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let probe = keep(&turns(1000));
    if !free(probe.path(), 8192) {
        return;
    }
    let options = ["--duration", "2s", "--kill-rate", "0", "--stop-rate", "0", "--hold", "0s", "--think", "0s"];
    let ran = stress(&[&["run", "--dir", path(dir.path()), "--keep-history", "64K"], options.as_slice()].concat());
    assert_eq!(ran.status.code(), Some(0), "what is freed has been judged: {}", text(&ran.stdout));
    let results = fs::read(dir.path().join("results.json")).expect("it is there");
    let results: Value = serde_json::from_slice(&results).expect("it is JSON");
    let records = results["findings"]["records"].as_u64().expect("a number");
    let lines = history(dir.path(), &[]);
    let missing = lines[0]["missing"].as_u64().expect("the beginning is gone");
    assert_eq!(missing + lines.len() as u64 - 1, records);
    assert!(lines.len() > 2048, "64 KiB stay: {}", lines.len());
    let (code, words) = judge(dir.path(), &[]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains(&format!("{missing} records of the history are gone")), "{words}");
}
