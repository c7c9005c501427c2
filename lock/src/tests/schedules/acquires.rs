//! Acquires of one process and of two: who waits is served, whoever else gives up.

use super::{Inside, Party, directory, many_schedules, poll, polled};
use crate::sys::sync::thread;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Acquires, looks whether it is alone, releases.
fn visits(party: &Arc<Party>, inside: &Arc<Inside>) -> thread::JoinHandle<()> {
    let (party, inside) = (Arc::clone(party), Arc::clone(inside));
    thread::spawn(move || {
        let guard = party.acquire().expect("served");
        inside.visit();
        assert!(party.locks.path().join("s.lock").exists(), "somebody removed the claim of who is inside");
        guard.release().expect("it was held");
    })
}

/// Polls once, or twice with something in between, and gives up.
fn gives_up(party: &Arc<Party>, inside: &Arc<Inside>) -> thread::JoinHandle<()> {
    let (party, inside) = (Arc::clone(party), Arc::clone(inside));
    thread::spawn(move || {
        let (mut acquire, mut held) = polled(&party.locks);
        if held.is_none() {
            thread::yield_now();
            held = poll(&mut acquire);
        }
        if let Some(guard) = held {
            let guard = guard.expect("no error");
            inside.visit();
            guard.release().expect("it was held");
        }
    })
}

/// A thread may still have the turn, in order to give back what nobody wanted.
fn assert_free<const N: usize>(parties: [&Party; N], claim: &Path) {
    for party in parties {
        party.acquire().expect("served").release().expect("held");
        assert!(party.is_idle() && !claim.exists());
    }
}

fn join(tasks: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for task in tasks {
        task.join().expect("no panic");
    }
}

#[test]
fn three_of_one_process_exclude_each_other() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let (party, inside) = (Party::new(&path), Arc::default());
        join([visits(&party, &inside), visits(&party, &inside), visits(&party, &inside)]);
        assert!(party.is_idle() && !claim.exists());
    });
}

#[test]
fn who_gives_up_in_one_process_keeps_nobody_from_the_lock() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let (party, inside) = (Party::new(&path), Arc::default());
        join([visits(&party, &inside), gives_up(&party, &inside), visits(&party, &inside)]);
        assert!(party.is_idle() && !claim.exists());
    });
}

/// One process waits in the kernel's queue while the other one holds. While it is parked there, nothing else of it touches
/// the range: a second grant through the same description, or an unlock, would let two in.
#[test]
fn two_processes_exclude_each_other_whoever_gives_up() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let (one, other, inside) = (Party::new(&path), Party::new(&path), Arc::default());
        join([visits(&one, &inside), gives_up(&one, &inside), visits(&other, &inside), visits(&other, &inside)]);
        assert_free([&one, &other], &claim);
    });
}

/// Tries once, and again later, while others wait: it joins the request or is busy.
#[test]
fn a_try_meanwhile_is_busy_or_holds() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let (one, other, inside) = (Party::new(&path), Party::new(&path), Arc::<Inside>::default());
        let tries = thread::spawn({
            let (one, inside) = (Arc::clone(&one), Arc::clone(&inside));
            move || {
                for _ in 0..2 {
                    if let crate::TryAcquire::Acquired(guard) = one.locks.try_lock("s").expect("no error") {
                        inside.visit();
                        guard.release().expect("it was held");
                    }
                }
            }
        });
        join([visits(&one, &inside), visits(&other, &inside), tries]);
        assert_free([&one, &other], &claim);
    });
}

/// An older peer lives, so a thread waits for it. When nobody wants the lock any more, the thread ends, and the turn is
/// free; a thread that were not told would never end.
#[test]
fn a_thread_that_waits_for_an_older_peer_ends_with_the_last_who_wants_it() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(500, move || {
        let mut older = File::create_new(&claim).expect("free");
        older.write_all(b"{\"pid\":1}").expect("written");
        let party = Party::with_grace(&path, Duration::ZERO);
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let party = Arc::clone(&party);
                thread::spawn(move || {
                    let (acquire, held) = polled(&party.locks);
                    assert!(held.is_none(), "robbed a living owner");
                    drop(acquire);
                })
            })
            .collect();
        join(waiting);
        std::fs::remove_file(&claim).expect("the older peer's");
        drop(older);
        // No timeout passes here, so that a thread that is still about to end has to be told.
        party.process.watcher.look();
        assert_free([&party], &claim);
    });
}

/// A restart meets acquires at every stage. Each of them ends once, with the lock or without; nothing is left of any.
#[test]
fn a_restart_ends_every_acquire_and_every_hold() {
    let (dir, claim) = directory();
    let path = dir.path().to_owned();
    many_schedules(1_000, move || {
        let party = Party::new(&path);
        let ends: Arc<[AtomicU32; 2]> = Arc::default();
        let acquiring = ends.iter().enumerate().map(|(who, _)| {
            let (party, ends) = (Arc::clone(&party), Arc::clone(&ends));
            thread::spawn(move || {
                match party.acquire() {
                    // Held before the restart, which has ended it by now, or after it.
                    Ok(guard) => drop(guard),
                    Err(crate::LockError::Restarted) => {}
                    Err(error) => panic!("{error}"),
                }
                ends[who].fetch_add(1, Ordering::SeqCst);
            })
        });
        let mut tasks: Vec<_> = acquiring.collect();
        tasks.push(thread::spawn({
            let party = Arc::clone(&party);
            move || {
                for released in party.process.restart() {
                    released.expect("unlinked");
                }
            }
        }));
        join(tasks);
        assert!(ends.iter().all(|end| end.load(Ordering::SeqCst) == 1));
        assert!(!claim.exists(), "a claim was left");
        assert_free([&party], &claim);
    });
}
