//! What the oracle found, and how a violation reads.

use std::fmt;

use serde::Serialize;

use super::KEPT;
use crate::history::Record;

/// A record and its place in the history, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Numbered {
    /// The place: the stamp by which everything is judged.
    pub number: u64,
    /// The record.
    pub record: Record,
}

/// A hold, known by the record it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Its *acquired* record.
    pub began: Numbered,
}

/// What was violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two holds of one lock intersect.
    Overlap,
    /// A fencing token is not larger than the one before.
    TokenNotLarger {
        /// The token before.
        previous: u64,
    },
    /// The lock's counter is below the number of completed sections.
    LostUpdate {
        /// What the counter says.
        counter: u64,
        /// So many sections were completed.
        completed: u64,
    },
}

/// Something that no lock may do, with what led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What was violated.
    pub kind: Kind,
    /// On which lock.
    pub lock: u16,
    /// The holds concerned, the earlier first.
    pub holds: Vec<Hold>,
    /// The records around it.
    pub story: Vec<Numbered>,
}

impl Violation {
    pub(super) fn settled_by(mut self, proof: Numbered) -> Self {
        self.story.push(proof);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lock = self.lock;
        match (self.kind, self.holds.as_slice()) {
            (Kind::Overlap, [first, second]) => {
                let (first, second) = (first.began, second.began);
                let (a, b) = (first.record, second.record);
                let (one, other) = (first.number, second.number);
                write!(f, "two owners of lock {lock}: ")?;
                write!(f, "worker {} (incarnation {}, since record {one}) and ", a.worker, a.incarnation)?;
                writeln!(f, "worker {} (incarnation {}, since record {other})", b.worker, b.incarnation)?;
            }
            (Kind::TokenNotLarger { previous }, [hold]) => {
                let token = hold.began.record.token;
                writeln!(f, "token {token} of lock {lock} is not larger than {previous}, the one before")?;
            }
            (Kind::LostUpdate { counter, completed }, _) => {
                writeln!(f, "lost update on lock {lock}: {completed} sections completed, the counter says {counter}")?;
            }
            (kind, holds) => writeln!(f, "{kind:?} on lock {lock}: {holds:?}")?,
        }
        let began = self.story.first().map_or(0, |told| told.record.at_us);
        for Numbered { number, record } in &self.story {
            let (event, worker, incarnation) = (record.event.name(), record.worker, record.incarnation);
            let since = record.at_us.saturating_sub(began);
            write!(f, "  record {number:<9} {since:>9} µs  worker {worker:<3} incarnation {incarnation:<5} {event}")?;
            if record.token > 0 {
                write!(f, " with token {}", record.token)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// What the oracle could not judge. None of it is ever taken for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Oddities {
    /// Stretches of the file that are no record.
    pub undecodable: u64,
    /// Records that cannot follow those before them.
    pub misfits: u64,
    /// Workers that ended without having been killed or told to.
    pub crashed: u64,
    /// Workers whose end the history does not tell.
    pub unended: u64,
    /// Suspected overlaps that nothing has settled.
    pub unsettled: u64,
    /// Counters that are missing, or above the number of acquisitions.
    pub counters: u64,
}

impl Oddities {
    /// What there is of each, in words.
    pub fn described(&self) -> impl Iterator<Item = String> {
        let each = [
            (self.undecodable, "pieces of the history are not records"),
            (self.misfits, "records do not fit those before them"),
            (self.crashed, "workers ended on their own"),
            (self.unended, "workers never ended, as far as the history tells"),
            (self.unsettled, "suspected overlaps could not be settled"),
            (self.counters, "counters are missing or count what did not happen"),
        ];
        each.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"))
    }
}

/// What a history tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Records read.
    pub records: u64,
    /// Acquisitions.
    pub acquired: u64,
    /// Holds whose holder reached the end of its section.
    pub completed: u64,
    /// Kills announced.
    pub kills: u64,
    /// Kills of a worker within a hold.
    pub kills_inside: u64,
    /// Acquisitions that followed a hold which a kill had ended.
    pub takeovers: u64,
    /// Acquisitions after a hold of another worker.
    pub passed_on: u64,
    /// Stops announced.
    pub stops: u64,
    /// Acquires that gave up.
    pub timeouts: u64,
    /// Acquires and releases that failed.
    pub errors: u64,
    /// Violations in all.
    pub violations: u64,
    /// The first of them.
    pub stories: Vec<Violation>,
    /// What could not be judged.
    pub oddities: Oddities,
}

impl Findings {
    pub(super) fn blame(&mut self, violation: Violation) {
        self.violations += 1;
        if self.stories.len() < KEPT {
            self.stories.push(violation);
        }
    }
}
