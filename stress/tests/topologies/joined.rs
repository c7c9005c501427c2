//! Groups that somebody else has started: they join one run after the other.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use session_lock_stress::fault::Fault;
use session_lock_stress::history::Event;

use crate::support::{Shown, binary, decoded, temporary, wait_for};
use crate::with;

/// Processes that wait for runs in a directory. Killed when dropped.
struct Joiners(Vec<Child>);

impl Joiners {
    /// Two here, and one that is the first process of a PID namespace of its own if that can be had.
    fn of(dir: &Path) -> Self {
        let stress = env!("CARGO_BIN_EXE_stress");
        let apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc", stress];
        let apart = if binary("pidns-private").is_some() { &apart[..] } else { &[stress] };
        let start = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).arg("join").arg(dir).stdin(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("it starts")
        };
        Self([&[stress][..], &[stress], apart].map(start).into())
    }
}

impl Drop for Joiners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().expect("it waits for runs");
            child.wait().expect("it is waited for");
        }
    }
}

#[test]
fn groups_of_others_join_one_run_after_the_other() {
    let mut dir = temporary();
    let _joiners = Joiners::of(dir.path());
    for seed in ["21", "22"] {
        let faults = ["--groups", "3", "--fault", "fork=1", "--seed", seed];
        let shown = Shown::within(dir, env!("CARGO_BIN_EXE_stress"), &with("joined", &faults));
        shown.assert_valid();
        shown.assert_one_exit_each();
        shown.assert_happened(Event::Kill, Fault::KillInside, 1);
        shown.assert_happened(Event::Forked, Fault::Fork, 1);
        dir = shown.dir;
    }
}

/// The workers are the joined group's children, and it dies with whoever has joined.
#[test]
fn a_group_that_leaves_is_no_valid_run() {
    let dir = temporary();
    let path = dir.path().to_str().expect("UTF-8").to_owned();
    let joiners = Joiners::of(dir.path());
    let leaving = std::thread::spawn(move || {
        wait_for("the first holds", || decoded(&path).iter().any(|record| record.event == Event::Acquired));
        drop(joiners);
    });
    let shown = Shown::within(dir, env!("CARGO_BIN_EXE_stress"), &["--topology", "joined", "--groups", "3"]);
    leaving.join().expect("no panic");
    assert_eq!(shown.code, Some(2), "{:#}", shown.results);
    assert_eq!(shown.results["findings"]["violations"], 0, "{:#}", shown.results);
}
