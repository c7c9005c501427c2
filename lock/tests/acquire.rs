//! Acquire and release in one process: outcomes, order, deadlines, cancellation.

mod support;

use session_lock::{LockError, TryAcquire};
use std::time::Duration;
use support::{Recorder, lock_dir};

#[test]
fn a_claim_exists_while_held_and_says_who_holds() {
    let (dir, locks) = lock_dir();
    let guard = locks.lock("42.jsonl").label("run 17").blocking().expect("free");
    let text = std::fs::read_to_string(dir.path().join("42.jsonl.lock")).expect("the claim is there");
    eprintln!("{text}");
    let claim: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(claim["pid"], std::process::id());
    assert_eq!(claim["label"], "run 17");
    assert_eq!(claim["v"], 2);
    assert_eq!(claim["token"], guard.token());
    guard.release().expect("released");
    assert!(!dir.path().join("42.jsonl.lock").exists());
}
