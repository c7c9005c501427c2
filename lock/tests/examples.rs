//! The examples do what their documentation says.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use std::path::Path;
use support::process::{OtherProcess, example};

/// The exit code of the example `wait`, and what it said.
fn wait(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = example("wait").arg(dir).args(args).output().expect("it runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat();
    (output.status.code(), said)
}

#[test]
fn wait_names_who_is_in_the_way_and_its_exit_code_says_how_it_ended() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let holder = OtherProcess::hold(dir.path(), "s");
    let (code, said) = wait(dir.path(), &["s", "0"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in the way is another process") && said.contains("example: hold"), "{said}");
    holder.release();
    let (code, said) = wait(dir.path(), &["s"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("acquired after"), "{said}");
    for (dir, args) in
        [(dir.path(), &["s", "soon"][..]), (dir.path(), &["a/b"]), (dir.path(), &[]), (Path::new("/proc"), &["s"])]
    {
        let (code, said) = wait(dir, args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
    }
}

#[test]
fn wait_says_from_whom_it_took_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    OtherProcess::hold(dir.path(), "s").kill();
    let (code, said) = wait(dir.path(), &["s"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("taken over from another process") && said.contains("OwnerExited"), "{said}");
}

#[test]
fn hold_says_when_its_claim_is_replaced() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let holder = OtherProcess::hold(dir.path(), "s");
    let thief = dir.path().join("thief");
    std::fs::write(&thief, "{}").expect("written");
    std::fs::rename(thief, dir.path().join("s.lock")).expect("renamed");
    holder.wait_for("lost: somebody replaced its claim");
    assert_eq!(std::fs::read_to_string(dir.path().join("s.lock")).expect("it stays"), "{}");
}
