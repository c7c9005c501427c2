//! Looks beside acquires and takeovers: they disturb nobody, and say nothing that is not so.

use super::inspections::{assert_state, look};
use super::sweeps::{claim, leave_own_at, name};
use super::{LONG, stranger, strangers};
use crate::State;
use crate::name::Session;
use crate::payload::Content;
use crate::sys::fork::write_between_forks;
use crate::verdict::OwnerProcess;
use std::fs;

/// Looks in a loop beside acquires of two processes: every one succeeds, and every look says what can be.
#[test]
fn looks_disturb_nobody() {
    let (dir, one, other) = strangers();
    let watcher = stranger(dir.path());
    let mut looks = 0;
    std::thread::scope(|scope| {
        let acquiring = [&one, &other].map(|locks| {
            scope.spawn(move || {
                for _ in 0..1000 {
                    locks.lock("s").timeout(LONG).blocking().expect("its turn comes").release().expect("released");
                }
            })
        });
        while !acquiring.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let found = look(&watcher);
            // Both holders live, and between two looks at one thing the other may change.
            let may_be = [State::Free, State::Held, State::Unknown].contains(&found.state);
            assert!(may_be, "{found:?}");
            assert!(found.state != State::Unknown || found.to_string().contains("changes faster"), "{found}");
            looks += 1;
        }
    });
    assert!(looks > 0);
    assert_state(&look(&watcher), State::Free);
}

/// A dead older peer's claim is taken over beside looks that probe it all the time.
#[test]
fn looks_delay_no_takeover() {
    let (dir, locks, watcher) = strangers();
    for _ in 0..3 {
        write_between_forks(dir.path().join("s.lock"), "{\"pid\":1}");
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| locks.lock("s").timeout(LONG).blocking().expect("free after the grace"));
            while !taking.is_finished() {
                let found = look(&watcher);
                let may_be = [State::Reclaimable, State::Held, State::ForeignHeld].contains(&found.state);
                assert!(may_be, "{found:?}");
            }
            let _guard = taking.join().expect("no panic");
            let claim = fs::read(dir.path().join("s.lock")).expect("there");
            assert!(Content::classify(&claim).is_ours());
        });
    }
}

/// A dead owner's claim is locked for a moment before it is rewritten, and rewritten before a look has ended: neither makes
/// an inherited lock, nor a living owner's claim reclaimable.
#[test]
fn looks_beside_takeovers_mistake_nobody() {
    let (dir, locks, other) = strangers();
    let watcher = stranger(dir.path());
    let spool = dir.path().join("spool");
    let session = Session::new(&name(0)).expect("valid");
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| {
            for _ in 0..2000 {
                leave_own_at(&other, 0, &spool);
                fs::rename(&spool, claim(dir.path(), 0)).expect("renamed");
                drop(locks.lock(&name(0)).timeout(LONG).blocking().expect("its owner is dead"));
            }
        });
        let (mut all, mut mistaken) = (0, 0);
        while !taking.is_finished() {
            all += 1;
            let found = crate::look::Look::full(&watcher.directory).at(&session);
            let nonce = found.holder.as_ref().and_then(|holder| holder.payload.as_ref()?.nonce);
            let right = match found.state {
                State::Free | State::Held => true,
                State::Reclaimable => nonce == Some([7; 16]),
                State::Unknown => found.to_string().contains("changes faster"),
                // Whoever takes it over may be stopped between the two, and then nothing tells it from a child.
                State::Inherited => {
                    mistaken += 1;
                    true
                }
                _ => false,
            };
            assert!(right, "{found:?}");
        }
        taking.join().expect("no panic");
        assert!(mistaken <= 1 + all / 50, "{mistaken} of {all} looks took a takeover for an inherited lock");
    });
}

/// A glance and a scan go different ways to the same answer, and what was seen of a pid for one claim is asked again for one
/// that it does not fit.
#[test]
fn a_glance_says_what_a_scan_says() {
    let (dir, locks, other) = strangers();
    let at = |name: &str| dir.path().join(format!("{name}.lock"));
    let me = std::process::id();
    leave_own_at(&other, 0, &claim(dir.path(), 0));
    let _guard = locks.lock("held").blocking().expect("free");
    write_between_forks(at("a-older"), format!("{{\"pid\":{me},\"createdAt\":\"2026-01-01T00:00:00.000Z\"}}"));
    write_between_forks(at("older"), "{\"pid\":4194303,\"starttime\":1}");
    write_between_forks(at("torn"), "{\"pid\":");
    write_between_forks(at("text"), "no claim");
    fs::hard_link(at("older"), dir.path().join("another-name")).expect("linked");
    fs::create_dir(at("directory")).expect("made");
    let scanned: Vec<_> = other.scan().expect("readable");
    let held_since =
        |name: &str| scanned.iter().find(|found| found.name == name)?.holder.as_ref()?.payload.as_ref()?.created_at;
    let told: Vec<_> = scanned.iter().map(|found| (found.name.clone(), found.state)).collect();
    let glanced: Vec<_> = other.glance().expect("readable").collect();
    assert_eq!(told, glanced.iter().map(|found| (found.name.clone(), found.state)).collect::<Vec<_>>());
    let states: Vec<_> = told.iter().map(|(name, state)| (name.as_str(), *state)).collect();
    let first = name(0);
    let mut expected = vec![
        ("a-older", State::Reclaimable),
        ("directory", State::NotAClaim),
        ("held", State::Held),
        ("older", State::NotAClaim),
        (&first, State::Reclaimable),
        ("text", State::NotAClaim),
        ("torn", State::Corrupt),
    ];
    expected.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(states, expected);
    for found in &glanced {
        let since = if found.name == "held" { held_since("held") } else { None };
        assert_eq!(found.held_since, since, "{found:?}");
    }
    assert!(held_since("held").is_some() && held_since("a-older").is_some());
    let process = |name: &str| scanned.iter().find(|found| found.name == name).map(|found| found.process);
    assert_eq!(process("held"), Some(OwnerProcess::Present));
    assert_eq!(process("a-older"), Some(OwnerProcess::Present));
}
