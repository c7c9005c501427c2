//! Two containers, each with its PID 1: an older lock's holder in one, workers of this lock in the other.
//!
//! Seed thread 003: the fix that takes a claim with one's own pid for an orphan robs a living holder in another PID
//! namespace, and with start times too, because those of two namespaces' first processes collide.

use nix::sched::{CloneFlags, unshare};
use session_lock::LockDir;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts a shell as PID 1 of a PID namespace; it holds `0.jsonl` as the older lock does, until its input ends.
fn older_holder(sessions: &Path, payload: &str) -> Child {
    let script = r#"set -C; exec 3>0.jsonl.lock; printf '%s' "$0" | sed "s/PID/$$/" >&3; echo "$$"; read -r _; true"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, payload]).current_dir(sessions).stdin(Stdio::piped()).stdout(Stdio::piped());
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWPID).expect("root can");
        command.spawn().expect("sh is everywhere")
    })
    .join()
    .expect("no panic")
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("readable");
    line
}

#[test]
fn a_living_older_holder_with_our_pid_is_never_robbed() {
    let possible = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWPID)).join().expect("no panic");
    if let Err(error) = possible {
        eprintln!("SKIPPED: no PID namespaces here ({error}); they need root");
        return;
    }
    // A PID 1's start time is that of its namespace; 1 is a recycled one, and absent is the oldest format.
    let payloads = [
        r#"{"pid":PID,"createdAt":"2026-02-01T10:00:00.000Z"}"#,
        r#"{"pid":PID,"createdAt":"2099-01-01T00:00:00.000Z"}"#,
        r#"{"pid":PID,"createdAt":"2026-02-01T10:00:00.000Z","starttime":1}"#,
    ];
    for payload in payloads {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let sessions = dir.path().join("sessions");
        fs::DirBuilder::new().mode(0o700).create(&sessions).expect("created");
        let mut older = older_holder(&sessions, payload);
        assert_eq!(first_line(&mut older), "1\n", "it is PID 1 of its namespace");

        let path = dir.path().to_str().expect("UTF-8");
        let run = [
            "run",
            "--topology",
            "pidns-private",
            "--workers",
            "2",
            "--duration",
            "3s",
            "--timeout",
            "500ms",
            "--kill-rate",
            "0",
        ];
        let output = Command::new(env!("CARGO_BIN_EXE_stress"))
            .args(run)
            .args(["--stop-rate", "0", "--json", "--dir", path])
            .output()
            .expect("the binary starts");
        let results: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let findings = &results["findings"];
        assert_eq!(findings["acquired"], 0, "{payload}: a living owner was robbed: {results:#}");
        assert!(findings["timeouts"].as_u64() > Some(0), "{payload}: the workers wanted the lock: {results:#}");

        let claim = fs::read_to_string(sessions.join("0.jsonl.lock")).expect("still there");
        assert_eq!(claim, payload.replace("PID", "1"), "nobody wrote into it");
        older.kill().expect("our child");
        older.wait().expect("our child");
        let locks = LockDir::open(&sessions).expect("open");
        let guard = locks.lock("0.jsonl").timeout(Duration::from_mins(1)).blocking();
        guard.expect("free once its owner is dead").release().expect("released");
    }
}
