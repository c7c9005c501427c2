//! The oracle: reads a history once, from first to last record, and finds what no lock may do.
//!
//! It imports nothing of the lock it judges, and its memory is that of the locks and of the workers alive.
//!
//! | Hold | |
//! |---|---|
//! | begins | at its *acquired* record |
//! | ends | at its holder's *releasing* or *exec* record; or at the *kill* record of its holder, unless the holder writes on; or, if the holder's process ended in another way, at the last record that the holder wrote |
//!
//! An exec ends the true hold only when it closes the descriptors, so what the records enclose lies within it.
//!
//! Two holds of one lock that intersect are a violation. When a second hold begins while a first is open, it is not yet
//! clear whether the first has ended with the death of its process, so the pair is only *suspected*. The next record that
//! the first holder writes settles it, since it was alive. Its *exit* by the *kill* signal settles it too, if that was
//! announced later, since it was alive then; any other *exit* clears it. A pair that is never settled is counted as
//! unsettled.
//!
//! Some overlaps no lock on these files could avoid: with older peers, or when the claim and the state directory are deleted
//! within one hold. [`Cause`] tells them from all others, by the rules in `oracle/cause.rs`. They are counted by pair and
//! cause, and are no violations.
//!
//! Two more things are violations: a token that is not larger than those before on the same lock (a deleted state directory
//! begins a new series: `oracle/tokens.rs`), and a counter, which each holder reads and writes back plus one, that ends
//! below the number of completed sections (an update was lost). Of those, as many are explained as holds of that lock
//! were in an inherent overlap, proved or suspected.
//!
//! A lock is *stuck* if an acquire has timed out during which nobody acquired or released, and nobody has acquired since.
//! Explanations do not count there: what stands still for a while gives no lock away for good.
//!
//! Failures are explained by the faults around them (`oracle/surroundings.rs`), a lost claim by what voids a hold or by
//! a deletion of the state directory within it. What cannot be judged ([`Findings::oddities`]) is never taken for good: see
//! [`crate::verdict`].
//!
//! A history whose beginning is gone ([`Oracle::skip`]) is judged from where it goes on: an incarnation that is met there
//! for the first time has started before, and what it may have held then is not judged.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{Record, Undecodable};

mod cause;
mod finding;
mod findings;
mod life;
mod lock;
mod own;
mod story;
mod supervised;
mod surroundings;
mod tokens;

pub use cause::{Cause, DEED, Overlap, Pair};
pub use finding::{Hold, Kind, Numbered, Violation};
pub use findings::{Explained, Findings, Inherent, Oddities};

use cause::Side;
use life::{Life, Stage};
use lock::{Deletion, Lock};
use story::Recent;
use surroundings::Surroundings;

/// So many violations are kept with their stories; all are counted.
const KEPT: usize = 10;

/// Whether the lock gives fencing tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// It does, and they grow from 1 on.
    Grow,
    /// It does not, and all of them are 0.
    Absent,
}

/// What there is to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// So many locks, numbered from 0.
    pub locks: u16,
    /// Of the lock under test: older peers give none.
    pub tokens: Tokens,
    /// The first worker that is an older peer, `u16::MAX` for none.
    pub older_from: u16,
    /// How long the lock gives a foreign claim whose file is closed before it reclaims it.
    pub grace: Duration,
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
    setup: Setup,
    locks: Vec<Lock>,
    lives: HashMap<u32, Life>,
    /// The latest deletion of the state directory.
    state: Option<Deletion>,
    around: Surroundings,
    recent: Recent,
    findings: Findings,
}

/// A record that cannot follow those before it.
struct Misfit;

impl Oracle {
    /// An oracle for a history that has not begun.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            locks: vec![Lock::default(); usize::from(setup.locks)],
            lives: HashMap::new(),
            state: None,
            around: Surroundings::default(),
            recent: Recent::default(),
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
        self.recent.push(now);
        if !record.event.is_own() {
            self.supervised(now);
            return None;
        }
        self.own(now).unwrap_or_else(|Misfit| {
            self.findings.oddities.misfits += 1;
            None
        })
    }

    /// So many records are not there any more: what was known of holds and lives is not known now.
    pub fn skip(&mut self, records: u64) {
        self.findings.records += records;
        self.findings.oddities.missing += records;
        self.lives.clear();
        self.state = None;
        self.around = Surroundings::default();
        for lock in &mut self.locks {
            lock.forget();
        }
    }

    /// Ends the history: `counters` holds what each lock's counter says now.
    #[must_use]
    pub fn finish(mut self, counters: &[u64]) -> Findings {
        for (index, lock) in (0..).zip(&self.locks) {
            let Some(&counter) = counters.get(usize::from(index)) else {
                self.findings.oddities.counters += 1;
                continue;
            };
            let lost = lock.completed.saturating_sub(counter);
            if lost > lock.endangered {
                let kind = Kind::LostUpdate { counter, completed: lock.completed };
                self.findings.blame(Violation::new(kind, index));
            } else {
                self.findings.explained.updates += lost;
            }
            self.findings.oddities.stuck += u64::from(lock.stuck);
            if counter > lock.acquired && !self.is_cut() {
                self.findings.oddities.counters += 1;
            }
        }
        self.findings.oddities.unended += self.lives.len() as u64;
        let unsettled = self.lives.values().flat_map(|life| &life.suspected);
        let unsettled = unsettled.filter(|suspected| !suspected.is_inherent()).map(|suspected| suspected.count);
        self.findings.oddities.unsettled += unsettled.sum::<u64>();
        self.findings
    }

    /// Whether something of the history is missing.
    fn is_cut(&self) -> bool {
        self.findings.oddities.missing > 0
    }

    fn side(&self, worker: u16) -> Side {
        if worker >= self.setup.older_from { Side::Older } else { Side::Ours }
    }

    fn lock(&mut self, index: u16) -> Option<&mut Lock> {
        self.locks.get_mut(usize::from(index))
    }

    /// The life that this record is of, which may be its first.
    fn life(&mut self, incarnation: u32) -> &mut Life {
        let cut = self.findings.oddities.missing > 0;
        let stage = if cut { Stage::Started } else { Stage::Unstarted };
        self.lives.entry(incarnation).or_insert_with(|| Life { stage, unknown: cut, ..Life::default() })
    }
}
