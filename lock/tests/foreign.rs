//! Claims of older peers: `O_EXCL` create, JSON with pid, `createdAt` and maybe starttime, kept open, closed, unlinked.
//!
//! A living one is never robbed, whatever its payload says; a dead one's claim is taken over after the grace. The peer
//! here is another descriptor of the test process: the kernel counts descriptors, not processes.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::event::Event;
use session_lock::protocol::Refusal;
use session_lock::verdict::Reason;
use session_lock::{HolderKind, LockDir, LockError, State, TryAcquire};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{GRACE, LONG, Recorder, lock_dir, wait_until};

/// An older lock's holder.
struct OlderPeer {
    file: File,
    path: PathBuf,
}

impl OlderPeer {
    fn hold(dir: &Path, payload: &str) -> Self {
        let path = dir.join("s.lock");
        let mut file = File::create_new(&path).expect("the older peer gets the lock");
        file.write_all(payload.as_bytes()).expect("written");
        Self { file, path }
    }

    /// What the kernel does for a killed process.
    fn die(self) {
        drop(self.file);
    }

    fn close_then_unlink(self, between: Duration) {
        drop(self.file);
        std::thread::sleep(between);
        std::fs::remove_file(&self.path).expect("an older peer unlinks its path");
    }
}

fn own_starttime() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("readable");
    let fields = stat.rsplit_once(')').expect("a command").1;
    fields.split_whitespace().nth(19).and_then(|field| field.parse().ok()).expect("field 22")
}

/// A pid that no process has.
fn dead_pid() -> u32 {
    let mut child = std::process::Command::new("true").spawn().expect("spawned");
    child.wait().expect("ended");
    child.id()
}

