//! Sweeps: the claims of dead owners go, all of them with one grace; those of living ones are not touched.

use super::{GRACE, LONG, dead_pid, exit_code, kill, stranger, strangers, wait_until};
use crate::event::{Event, Sink};
use crate::name::Session;
use crate::payload::Payload;
use crate::sys::fork::{between_forks, in_child, write_between_forks};
use crate::sys::ofd;
use crate::verdict::Reason;
use crate::{Kept, LockDir, LockError, State, SweepError, SweepOutcome, Swept};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::future::IntoFuture;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub(super) fn name(number: usize) -> String {
    format!("session-{number:05}.jsonl")
}

pub(super) fn claim(dir: &Path, number: usize) -> std::path::PathBuf {
    dir.join(name(number) + ".lock")
}

/// Claims of an older peer that was killed.
pub(super) fn leave_older(dir: &Path, numbers: std::ops::Range<usize>) {
    let payload = format!(r#"{{"pid":{},"createdAt":"2026-02-01T10:00:00.000Z","starttime":42}}"#, dead_pid());
    for number in numbers {
        write_between_forks(claim(dir, number), &payload);
    }
}

/// Claims as a killed process of this crate leaves them: backed by this directory's arbiters, and not locked.
pub(super) fn leave_own(locks: &LockDir, numbers: std::ops::Range<usize>) {
    for number in numbers {
        leave_own_at(locks, number, &claim(locks.path(), number));
    }
}

pub(super) fn leave_own_at(locks: &LockDir, number: usize, path: &Path) {
    let directory = &locks.directory;
    let session = Session::new(&name(number)).expect("valid");
    let arbiter = directory.arbiter(session.range).expect("made");
    let owner = crate::claim::owner(directory.process, &directory.process.asker(), arbiter.id);
    let payload = Payload { pid: Some(dead_pid()), nonce: Some([7; 16]), token: Some(1), ..owner };
    fs::write(path, payload.encode(0)).expect("written");
}

/// Sweeps, and finds no writers that are only copies in a child.
pub(super) fn sweep(locks: &LockDir) -> Swept {
    between_forks(|| locks.sweep().blocking()).expect("listed")
}

pub(super) fn claims_left(dir: &Path) -> usize {
    let names = fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable").file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".lock")).count()
}

/// How often each outcome, in words.
pub(super) fn outcomes(swept: &Swept) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for claim in &swept.claims {
        let outcome = match &claim.outcome {
            SweepOutcome::Removed { reason, .. } => format!("removed {reason:?}"),
            SweepOutcome::Kept { why } => format!("kept {why:?}"),
        };
        *counts.entry(outcome).or_default() += 1;
    }
    counts
}

pub(super) fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(outcome, count)| (outcome.to_owned(), count)).collect()
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Sink for Recorder {
    fn record(&self, _session: &str, event: &Event) {
        self.0.lock().expect("no test panics in a sink").push(event.clone());
    }
}

