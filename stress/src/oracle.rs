//! The oracle: reads a history once, from first to last record, and finds what no lock may do.
//!
//! It imports nothing of the lock it judges, and its memory is that of the locks and of the workers alive.
//!
//! | Hold | |
//! |---|---|
//! | begins | at its *acquired* record |
//! | ends | at its holder's *releasing* record; or at the *kill* record of its holder, unless the holder writes on; or, if the holder's process ended in another way, at the last record that the holder wrote |
//!
//! Two holds of one lock that intersect are a violation. When a second hold begins while a first is open, it is not yet
//! clear whether the first has ended with the death of its process, so the pair is only *suspected*. The next record that
//! the first holder writes settles it, since it was alive. Its *exit* by the *kill* signal settles it too, if that was
//! announced later, since it was alive then; any other *exit* clears it. A pair that is never settled is counted as
//! unsettled.
//!
//! Two more things are violations: a token that is not larger than the one before on the same lock, and a counter, which
//! each holder reads and writes back plus one, that ends below the number of completed sections (an update was lost).
//!
//! What cannot be judged ([`Findings::oddities`]) is never taken for good: see [`crate::verdict`].

use std::collections::{HashMap, VecDeque};

use crate::history::{Event, Record, Undecodable};

mod finding;

pub use finding::{Findings, Hold, Kind, Numbered, Oddities, Violation};

/// So many violations are kept with their stories; all are counted.
const KEPT: usize = 10;
/// So many earlier records are at hand for a story.
const MEMORY: usize = 64;
/// So many of them are told.
const TOLD: usize = 8;

/// Whether the lock gives fencing tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// It does, and they grow from 1 on.
    Grow,
    /// It does not, and all of them are 0.
    Absent,
}

/// How one hold followed another on the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// The earlier hold ended by a kill: this is a takeover.
    pub after_kill: bool,
    /// When the earlier hold ended, by the clock.
    pub ended_us: u64,
}

/// Judges a history, record by record.
#[derive(Debug)]
pub struct Oracle {
    tokens: Tokens,
    locks: Vec<Lock>,
    lives: HashMap<u32, Life>,
    recent: VecDeque<Numbered>,
    findings: Findings,
}

#[derive(Debug, Default, Clone)]
struct Lock {
    /// Holds that have not ended: more than one only while something is wrong, or a killed holder is not reaped.
    open: Vec<Open>,
    last_token: u64,
    last_worker: Option<u16>,
    ended: Option<Succession>,
    acquired: u64,
    completed: u64,
}

/// A hold that has not ended.
#[derive(Debug, Clone, Copy)]
struct Open {
    hold: Hold,
    /// Its process was killed: over, unless the process shows that it lives.
    doomed: bool,
}

/// Two owners, if the first one shows that it was alive when the second one came.
#[derive(Debug)]
struct Suspicion {
    violation: Violation,
    /// The first one had been killed by then, so its end clears it.
    cleared_by_exit: bool,
}

/// A worker process, from its first record to its *exit*.
#[derive(Debug, Default)]
struct Life {
    started: bool,
    killed: bool,
    done: bool,
    /// The lock it is inside of, whether or not the hold counts.
    inside: Option<u16>,
    suspected: Option<Suspicion>,
}

impl Oracle {
    /// An oracle for so many locks, numbered from 0, of an implementation with or without fencing tokens.
    #[must_use]
    pub fn new(locks: u16, tokens: Tokens) -> Self {
        Self {
            tokens,
            locks: vec![Lock::default(); usize::from(locks)],
            lives: HashMap::new(),
            recent: VecDeque::with_capacity(MEMORY),
            findings: Findings::default(),
        }
    }