/// Payloads, and the reason that goes with taking each over.
fn payloads() -> Vec<(String, Reason)> {
    let (me, dead) = (std::process::id(), dead_pid());
    let at = r#""createdAt":"2026-02-01T10:00:00.000Z""#;
    vec![
        (String::new(), Reason::EmptyPayload),
        (format!(r#"{{"pid":{dead},"cre"#), Reason::TornPayload),
        (format!("{{{at}}}"), Reason::MissingPid),
        (format!(r#"{{"pid":0,{at}}}"#), Reason::MissingPid),
        (format!(r#"{{"pid":{dead},{at}}}"#), Reason::DeadPid),
        (format!(r#"{{"pid":{me},{at}}}"#), Reason::OrphanSelfPid),
        (format!(r#"{{"pid":{me},{at},"starttime":{}}}"#, own_starttime()), Reason::OrphanSelfPid),
        (format!(r#"{{"pid":{me},{at},"starttime":1}}"#), Reason::RecycledPid),
        (format!(r#"{{"pid":1,{at},"starttime":999999999}}"#), Reason::RecycledPid),
        (format!(r#"{{"pid":1,{at}}}"#), Reason::Abandoned),
        (format!(r#"{{"pid":{me},{at},"nonce":"{}"}}"#, "0".repeat(32)), Reason::NonceMismatch),
        (format!(r#"{{"pid":{dead},{at},"bootId":"{}"}}"#, "11111111-1111-1111-1111-111111111111"), Reason::Rebooted),
        (format!("{dead}\nsome-host\n"), Reason::DeadPid),
    ]
}

#[test]
fn a_living_older_holder_is_never_robbed_and_a_dead_one_is_taken_over() {
    for (payload, reason) in payloads() {
        let (dir, _) = lock_dir();
        let (recorder, locks) = Recorder::on(dir.path());
        let older = OlderPeer::hold(dir.path(), &payload);

        let error = locks.lock("s").timeout(GRACE * 2).blocking().expect_err("robbed a living owner");
        let LockError::Timeout { found, .. } = error else { panic!("{payload}: {error}") };
        assert_eq!(found.state, State::ForeignHeld, "{payload}");
        assert_eq!(found.holder.map(|holder| holder.kind), Some(HolderKind::Foreign), "{payload}");
        let refused = Event::ReclaimRefused { why: Refusal::WriterAlive };
        assert!(recorder.events().contains(&refused), "{payload}: {:?}", recorder.events());

        older.die();
        let guard = locks.lock("s").timeout(LONG).blocking().expect("a dead owner's lock is free");
        let found = recorder.events().iter().find_map(|event| match event {
            Event::Reclaimed { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(found, Some(reason), "{payload}");
        let claim = std::fs::read(dir.path().join("s.lock")).expect("the claim is there");
        let claim: serde_json::Value = serde_json::from_slice(&claim).expect("no tail of the old payload is left");
        assert_eq!(claim["token"], guard.token());
        drop(guard);
        assert!(!dir.path().join("s.lock").exists());
    }
}

#[test]
fn the_grace_begins_when_the_file_is_closed() {
    let (dir, locks) = lock_dir();
    let older = OlderPeer::hold(dir.path(), "{\"pid\":1}");
    let began = Instant::now();
    older.die();
    drop(locks.lock("s").timeout(LONG).blocking().expect("free after the grace"));
    assert!(began.elapsed() >= GRACE, "taken over within the grace");
}

#[test]
fn a_late_unlink_within_the_grace_breaks_nothing() {
    for late in [Duration::ZERO, GRACE / 4, GRACE / 2] {
        let (dir, _) = lock_dir();
        let (recorder, locks) = Recorder::on(dir.path());
        let older = OlderPeer::hold(dir.path(), "{\"pid\":1}");
        let releasing = std::thread::spawn(move || older.close_then_unlink(late));
        let guard = locks.lock("s").timeout(LONG).blocking().expect("released");
        releasing.join().expect("the older peer released");
        assert!(dir.path().join("s.lock").exists(), "the older peer removed our claim");
        assert_eq!(guard.is_lost(), None);
        let reclaimed = recorder.events().iter().any(|event| matches!(event, Event::Reclaimed { .. }));
        assert!(!reclaimed, "a claim that was released is not reclaimed");
        drop(guard);
    }
}

#[test]
fn a_waiter_gets_the_lock_when_the_older_holder_releases() {
    let (dir, locks) = lock_dir();
    let older = OlderPeer::hold(dir.path(), "{\"pid\":1}");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| locks.lock("s").timeout(LONG).blocking().expect("released").token());
        std::thread::sleep(GRACE);
        assert!(!waiter.is_finished(), "it did not wait");
        older.close_then_unlink(Duration::ZERO);
        assert!(waiter.join().expect("no panic") > 0);
    });
}

#[test]
fn deadlines_shorter_than_the_grace_make_progress() {
    let (dir, locks) = lock_dir();
    OlderPeer::hold(dir.path(), "{\"pid\":1}").die();
    let mut busy = 0;
    wait_until(|| match locks.lock("s").timeout(GRACE / 20).blocking() {
        Ok(_guard) => true,
        Err(LockError::Timeout { .. }) => {
            busy += 1;
            false
        }
        Err(error) => panic!("{error}"),
    });
    assert!(busy > 0, "the grace was not kept");
}

#[test]
fn a_grace_without_end_waits_until_the_file_is_gone() {
    let (dir, _) = lock_dir();
    let locks = LockDir::options().grace(Duration::MAX).open(dir.path()).expect("open");
    OlderPeer::hold(dir.path(), "{\"pid\":1}").die();
    assert!(matches!(locks.lock("s").timeout(GRACE).blocking(), Err(LockError::Timeout { .. })));
    std::fs::remove_file(dir.path().join("s.lock")).expect("removed");
    drop(locks.lock("s").timeout(LONG).blocking().expect("the file is gone"));
}

#[test]
fn trying_again_gets_past_the_grace() {
    let (dir, locks) = lock_dir();
    OlderPeer::hold(dir.path(), "{\"pid\":1}").die();
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    wait_until(|| matches!(locks.try_lock("s"), Ok(TryAcquire::Acquired(_))));
}

#[test]
fn a_reader_of_the_claim_delays_nobody() {
    let (dir, locks) = lock_dir();
    OlderPeer::hold(dir.path(), "{\"pid\":1}").die();
    let _reader = File::open(dir.path().join("s.lock")).expect("readable");
    drop(locks.lock("s").timeout(LONG).blocking().expect("readers do not hold"));
}

#[test]
fn what_is_not_a_claim_is_an_error_and_stays_as_it_was() {
    let long = format!("{{\"pid\":1,\"x\":\"{}\"}}", "y".repeat(4096));
    for content in ["# yarn lockfile v1\n", "[1]", "12345", "\u{0}\u{0}", "null", "{\"pid\":1} trailing", &long] {
        let (dir, locks) = lock_dir();
        let path = dir.path().join("yarn.lock");
        std::fs::write(&path, content).expect("written");
        let error = locks.lock("yarn").blocking().expect_err("not a claim");
        assert!(matches!(error, LockError::NotAClaim { .. }), "{content:?}: {error}");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), content);
        std::fs::remove_file(&path).expect("removed");
        drop(locks.lock("yarn").timeout(LONG).blocking().expect("an error leaves nothing locked"));
    }
}

#[test]
fn a_link_at_the_claims_path_is_not_followed() {
    let (dir, locks) = lock_dir();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "{}").expect("written");
    let path = dir.path().join("s.lock");
    for dangling in [false, true] {
        let target = if dangling { dir.path().join("nowhere") } else { victim.clone() };
        std::os::unix::fs::symlink(target, &path).expect("a link");
        assert!(matches!(locks.try_lock("s"), Err(LockError::NotAClaim { .. })));
        std::fs::remove_file(&path).expect("removed");
    }
    std::fs::hard_link(&victim, &path).expect("a link");
    assert!(matches!(locks.try_lock("s"), Err(LockError::NotAClaim { .. })));
    assert_eq!(std::fs::read_to_string(&victim).expect("readable"), "{}");
}

#[test]
fn the_mode_of_the_directory_is_the_mode_of_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _) = lock_dir();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o770)).expect("chmod");
    let locks = LockDir::open(dir.path()).expect("open");
    let _guard = locks.lock("s").blocking().expect("free");
    let mode = |path: PathBuf| std::fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode(dir.path().join("s.lock")), 0o660);
    assert_eq!(mode(dir.path().join(".session-lock")), 0o770);
    let arbiter = std::fs::read_dir(dir.path().join(".session-lock")).expect("readable").next();
    assert_eq!(mode(arbiter.expect("one arbiter").expect("readable").path()), 0o660);
}

/// A claim that is unlinked between two looks at it has no name left, which is not the same as having a second one.
#[test]
fn an_older_peer_that_comes_and_goes_is_no_error() {
    let (dir, locks) = lock_dir();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if let Ok(mut file) = File::create_new(dir.path().join("s.lock")) {
                    file.write_all(b"{\"pid\":1,\"createdAt\":\"2026-02-01T10:00:00.000Z\"}").expect("written");
                    drop(file);
                    std::fs::remove_file(dir.path().join("s.lock")).ok();
                }
            }
        });
        let end = Instant::now() + Duration::from_secs(2);
        let (mut busy, mut acquired) = (0, 0);
        let mut failed = None;
        while failed.is_none() && Instant::now() < end {
            match locks.try_lock("s") {
                Ok(TryAcquire::Busy(_)) => busy += 1,
                Ok(TryAcquire::Acquired(_)) => acquired += 1,
                Err(error) => failed = Some(error),
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(failed.is_none(), "{}, after {busy} busy and {acquired} acquired", failed.expect("an error"));
        assert!(busy > 0 && acquired > 0, "{busy} busy, {acquired} acquired: they have to meet");
    });
}
