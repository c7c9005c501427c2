//! What the older lock does, case by case, beside what this one does: *same*, or *deliberately different, because*.
//!
//! The cases are those of the older lock's own tests, as the seed threads tell them (openclaw #10283, #57019, #15628, #32081,
//! #4044), and of the reasons for which it reclaims. Each runs on both: on a model of the older lock and on this crate.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]
#![allow(unreachable_pub, missing_docs, reason = "a module of a test binary")]
#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "not an interface"
)]

mod older;
mod ours;
#[path = "../support/mod.rs"]
mod support;

use Seen::{Acquires, Fails, Goes, Stays, Waits};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What the cases ask of a lock: one process, session `s`.
pub trait Subject {
    /// Acquires; false if it had to wait until its timeout. An error says what is wrong.
    fn acquire(&mut self) -> Result<bool, String>;
    /// Acquires what this process holds already.
    fn acquire_again(&mut self) -> bool;
    /// Enters its own hold once more, in the way that is meant for it.
    fn enter(&mut self) -> bool;
    /// Releases once.
    fn release(&mut self);
    fn release_all(&mut self);
    /// The names of the sessions whose claims a sweep removes, or would remove.
    fn sweep(&mut self, remove: bool) -> Vec<String>;
    /// Another process acquires, and is killed.
    fn dies(&mut self);
    /// Another process acquires, and gets SIGTERM.
    fn is_terminated(&mut self);
    /// The same, and it has asked for its locks to be released then.
    fn is_terminated_after_asking(&mut self);
}

/// What somebody outside sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Acquires,
    Waits,
    Fails,
    /// The claim is there afterwards.
    Stays,
    /// It is not.
    Goes,
}

type Case = fn(&Path, &mut dyn Subject) -> Seen;

struct Row {
    case: &'static str,
    run: Case,
    older: Seen,
    ours: Seen,
    verdict: Verdict,
}