    /// What has been found so far.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Takes the next record. Tells how an acquisition followed the hold before it, where that is known.
    pub fn observe(&mut self, record: Result<Record, Undecodable>) -> Option<Succession> {
        let number = self.findings.records;
        self.findings.records += 1;
        let Ok(record) = record else {
            self.findings.oddities.undecodable += 1;
            return None;
        };
        let now = Numbered { number, record };
        if self.recent.len() == MEMORY {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if !record.event.is_own() {
            self.about(now);
            return None;
        }
        self.own(now).unwrap_or_else(|Misfit| {
            self.findings.oddities.misfits += 1;
            None
        })
    }

    /// Ends the history: `counters` holds what each lock's counter says now.
    #[must_use]
    pub fn finish(mut self, counters: &[u64]) -> Findings {
        for (index, lock) in (0..).zip(&self.locks) {
            let Some(&counter) = counters.get(usize::from(index)) else {
                self.findings.oddities.counters += 1;
                continue;
            };
            if counter < lock.completed {
                let kind = Kind::LostUpdate { counter, completed: lock.completed };
                self.findings.blame(Violation { kind, lock: index, holds: Vec::new(), story: Vec::new() });
            }
            if counter > lock.acquired {
                self.findings.oddities.counters += 1;
            }
        }
        self.findings.oddities.unended += self.lives.len() as u64;
        self.findings.oddities.unsettled += self.lives.values().filter(|life| life.suspected.is_some()).count() as u64;
        self.findings
    }

    /// A record that a worker wrote.
    fn own(&mut self, now: Numbered) -> Result<Option<Succession>, Misfit> {
        let life = self.lives.entry(now.record.incarnation).or_default();
        if let Some(suspected) = life.suspected.take() {
            self.findings.blame(suspected.violation.settled_by(now));
        }
        let in_its_time = if now.record.event == Event::Start { !life.started } else { life.started && !life.done };
        if !in_its_time {
            return Err(Misfit);
        }
        match now.record.event {
            Event::Acquired => return self.acquired(now),
            Event::Releasing => return self.releasing(now),
            Event::Start => life.started = true,
            Event::Timeout => self.findings.timeouts += 1,
            Event::Error => self.findings.errors += 1,
            Event::Caught if life.inside.is_none() => return Err(Misfit),
            Event::Done if life.inside.is_some() => {
                life.done = true;
                return Err(Misfit);
            }
            Event::Done => life.done = true,
            Event::Caught | Event::Kill | Event::Stop | Event::Continue | Event::Exit => {}
        }
        Ok(None)
    }

    fn acquired(&mut self, now: Numbered) -> Result<Option<Succession>, Misfit> {
        let Record { incarnation, lock: index, token, .. } = now.record;
        let lock = self.locks.get_mut(usize::from(index)).ok_or(Misfit)?;
        let life = self.lives.get_mut(&incarnation).ok_or(Misfit)?;
        if life.inside.is_some() {
            return Err(Misfit);
        }
        life.inside = Some(index);
        lock.acquired += 1;
        self.findings.acquired += 1;
        let hold = Hold { began: now };
        let absent = self.tokens == Tokens::Absent && (token, lock.last_token) == (0, 0);
        if token <= lock.last_token && !absent {
            let kind = Kind::TokenNotLarger { previous: lock.last_token };
            let story = tell(&self.recent, index, &[incarnation], None);
            self.findings.blame(Violation { kind, lock: index, holds: vec![hold], story });
        }
        lock.last_token = lock.last_token.max(token);
        let worker = now.record.worker;
        self.findings.passed_on += u64::from(lock.last_worker.replace(worker).is_some_and(|last| last != worker));
        let doomed = life.killed;
        for open in &lock.open {
            let began = open.hold.began;
            let Some(holder) = self.lives.get_mut(&began.record.incarnation) else { continue };
            // One suspicion for each hold is enough, and it bounds the memory.
            if holder.suspected.is_none() {
                let story = tell(&self.recent, index, &[began.record.incarnation, incarnation], Some(began));
                let violation = Violation { kind: Kind::Overlap, lock: index, holds: vec![open.hold, hold], story };
                holder.suspected = Some(Suspicion { violation, cleared_by_exit: open.doomed });
            }
        }
        lock.open.push(Open { hold, doomed });
        let succession = lock.ended.take().filter(|_| !doomed);
        self.findings.takeovers += u64::from(succession.is_some_and(|after| after.after_kill));
        Ok(succession)
    }

    fn releasing(&mut self, now: Numbered) -> Result<Option<Succession>, Misfit> {
        let Record { incarnation, lock: index, at_us, .. } = now.record;
        let life = self.lives.get_mut(&incarnation).ok_or(Misfit)?;
        if life.inside != Some(index) {
            return Err(Misfit);
        }
        life.inside = None;
        let lock = self.locks.get_mut(usize::from(index)).ok_or(Misfit)?;
        lock.completed += 1;
        self.findings.completed += 1;
        if lock.close(incarnation) == Some(Closed::Living) {
            lock.ended = Some(Succession { after_kill: false, ended_us: at_us });
        }
        Ok(None)
    }

    /// A record that the supervisor wrote about a worker.
    fn about(&mut self, now: Numbered) {
        let Record { event, incarnation, at_us, detail, .. } = now.record;
        match event {
            Event::Kill => {
                self.findings.kills += 1;
                let life = self.lives.entry(incarnation).or_default();
                life.killed = true;
                if let Some(suspected) = &mut life.suspected {
                    suspected.violation.story.push(now);
                }
                if let Some(lock) = life.inside.and_then(|index| self.locks.get_mut(usize::from(index)))
                    && lock.doom(incarnation)
                {
                    self.findings.kills_inside += 1;
                    lock.ended = Some(Succession { after_kill: true, ended_us: at_us });
                }
            }
            Event::Exit => {
                let life = self.lives.remove(&incarnation).unwrap_or_default();
                if life.killed && detail == -SIGKILL {
                    if let Some(suspected) = life.suspected.filter(|suspected| !suspected.cleared_by_exit) {
                        self.findings.blame(suspected.violation.settled_by(now));
                    }
                } else if detail != 0 || !life.done {
                    self.findings.oddities.crashed += 1;
                }
                if let Some(lock) = life.inside.and_then(|index| self.locks.get_mut(usize::from(index)))
                    && lock.close(incarnation) == Some(Closed::Living)
                {
                    lock.ended = None;
                }
            }
            Event::Stop => self.findings.stops += 1,
            _ => {}
        }
    }
}

/// The number by which an *exit* says that its process died of the kill.
const SIGKILL: i32 = 9;

/// A record that cannot follow those before it.
struct Misfit;

/// Whose hold was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    Living,
    Doomed,
}