#[test]
fn a_dry_run_changes_nothing_and_tells_what_would_be() {
    let (dir, locks, other) = strangers();
    let path = dir.path();
    leave_older(path, 0..2);
    write_between_forks(claim(path, 2), "");
    fs::write(path.join("yarn.lock"), "# yarn").expect("written");
    let foresee = || locks.sweep().dry_run().blocking().expect("listed");
    let expected = [
        ("removed DeadPid", 2),
        ("removed EmptyPayload", 1),
        (r#"kept NotAClaim("a file whose content is not what a lock writes")"#, 1),
    ];
    assert_eq!(outcomes(&foresee()), counts(expected));
    assert!(!path.join(".session-lock").exists(), "it made the state directory");

    leave_own(&other, 3..5);
    let _guard = other.lock("held").blocking().expect("free");
    let _file = File::create_new(path.join("older.lock")).expect("free");
    let before: Vec<_> = snapshot(path);
    let foreseen = foresee();
    assert_eq!(before, snapshot(path));
    let swept = sweep(&locks);
    assert_eq!(outcomes(&foreseen), outcomes(&swept));
    let words: Vec<_> = swept.claims.iter().map(ToString::to_string).collect();
    let removed = format!("{}: removed, left by a process that uses another lock, pid {}", name(0), dead_pid());
    assert!(words.iter().any(|words| words.starts_with(&removed)), "{words:?}");
    assert!(words.contains(&"yarn: kept: no lock file, but a file whose content is not what a lock writes".to_owned()));
    let both = foreseen.claims.iter().zip(&swept.claims);
    assert!(both.clone().all(|(one, other)| one.name == other.name), "sorted by name");
    let expected = [
        ("removed DeadPid", 2),
        ("removed EmptyPayload", 1),
        ("removed OwnerExited", 2),
        ("kept Busy", 1),
        ("kept WriterAlive", 1),
        (r#"kept NotAClaim("a file whose content is not what a lock writes")"#, 1),
    ];
    assert_eq!(outcomes(&swept), counts(expected));
    assert_eq!(claims_left(path), 3);
    assert!(foresee().claims.iter().all(|claim| matches!(claim.outcome, SweepOutcome::Kept { .. })));
}

/// Every file with its content and its inode, but the arbiters' bytes.
fn snapshot(dir: &Path) -> Vec<(std::path::PathBuf, u64, Vec<u8>)> {
    let state = dir.join(".session-lock");
    let mut files: Vec<_> = [dir, &state]
        .into_iter()
        .flat_map(|dir| fs::read_dir(dir).expect("readable"))
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).expect("there"));
            (path.clone(), inode, fs::read(&path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

/// Operators see what was reclaimed and why; no application acquired or released anything.
#[test]
fn the_sink_gets_reclaims_only() {
    let (dir, locks, other) = strangers();
    let recorder = Arc::new(Recorder::default());
    let sink = Arc::clone(&recorder) as Arc<dyn Sink>;
    let locks = LockDir { sink: Some(sink), ..locks };
    leave_older(dir.path(), 0..1);
    leave_own(&other, 1..2);
    drop(sweep(&locks));
    let events = recorder.0.lock().expect("no panic");
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Reclaimed { reason, from: Some(_) } => Some(*reason),
            Event::ReclaimRefused { .. } => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons, [Reason::OwnerExited, Reason::DeadPid]);
}

/// With few descriptors left the claims go in batches, each with a grace of its own.
#[test]
fn few_descriptors_make_batches() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    leave_older(path, 0..150);
    let sweeping = in_child(|| {
        let limit = getrlimit(Resource::Nofile);
        let few = Rlimit { current: Some(200), ..limit };
        if setrlimit(Resource::Nofile, few).is_err() {
            return 1;
        }
        let locks = LockDir { grace: GRACE / 10, ..stranger(path) };
        let Ok(swept) = locks.sweep().blocking() else { return 2 };
        i32::from(outcomes(&swept) != counts([("removed DeadPid", 150)])) * 3
    });
    assert_eq!(exit_code(sweeping), Some(0));
    assert_eq!(claims_left(path), 0);
}

/// An application that opens files while the sweep pins claims.
#[derive(Default)]
struct Hungry(Mutex<Vec<File>>);

impl Sink for Hungry {
    fn record(&self, _session: &str, event: &Event) {
        if let (Event::ReclaimRefused { .. }, Ok(file)) = (event, File::open("/dev/null")) {
            self.0.lock().expect("no test panics in a sink").push(file);
        }
    }
}

/// The last descriptor may go to somebody else. Then the pinned claims give way, and the sweep goes on.
#[test]
fn descriptors_that_run_out_make_a_batch_as_well() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    leave_older(path, 0..120);
    let sweeping = in_child(|| {
        let limit = getrlimit(Resource::Nofile);
        let few = Rlimit { current: Some(242), ..limit };
        if setrlimit(Resource::Nofile, few).is_err() {
            return 1;
        }
        let hungry = Arc::new(Hungry::default());
        let sink = Arc::clone(&hungry) as Arc<dyn Sink>;
        let locks = LockDir { grace: GRACE / 10, sink: Some(sink), ..stranger(path) };
        let Ok(swept) = locks.sweep().blocking() else { return 2 };
        // With not one descriptor left, the first claim of a batch cannot be opened again after its grace.
        let removed = |claim: &&crate::SweptClaim| matches!(claim.outcome, SweepOutcome::Removed { .. });
        i32::from(swept.claims.iter().filter(removed).count() < 110) * 3
    });
    assert_eq!(exit_code(sweeping), Some(0));
    let left = claims_left(path);
    let swept = sweep(&stranger(path));
    assert_eq!(outcomes(&swept).get("removed DeadPid").copied().unwrap_or(0), left, "nothing stayed locked");
    assert_eq!(claims_left(path), 0);
}

/// What fails in the middle passes its turn on: the next acquire is not kept waiting.
#[test]
fn a_failure_is_told_and_leaves_nothing_locked() {
    let (dir, locks, _) = strangers();
    leave_older(dir.path(), 0..3);
    fs::write(dir.path().join(".session-lock"), "").expect("written");
    let swept = sweep(&locks);
    assert_eq!(swept.claims.len(), 3);
    for claim in &swept.claims {
        let SweepOutcome::Kept { why: Kept::Failed(error) } = &claim.outcome else { panic!("{claim:?}") };
        assert!(matches!(**error, LockError::State { .. }), "{error}");
    }
    fs::remove_file(dir.path().join(".session-lock")).expect("removed");
    drop(locks.lock(&name(0)).timeout(LONG).blocking().expect("free after the grace"));
    assert_eq!(outcomes(&sweep(&locks)), counts([("removed DeadPid", 2)]));
}

