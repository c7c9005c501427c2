//! Attempts that are stopped before one certain operation, while others do something: the steps that only matter then.

#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

use super::{Attempt, Held, Progress};
use crate::directory::Directory;
use crate::name::Session;
use crate::process::Process;
use crate::protocol::{Completion, Inode, Machine, Operation, Refusal, Step};
use crate::request::{Counters, Request};
use crate::sys;
use crate::sys::fork::write_between_forks;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An acquire of session `s` by a process with descriptors of its own.
struct Stepped {
    attempt: Attempt,
    request: Request,
}

impl Stepped {
    fn new(path: &Path) -> Self {
        let process = Process::current().expect("this process");
        let fd = sys::file::open_directory(path).expect("open");
        let stat = sys::file::stat(&fd).expect("stat");
        let directory = Arc::new(Directory::new(fd, path, stat, process));
        let session = Arc::new(Session::new("s").expect("valid"));
        let request = Request::reclaiming(&directory, &session, None, Counters::Off);
        Self { attempt: Attempt::new(&directory, &session, Duration::from_hours(1)), request }
    }

    /// Goes on until this operation is the next one.
    fn until(&mut self, wanted: Operation) {
        loop {
            match self.attempt.machine.poll() {
                Step::Do(operation) if operation == wanted => return,
                // A child that another test has just forked still has the file open, until it executes.
                Step::Do(Operation::AwaitClaim(_)) => {
                    std::thread::yield_now();
                    self.attempt.machine.resume(Completion::Woken);
                }
                Step::Do(operation) => {
                    let done = self.attempt.perform(operation, &self.request).expect("no error");
                    self.attempt.machine.resume(done.expect("nobody has the arbiter"));
                }
                Step::Done(acquired) => panic!("{acquired:?} before {wanted:?}"),
            }
        }
    }

    /// Goes on until a dead owner's claim is written over.
    fn write(&mut self) {
        self.until(Operation::OpenClaim);
        let is_written = |operation| matches!(operation, Operation::WriteClaim { .. });
        while let Step::Do(operation) = self.attempt.machine.poll() {
            let done = self.attempt.perform(operation, &self.request).expect("no error");
            self.attempt.machine.resume(done.expect("nobody has the arbiter"));
            if is_written(operation) {
                return;
            }
        }
        panic!("nothing was written");
    }

    /// Waits out a grace, which takes no time.
    fn grace(&mut self) {
        self.until(Operation::AwaitGrace);
        self.attempt.end_grace();
    }

    fn run(&mut self) -> Progress {
        self.attempt.run(&self.request).expect("no error")
    }

    fn hold(&mut self) -> Held {
        match self.run() {
            Progress::Held(held) => held,
            Progress::Blocked(operation) => panic!("it waits: {operation:?}"),
        }
    }

    fn at_path(&self) -> Option<Inode> {
        self.attempt.directory.claim_inode(&self.attempt.session).expect("looked at")
    }
}

/// The claim of a process of this crate that was killed.
fn leave_our_claim(path: &Path) {
    drop(Stepped::new(path).hold());
    assert!(path.join("s.lock").exists());
}

/// The claim of an older peer that was killed.
fn leave_older_claim(path: &Path) {
    write_between_forks(path.join("s.lock"), "{\"pid\":1}");
}

/// Somebody removes the claim between the takeover's look and its write: what was written then has no name.
#[test]
fn a_claim_that_goes_while_it_is_taken_over_is_not_held() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    leave_our_claim(dir.path());
    let mut taker = Stepped::new(dir.path());
    taker.write();
    fs::remove_file(dir.path().join("s.lock")).expect("it is there");
    let held = taker.hold();
    assert_eq!(taker.at_path(), Some(held.claim.inode), "it holds a file without a name");
}

/// Somebody removes the state directory while the claim is made: who comes next asks another arbiter.
#[test]
fn who_holds_has_the_arbiter_that_the_next_will_ask() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut first = Stepped::new(dir.path());
    first.until(Operation::CheckArbiter);
    fs::remove_dir_all(dir.path().join(".session-lock")).expect("it is there");
    let held = first.hold();
    assert!(held.arbiter.is_at_path(&first.attempt.directory).expect("looked at"), "under an arbiter that is gone");
    fs::remove_file(dir.path().join("s.lock")).expect("it is there");
    let Progress::Blocked(Operation::LockArbiter) = Stepped::new(dir.path()).run() else {
        panic!("two hold: nothing but the claim kept the second one out")
    };
}

/// Two have waited out the grace of one claim, under two arbiters. One has taken it over; the other one would write over it,
/// find its own arbiter gone, and remove what is not its own.
#[test]
fn of_two_under_two_arbiters_one_takes_a_claim_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    leave_older_claim(dir.path());
    let (mut first, mut second) = (Stepped::new(dir.path()), Stepped::new(dir.path()));
    first.grace();
    fs::remove_dir_all(dir.path().join(".session-lock")).expect("it is there");
    second.grace();
    let held = second.hold();
    let waits_for = match first.run() {
        Progress::Held(_) => panic!("two hold"),
        Progress::Blocked(operation) => operation,
    };
    assert_eq!(second.at_path(), Some(held.claim.inode), "the first one removed the second one's claim");
    assert_eq!(waits_for, Operation::AwaitClaim(Refusal::ForeignArbiter));
}

/// The file whose grace is over is gone, and a living peer's has its number: ext4 gives a number again at once.
#[test]
fn a_number_that_comes_back_brings_no_grace_with_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let claim = dir.path().join("s.lock");
    let number = || {
        leave_older_claim(dir.path());
        let number = fs::metadata(&claim).expect("there").ino();
        fs::remove_file(&claim).expect("there");
        number
    };
    if (0..10).all(|_| number() != number()) {
        eprintln!(
            "skipped: a_number_that_comes_back_brings_no_grace_with_it: needs a file system that reuses inode numbers"
        );
        return;
    }
    // Others on the file system may take the number first.
    for _ in 0..20 {
        leave_older_claim(dir.path());
        let mut taker = Stepped::new(dir.path());
        taker.until(Operation::AwaitGrace);
        fs::remove_file(&claim).expect("the older peer's");
        let living = File::create_new(&claim).expect("free");
        write_between_forks(&claim, "{\"pid\":1}");
        taker.attempt.end_grace();
        match taker.run() {
            Progress::Blocked(operation) => assert_eq!(operation, Operation::AwaitClaim(Refusal::WriterAlive)),
            Progress::Held(_) => panic!("a living owner was robbed"),
        }
        drop(living);
        fs::remove_file(&claim).expect("there");
    }
}