impl Lock {
    /// Ends the hold of this incarnation, if it has one that has not ended.
    fn close(&mut self, incarnation: u32) -> Option<Closed> {
        let at = self.open.iter().position(|open| open.hold.began.record.incarnation == incarnation)?;
        Some(if self.open.swap_remove(at).doomed { Closed::Doomed } else { Closed::Living })
    }

    /// Marks the hold of a killed incarnation. True if it has one that was not marked yet.
    fn doom(&mut self, incarnation: u32) -> bool {
        let mut open = self.open.iter_mut();
        let open = open.find(|open| open.hold.began.record.incarnation == incarnation && !open.doomed);
        open.is_some_and(|open| {
            open.doomed = true;
            true
        })
    }
}

/// The last records that have to do with this lock or with these incarnations, after the one the story starts with.
fn tell(recent: &VecDeque<Numbered>, lock: u16, who: &[u32], start: Option<Numbered>) -> Vec<Numbered> {
    let on_lock = |record: &Record| {
        record.lock == lock && matches!(record.event, Event::Acquired | Event::Caught | Event::Releasing)
    };
    let died_on_lock = |record: &Record| {
        matches!(record.event, Event::Kill | Event::Exit)
            && recent.iter().any(|other| other.record.incarnation == record.incarnation && on_lock(&other.record))
    };
    let concerned = |record: &Record| on_lock(record) || died_on_lock(record) || who.contains(&record.incarnation);
    let mut story: Vec<_> = recent.iter().rev().filter(|told| concerned(&told.record)).take(TOLD).copied().collect();
    story.reverse();
    match (start, story.first()) {
        (Some(start), Some(first)) if start.number < first.number => story.insert(0, start),
        _ => {}
    }
    story
}