#[derive(Clone, Copy)]
enum Verdict {
    Same,
    /// Deliberately different, because.
    Because(&'static str),
}

const fn same(case: &'static str, seen: Seen, run: Case) -> Row {
    Row { case, run, older: seen, ours: seen, verdict: Verdict::Same }
}

const fn different(case: &'static str, older: Seen, ours: Seen, because: &'static str, run: Case) -> Row {
    Row { case, run, older, ours, verdict: Verdict::Because(because) }
}

const OPEN: &str = "the kernel says that a process has it open for writing, and no payload proves the contrary";
const CLOSED: &str = "an owner keeps its file open, so one that nobody has open is nobody's, whatever pid it names";
const AGE: &str = "age never reclaims: a long hold is not a dead one";
const ASKED: &str =
    "a hold is entered once more only by who has its handle: two tasks of a process exclude each other too";
const TOUCHED: &str = "what is not a claim is never touched";

/// Reclaiming.
const RECLAIM: &[Row] = &[
    same("dead pid", Acquires, |dir, lock| takeover(dir, lock, &pid(dead_pid()), Owner::Dead)),
    different("dead pid, and somebody has it open: another PID namespace", Acquires, Waits, OPEN, |dir, lock| {
        takeover(dir, lock, &pid(dead_pid()), Owner::Alive)
    }),
    same("recycled pid", Acquires, |dir, lock| takeover(dir, lock, &recycled(), Owner::Dead)),
    different("recycled pid, and somebody has it open", Acquires, Waits, OPEN, |dir, lock| {
        takeover(dir, lock, &recycled(), Owner::Alive)
    }),
    same("orphan of our own pid, without start time", Acquires, |dir, lock| {
        takeover(dir, lock, &pid(me()), Owner::Dead)
    }),
    different("orphan of our own pid, and somebody has it open (#32081)", Acquires, Waits, OPEN, |dir, lock| {
        takeover(dir, lock, &pid(me()), Owner::Alive)
    }),
    same("orphan of our own pid, with a malformed start time", Acquires, |dir, lock| {
        takeover(dir, lock, &format!(r#"{{"pid":{},{NOW},"starttime":"x"}}"#, me()), Owner::Dead)
    }),
    same("another nonce, our own pid", Acquires, |dir, lock| {
        takeover(dir, lock, &format!(r#"{{"pid":{},{NOW},"starttime":{},"nonce":77}}"#, me(), own()), Owner::Dead)
    }),
    different("another nonce, our own pid, and somebody has it open", Acquires, Waits, OPEN, |dir, lock| {
        takeover(dir, lock, &format!(r#"{{"pid":{},{NOW},"starttime":{},"nonce":77}}"#, me(), own()), Owner::Alive)
    }),
    different("living pid, closed", Waits, Acquires, CLOSED, |dir, lock| takeover(dir, lock, &pid(1), Owner::Dead)),
    different("written before a reboot, its pid is another process's", Waits, Acquires, CLOSED, |dir, lock| {
        let boot = "11111111-1111-1111-1111-111111111111";
        takeover(dir, lock, &format!(r#"{{"pid":1,{NOW},"bootId":"{boot}"}}"#), Owner::Dead)
    }),
    same("malformed, old", Acquires, |dir, lock| takeover(dir, lock, r#"{"pid":12"#, Owner::DeadLongAgo)),
    different("malformed, fresh", Waits, Acquires, CLOSED, |dir, lock| {
        takeover(dir, lock, r#"{"pid":12"#, Owner::Dead)
    }),
    same("empty, old", Acquires, |dir, lock| takeover(dir, lock, "", Owner::DeadLongAgo)),
    different(
        "empty, old, and somebody has it open: its owner was stopped before it wrote",
        Acquires,
        Waits,
        OPEN,
        |dir, lock| takeover(dir, lock, "", Owner::AliveLongAgo),
    ),
    same("empty, fresh, and somebody has it open", Waits, |dir, lock| takeover(dir, lock, "", Owner::Alive)),
    same("no pid, old", Acquires, |dir, lock| takeover(dir, lock, &format!("{{{NOW}}}"), Owner::DeadLongAgo)),
    same("pid 0, old", Acquires, |dir, lock| takeover(dir, lock, &pid(0), Owner::DeadLongAgo)),
];

/// What is active is never reclaimed.
const ACTIVE: &[Row] = &[
    same("living pid, open", Waits, |dir, lock| takeover(dir, lock, &pid(1), Owner::Alive)),
    same("living pid, open, dated in the future", Waits, |dir, lock| {
        takeover(dir, lock, r#"{"pid":1,"createdAt":"9998-01-01T00:00:00Z"}"#, Owner::Alive)
    }),
    different("living pid, open, held for an hour", Acquires, Waits, AGE, |dir, lock| {
        takeover(dir, lock, r#"{"pid":1,"createdAt":"2026-02-01T10:00:00Z"}"#, Owner::AliveLongAgo)
    }),
    same("held in this process, asked for by somebody else of it", Waits, |_, lock| {
        assert_eq!(lock.acquire(), Ok(true));
        acquire(lock)
    }),
    same("held in this process, its start time lost", Waits, |dir, lock| rewritten(dir, lock, &pid(me()))),
    same("held in this process, its start time malformed", Waits, |dir, lock| {
        rewritten(dir, lock, &format!(r#"{{"pid":{},{NOW},"starttime":-1}}"#, me()))
    }),
];

/// Counting, releasing, ending.
const LIFE: &[Row] = &[
    different("acquired again by its holder", Acquires, Waits, ASKED, |_, lock| {
        assert_eq!(lock.acquire(), Ok(true));
        if lock.acquire_again() { Acquires } else { Waits }
    }),
    same("entered twice, released twice: it is still held", Stays, |dir, lock| entered_twice_released(dir, lock, 2)),
    same("entered twice, released three times: it is free", Goes, |dir, lock| entered_twice_released(dir, lock, 3)),
    same("released once too often: another's claim stays", Stays, |dir, lock| {
        assert_eq!(lock.acquire(), Ok(true));
        lock.release();
        fs::write(dir.join("s.lock"), pid(1)).expect("written");
        lock.release();
        claim(dir)
    }),
    different(
        "released after somebody replaced the claim",
        Goes,
        Stays,
        "a release removes only its own file (#57019)",
        |dir, lock| {
            assert_eq!(lock.acquire(), Ok(true));
            fs::write(dir.join("theirs"), pid(1)).expect("written");
            fs::rename(dir.join("theirs"), dir.join("s.lock")).expect("replaced");
            lock.release();
            claim(dir)
        },
    ),
    same("killed: the next one acquires", Acquires, |_, lock| {
        lock.dies();
        acquire(lock)
    }),
    different(
        "terminated by a signal",
        Goes,
        Stays,
        "a library installs no signal handlers unasked; the lock is free all the same",
        |dir, lock| {
            lock.is_terminated();
            claim(dir)
        },
    ),
    same("terminated by a signal: the next one acquires", Acquires, |_, lock| {
        lock.is_terminated();
        acquire(lock)
    }),
    same("terminated by a signal, having asked for a clean end", Goes, |dir, lock| {
        lock.is_terminated_after_asking();
        claim(dir)
    }),
    same("all released (#4044)", Goes, |dir, lock| {
        assert_eq!(lock.acquire(), Ok(true));
        lock.release_all();
        claim(dir)
    }),
    same("all released: the next iteration acquires", Acquires, |_, lock| {
        assert_eq!(lock.acquire(), Ok(true));
        lock.release_all();
        acquire(lock)
    }),
    same("all released, then an old hold once more: the next one's claim stays", Stays, |dir, lock| {
        assert_eq!(lock.acquire(), Ok(true));
        lock.release_all();
        fs::write(dir.join("s.lock"), pid(1)).expect("written");
        lock.release();
        claim(dir)
    }),
];

/// Sweeping at the start of a program, and what is no claim.
const SWEEP: &[Row] = &[
    same("swept: a dead owner's", Goes, |dir, lock| swept(dir, lock, &pid(dead_pid()), Owner::Dead, true)),
    same("swept: a living owner's, fresh", Stays, |dir, lock| swept(dir, lock, &pid(1), Owner::Alive, true)),
    different("swept: a living owner's, old", Goes, Stays, AGE, |dir, lock| {
        swept(dir, lock, r#"{"pid":1,"createdAt":"2026-02-01T10:00:00Z"}"#, Owner::AliveLongAgo, true)
    }),
    different("swept: a living owner's of another PID namespace", Goes, Stays, OPEN, |dir, lock| {
        swept(dir, lock, &pid(dead_pid()), Owner::Alive, true)
    }),
    same("swept: malformed, old", Goes, |dir, lock| swept(dir, lock, "{", Owner::DeadLongAgo, true)),
    same("swept without removing: a dead owner's", Stays, |dir, lock| {
        swept(dir, lock, &pid(dead_pid()), Owner::Dead, false)
    }),
    different("swept: a file of another program", Goes, Stays, TOUCHED, |dir, lock| {
        swept(dir, lock, "# yarn lockfile v1\n", Owner::DeadLongAgo, true)
    }),
    different("acquired: a file of another program, old", Acquires, Fails, TOUCHED, |dir, lock| {
        takeover(dir, lock, "# yarn lockfile v1\n", Owner::DeadLongAgo)
    }),
    different(
        "acquired: a dangling symbolic link",
        Waits,
        Fails,
        "it says what is in the way, and does not wait for it",
        |dir, lock| {
            std::os::unix::fs::symlink(dir.join("nowhere"), dir.join("s.lock")).expect("a link");
            acquire(lock)
        },
    ),
];

#[test]
fn beside_the_older_lock() {
    for Row { case, run, older, ours, verdict } in [RECLAIM, ACTIVE, LIFE, SWEEP].concat_rows() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(run(dir.path(), &mut older::Older::new(dir.path().to_owned())), *older, "the older lock: {case}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(run(dir.path(), &mut ours::Ours::open(dir.path())), *ours, "this lock: {case}");
        match verdict {
            Verdict::Same => assert_eq!(older, ours, "{case}: same"),
            Verdict::Because(why) => assert!(older != ours && !why.is_empty(), "{case}: different, because {why}"),
        }
        eprintln!(
            "{case}: {ours:?}, {}",
            match verdict {
                Verdict::Same => "the same".to_owned(),
                Verdict::Because(why) => format!("and not {older:?}, because {why}"),
            }
        );
    }
}

/// The name of a case says which one failed, so it is there once.
#[test]
fn cases_have_names_of_their_own() {
    let rows = [RECLAIM, ACTIVE, LIFE, SWEEP].concat_rows();
    let names: std::collections::BTreeSet<_> = rows.iter().map(|row| row.case).collect();
    assert_eq!(names.len(), rows.len());
    assert!(rows.len() >= 40, "{} rows", rows.len());
}

trait Rows {
    fn concat_rows(&self) -> Vec<&'static Row>;
}

impl Rows for [&'static [Row]; 4] {
    fn concat_rows(&self) -> Vec<&'static Row> {
        self.iter().flat_map(|rows| rows.iter()).collect()
    }
}

/// Who left the claim.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// It has its file open.
    Alive,
    AliveLongAgo,
    Dead,
    DeadLongAgo,
}

/// Leaves a claim. The file is what a living owner keeps open.
fn leave(dir: &Path, payload: &str, owner: Owner) -> Option<File> {
    let path = dir.join("s.lock");
    fs::write(&path, payload).expect("written");
    let file = File::options().write(true).open(&path).expect("open");
    if matches!(owner, Owner::AliveLongAgo | Owner::DeadLongAgo) {
        file.set_modified(SystemTime::now() - Duration::from_hours(1)).expect("dated");
    }
    matches!(owner, Owner::Alive | Owner::AliveLongAgo).then_some(file)
}

fn takeover(dir: &Path, lock: &mut dyn Subject, payload: &str, owner: Owner) -> Seen {
    let _open = leave(dir, payload, owner);
    acquire(lock)
}

fn swept(dir: &Path, lock: &mut dyn Subject, payload: &str, owner: Owner, remove: bool) -> Seen {
    let _open = leave(dir, payload, owner);
    let named = lock.sweep(remove) == ["s"];
    let seen = claim(dir);
    assert_eq!(named, seen == Goes || !remove, "it reports what it does, or would do");
    seen
}

/// Somebody writes another payload into the claim of a holder of this process.
fn rewritten(dir: &Path, lock: &mut dyn Subject, payload: &str) -> Seen {
    assert_eq!(lock.acquire(), Ok(true));
    fs::write(dir.join("s.lock"), payload).expect("written");
    acquire(lock)
}

fn entered_twice_released(dir: &Path, lock: &mut dyn Subject, times: usize) -> Seen {
    assert_eq!(lock.acquire(), Ok(true));
    assert!(lock.enter() && lock.enter());
    for _ in 0..times {
        lock.release();
    }
    claim(dir)
}

fn acquire(lock: &mut dyn Subject) -> Seen {
    match lock.acquire() {
        Ok(true) => Acquires,
        Ok(false) => Waits,
        Err(_) => Fails,
    }
}

fn claim(dir: &Path) -> Seen {
    if dir.join("s.lock").symlink_metadata().is_ok() { Stays } else { Goes }
}

/// A date that is never old: the older lock calls an age below zero fresh.
const NOW: &str = r#""createdAt":"9998-01-01T00:00:00Z""#;

fn pid(pid: u32) -> String {
    format!(r#"{{"pid":{pid},{NOW}}}"#)
}

fn recycled() -> String {
    format!(r#"{{"pid":1,{NOW},"starttime":999999999}}"#)
}

fn me() -> u32 {
    std::process::id()
}

fn own() -> u64 {
    starttime(u64::from(me())).expect("it lives")
}

/// A pid that no process has.
pub fn dead_pid() -> u32 {
    let mut child = std::process::Command::new("true").spawn().expect("spawned");
    child.wait().expect("ended");
    child.id()
}

/// Field 22 of `/proc/<pid>/stat`; `None` if there is no such process.
pub fn starttime(pid: u64) -> Option<u64> {
    let stat = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}
