//! Forged histories: each is a few words.
//!
//! A history is written as `who event`, with a lock after `@` (0 if not said), a token after `#` (none if not said), the
//! detail after `=`, a fault after `!`, and after `~` how many milliseconds have passed since the step before (none if not
//! said). A capital letter is a worker with the lock under test, a small one an older peer, `*` nobody. All who occur have
//! started first; `.` after the last step means that all who have not exited do so in good order.

use std::time::Duration;

use clap::ValueEnum;
use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, NOBODY, Record};
use session_lock_stress::oracle::{Findings, Oracle, Setup, Tokens};

pub(crate) const LOCKS: u16 = 2;

/// The small letters.
const OLDER_FROM: u16 = 26;

pub(crate) const SETUP: Setup =
    Setup { locks: LOCKS, tokens: Tokens::Absent, older_from: OLDER_FROM, grace: Duration::from_secs(1) };

/// Judges a history, with counters that say how many sections were completed.
pub(crate) fn judge(history: &str) -> Findings {
    judge_counted(history, None)
}

/// Judges a history with these counters.
pub(crate) fn judge_counted(history: &str, counters: Option<[u64; LOCKS as usize]>) -> Findings {
    let mut oracle = Oracle::new(SETUP);
    let records = forge(history);
    let count = |event, lock| records.iter().filter(|record| record.event == event && record.lock == lock).count();
    for record in &records {
        oracle.observe(Record::decode(&record.encode()));
    }
    let counted = [0, 1].map(|lock| count(Event::Releasing, lock).min(count(Event::Acquired, lock)) as u64);
    oracle.finish(&counters.unwrap_or(counted))
}

/// The records of a history.
pub(crate) fn forge(history: &str) -> Vec<Record> {
    let (steps, in_good_order) = match history.strip_suffix('.') {
        Some(steps) => (steps, true),
        None => (history, false),
    };
    let steps: Vec<_> = steps.split(", ").collect();
    let mut alive: Vec<&str> = Vec::new();
    for step in &steps {
        let who = &step[..1];
        if who != "*" && !alive.contains(&who) {
            alive.push(who);
        }
    }
    let mut records: Vec<_> = alive.iter().map(|who| record(&format!("{who} start"))).collect();
    let mut at_us = 0;
    for step in steps {
        let record = record(step);
        at_us += record.at_us;
        records.push(Record { at_us, ..record });
        if record.event == Event::Exit {
            alive.retain(|who| *who != &step[..1]);
        }
    }
    for who in alive.into_iter().filter(|_| in_good_order) {
        records.extend(["done", "exit"].map(|event| Record { at_us, ..record(&format!("{who} {event}")) }));
    }
    records
}

/// One step. Its clock is the time since the one before.
pub(crate) fn record(step: &str) -> Record {
    const MARKS: [char; 6] = [' ', '@', '#', '=', '!', '~'];
    let (who, rest) = step.split_once(' ').expect("who and event");
    let name = rest.split(MARKS).next().expect("an event");
    let after = |mark: char| rest.split_once(mark).and_then(|(_, rest)| rest.split(MARKS).next());
    let number = |mark| after(mark).map_or(0, |number| number.parse::<i64>().expect("a number"));
    let (worker, incarnation) = match who.as_bytes() {
        [capital @ b'A'..=b'Z'] => (u16::from(capital - b'A'), u32::from(capital - b'A') + 1),
        [small @ b'a'..=b'z'] => (OLDER_FROM + u16::from(small - b'a'), u32::from(small - b'a') + 27),
        _ => (NOBODY, 0),
    };
    Record {
        event: Event::ALL.into_iter().find(|event| event.name() == name).expect("an event's name"),
        fault: after('!').map(|fault| Fault::from_str(fault, false).expect("a fault's name")),
        worker,
        incarnation,
        lock: u16::try_from(number('@')).expect("a lock"),
        token: u64::try_from(number('#')).expect("a token"),
        at_us: 1000 * u64::try_from(number('~')).expect("milliseconds"),
        detail: i32::try_from(number('=')).expect("a detail"),
    }
}
