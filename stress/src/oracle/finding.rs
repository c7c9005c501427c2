//! What the oracle found, and how a violation reads.

use std::fmt;

use serde::Serialize;

use super::cause::Overlap;
use crate::history::{NOBODY, Record};

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
    /// Of an overlap: whose holds, and why.
    #[serde(flatten)]
    pub overlap: Option<Overlap>,
    /// The holds concerned, the earlier first.
    pub holds: Vec<Hold>,
    /// The records around it.
    pub story: Vec<Numbered>,
}

impl Violation {
    /// Not yet told.
    pub(super) fn new(kind: Kind, lock: u16) -> Self {
        Self { kind, lock, overlap: None, holds: Vec::new(), story: Vec::new() }
    }

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
                write!(f, "worker {} (incarnation {}, since record {other})", b.worker, b.incarnation)?;
                match self.overlap {
                    Some(overlap) => writeln!(f, ": {overlap}")?,
                    None => writeln!(f)?,
                }
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
            write!(f, "  record {number:<9} {since:>9} µs  ")?;
            match worker {
                NOBODY => write!(f, "{:<28} {event}", "from outside")?,
                worker => write!(f, "worker {worker:<3} incarnation {incarnation:<5} {event}")?,
            }
            if let Some(fault) = record.fault {
                write!(f, " ({})", fault.name())?;
            }
            if record.token > 0 {
                write!(f, " with token {}", record.token)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