#[test]
fn a_grace_without_end_is_not_waited_for() {
    let (dir, locks, _) = strangers();
    leave_older(dir.path(), 0..2);
    let endless = LockDir { grace: Duration::MAX, ..locks.clone() };
    assert_eq!(outcomes(&sweep(&endless)), counts([("kept Grace", 2)]));
    drop(locks.lock(&name(0)).timeout(LONG).blocking().expect("its turn was passed on"));
}

/// A claim that its owner unlinks within the grace is no dead owner's, and its successor is safe.
#[test]
fn a_claim_that_changes_within_the_grace_is_left_to_its_owner() {
    let (dir, locks, _) = strangers();
    let path = dir.path();
    let slow = LockDir { grace: GRACE * 5, ..locks };
    leave_older(path, 0..2);
    let (swept, file) = std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| sweep(&slow));
        // Asked read-only: the range is locked once the sweep has come to it, and the last one comes last.
        wait_until(|| range_is_locked(path, &name(1)));
        std::thread::sleep(GRACE);
        fs::remove_file(claim(path, 0)).expect("the older owner unlinks late");
        fs::remove_file(claim(path, 1)).expect("the older owner unlinks late");
        let file = File::create_new(claim(path, 1)).expect("the next older owner");
        (sweeping.join().expect("no panic"), file)
    });
    assert_eq!(outcomes(&swept), counts([("kept Gone", 1), ("kept WriterAlive", 1)]));
    assert_eq!(claims_left(path), 1);
    drop(file);
}

fn range_is_locked(dir: &Path, name: &str) -> bool {
    let range = Session::new(name).expect("valid").range;
    let arbiter = File::open(dir.join(format!(".session-lock/arbiter-{:02x}", range.shard)));
    arbiter.is_ok_and(|arbiter| ofd::is_locked(arbiter, ofd::Range::Byte(range.offset)) == Ok(true))
}

#[test]
fn an_acquire_meanwhile_waits_and_is_served() {
    let (dir, locks, _) = strangers();
    leave_older(dir.path(), 0..20);
    std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| sweep(&locks));
        let guard = locks.lock(&name(7)).timeout(LONG).blocking().expect("its turn comes");
        let swept = sweeping.join().expect("no panic");
        assert!(dir.path().join(name(7) + ".lock").exists());
        assert_eq!(claims_left(dir.path()), 1, "{swept:?}");
        drop(guard);
    });
}

#[test]
fn a_sweep_is_awaited_on_any_executor_and_goes_on_when_dropped() {
    let (dir, locks, _) = strangers();
    leave_older(dir.path(), 0..3);
    let mut context = Context::from_waker(Waker::noop());
    let mut sweeping = Box::pin(locks.sweep().into_future());
    drop(Box::pin(locks.sweep().into_future()));
    assert_eq!(claims_left(dir.path()), 3, "it does nothing unless polled");
    let mut swept = None;
    between_forks(|| {
        wait_until(|| match sweeping.as_mut().poll(&mut context) {
            Poll::Ready(result) => {
                swept = Some(result.expect("listed"));
                true
            }
            Poll::Pending => false,
        });
    });
    assert_eq!(outcomes(&swept.expect("ready")), counts([("removed DeadPid", 3)]));

    leave_older(dir.path(), 0..3);
    let mut dropped = Box::pin(locks.sweep().into_future());
    between_forks(|| {
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        drop(dropped);
        wait_until(|| claims_left(dir.path()) == 0);
    });
}

#[test]
fn an_empty_directory_stays_empty_and_a_fork_says_so() {
    let (dir, locks, _) = strangers();
    let swept = sweep(&locks);
    assert_eq!((swept.claims.len(), swept.spares), (0, 0));
    assert!(!dir.path().join(".session-lock").exists());
    assert_eq!(locks.inspect("s").expect("valid").state, State::Free);
    let child = in_child(|| i32::from(!matches!(locks.sweep().blocking(), Err(SweepError::Forked))));
    assert_eq!(exit_code(child), Some(0));
}

/// A sweep that is killed while it waits for the grace leaves the claims as they were, and nothing locked.
#[test]
fn a_sweep_that_is_killed_leaves_what_it_had_not_swept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    leave_older(path, 0..20);
    let sweeping = in_child(|| {
        let locks = LockDir { grace: LONG, ..stranger(path) };
        i32::from(locks.sweep().blocking().is_err())
    });
    wait_until(|| range_is_locked(path, &name(19)));
    kill(sweeping);
    assert_eq!(claims_left(path), 20);
    let swept = sweep(&stranger(path));
    assert_eq!(outcomes(&swept), counts([("removed DeadPid", 20)]));
}
