//! What a history comes to, in numbers and in the first stories of each kind.

use std::collections::BTreeMap;

use serde::Serialize;

use super::KEPT;
use super::cause::{Cause, Overlap};
use super::finding::Violation;
use crate::fault::Fault;

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
    /// Releases that found their claim gone, which nobody had taken away.
    pub lost: u64,
    /// Locks that nobody had any more after an acquire had timed out, explained or not, and nothing moved meanwhile.
    pub stuck: u64,
    /// Records that are not in the file any more.
    pub missing: u64,
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
            (self.lost, "claims were lost that nobody had taken away"),
            (self.stuck, "locks were stuck: an acquire timed out, and nobody has acquired since it began"),
            (self.missing, "records of the history are gone"),
        ];
        each.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"))
    }
}

/// Overlaps of one kind that no lock on these files could avoid: no violations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inherent {
    /// Whose holds, and why.
    #[serde(flatten)]
    pub overlap: Overlap,
    /// How many there were.
    pub count: u64,
    /// The first of them.
    pub story: Violation,
}

/// What went wrong and is explained by a fault that was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Errors that a full disk, a full inode table or missing descriptors make.
    pub errors: u64,
    /// Acquires that gave up because somebody stood still for long, because of a fault, or as older peers, who only poll.
    pub timeouts: u64,
    /// Claims lost because somebody had taken them away.
    pub lost: u64,
    /// Updates that holds lost which had an inherent overlap.
    pub updates: u64,
}

/// What a history tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Records read.
    pub records: u64,
    /// Acquisitions, by everybody.
    pub acquired: u64,
    /// Those by older peers.
    pub acquired_by_older: u64,
    /// Holds whose holder reached the end of its section.
    pub completed: u64,
    /// Kills announced.
    pub kills: u64,
    /// Kills of a worker within a hold.
    pub kills_inside: u64,
    /// Acquisitions that followed a hold which a kill had ended.
    pub takeovers: u64,
    /// Those by ours after an older peer's hold.
    pub takeovers_of_older: u64,
    /// Acquisitions after a hold of another worker.
    pub passed_on: u64,
    /// Stops announced.
    pub stops: u64,
    /// Acquires that gave up.
    pub timeouts: u64,
    /// Acquires that were cancelled.
    pub cancelled: u64,
    /// Acquires and releases that failed.
    pub errors: u64,
    /// Releases that found their claim gone.
    pub lost: u64,
    /// What of it is explained.
    pub explained: Explained,
    /// How often each fault was done: for one of several workers at once, once for each. Forks and execs are the
    /// workers' own; pid-reuse counts once the new process has the dead one's pid.
    pub faults: BTreeMap<Fault, u64>,
    /// Violations in all.
    pub violations: u64,
    /// The first of them.
    pub stories: Vec<Violation>,
    /// Overlaps that no lock could avoid, by pair and cause.
    pub inherent: Vec<Inherent>,
    /// What could not be judged.
    pub oddities: Oddities,
}

impl Findings {
    /// Acquisitions by the lock under test.
    #[must_use]
    pub const fn acquired_by_ours(&self) -> u64 {
        self.acquired - self.acquired_by_older
    }

    /// Overlaps that no lock could avoid, in all.
    #[must_use]
    pub fn inherent_overlaps(&self) -> u64 {
        self.inherent.iter().map(|inherent| inherent.count).sum()
    }

    /// Counts a violation.
    pub(super) fn blame(&mut self, violation: Violation) {
        self.blame_often(violation, 1);
    }

    /// Counts so many of a kind, of which this is the first: an overlap for what it is, anything else for a violation.
    pub(super) fn blame_often(&mut self, violation: Violation, count: u64) {
        if let Some(overlap) = violation.overlap.filter(|overlap| overlap.cause != Cause::Unexplained) {
            match self.inherent.iter_mut().find(|known| known.overlap == overlap) {
                Some(known) => known.count += count,
                None => self.inherent.push(Inherent { overlap, count, story: violation }),
            }
            return;
        }
        self.violations += count;
        if self.stories.len() < KEPT {
            self.stories.push(violation);
        }
    }

    pub(super) fn count(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }
}
