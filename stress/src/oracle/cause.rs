//! Why two owners may have met: the overlaps that no lock on these files could avoid, each by a rule that goes by the
//! history alone.
//!
//! An older peer closes its claim and then unlinks *the path*, and whoever creates a file there holds. So once a claim
//! is gone from its path, nothing tells an older peer of the hold. A hold is **void** once one of these may have happened
//! to it, and stays so to its end (the history does not say when a holder has put its claim back):
//!
//! | A hold is void | by the history |
//! |---|---|
//! | since its claim was deleted or replaced | a *strike* of delete-claim or replace-claim on its lock (truncate-claim leaves the file) stands within its reach; or stands before, and its *relieve* within the reach or later, or, where none follows, it was at most [`DEED`] earlier by the clock: the strike is written before the deed |
//! | since a stray unlink removed its claim | a stray release on its lock was not over before its reach began |
//!
//! | A release is stray | from when on |
//! |---|---|
//! | an older peer's, of a hold that was void | its *releasing* |
//! | anybody's, within which the lock's claim was deleted or replaced (or just before: the deed may come later): ours too looks first and unlinks then | the *strike* |
//! | an older peer's that lasts the grace by the clock: its closed claim may have been reclaimed | for holds whose *acquired* is a grace or more later than its *releasing* |
//!
//! The **reach** of a hold begins at the latest end of a hold of its lock, or at the last record of its holder before its
//! *acquired* if that is later: the hold cannot be older, and its claim may be older than its *acquired*. Nor can it be
//! older than its wait, by the clock: nothing counts that was over when that began, where a deletion is over at its
//! *relieve*, and never earlier than [`DEED`] after its *strike*.
//!
//! A release lasts from *releasing* to the next record of the same incarnation (an older peer's *released*) or to its
//! *exit*; as far as strays go, one of ours lasts to the next *acquired* of ours on the lock at most, since it unlinks before
//! it unlocks. The kind of a stray release is that of the void hold, or of the deletion, or, of one that lasts the grace,
//! its own; so chains keep the name of what began them, and each link of a chain is one unlink of a path by somebody who
//! had lost it.
//!
//! An overlap's cause is settled when the second hold begins: every cause precedes that, and so does its record.
//!
//! | Cause | Pair | Rule: the first that applies |
//! |---|---|---|
//! | `claim-and-state-deleted` | any | the first hold is ours and void, and the state directory was deleted (*strike* to *relieve* of delete-state) within its reach |
//! | `claim-deleted` | with an older peer | the first hold is void by a deletion; or the first is not void at all, and the second is, since before the first one's *acquired* by the clock |
//! | `older-peer-stopped-in-release` | with an older peer | the same, void by a release that lasted the grace |
//! | `unexplained` | any | otherwise |
//!
//! That the second hold counts too, where there is an older peer, is a matter of the order of records: *acquired* is
//! written after the claim is made, so the hold that was there first can be the second by its record. Between two of ours
//! it does not count: it would excuse a waiter that comes in by an arbiter which is gone.
//!
//! Not here: whether two holds overlap. That is the oracle's, and it goes by no clock.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::finding::Numbered;

/// How long after its *strike* a claim may be deleted or replaced, where no *relieve* says when that was done.
pub const DEED: Duration = Duration::from_millis(250);

/// Whose holds overlapped, in order of their *acquired* records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pair {
    /// Two holders of the lock under test.
    OursOurs,
    /// One of the lock under test, then an older peer.
    OursOlder,
    /// An older peer, then one of the lock under test.
    OlderOurs,
    /// Two older peers.
    OlderOlder,
}

/// Why two holds overlapped. See the tables at the top of this module's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// An older peer was stopped between close and unlink for longer than the grace.
    OlderPeerStoppedInRelease,
    /// The claim was deleted or replaced while older peers were about.
    ClaimDeleted,
    /// The claim and the state directory were deleted within one hold.
    ClaimAndStateDeleted,
    /// None that is known to be inherent: a violation.
    Unexplained,
}

/// Whose holds overlapped, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Overlap {
    /// Whose holds.
    pub pair: Pair,
    /// Why.
    pub cause: Cause,
}

impl Pair {
    /// The name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OursOurs => "ours-ours",
            Self::OursOlder => "ours-older",
            Self::OlderOurs => "older-ours",
            Self::OlderOlder => "older-older",
        }
    }
}

impl Cause {
    /// The name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OlderPeerStoppedInRelease => "older-peer-stopped-in-release",
            Self::ClaimDeleted => "claim-deleted",
            Self::ClaimAndStateDeleted => "claim-and-state-deleted",
            Self::Unexplained => "unexplained",
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.pair.name(), self.cause.name())
    }
}

/// Who uses the lock: this crate's or an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Older,
}

impl Side {
    pub(super) const fn is_older(self) -> bool {
        matches!(self, Self::Older)
    }
}

/// How a claim may have come off its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Deleted,
    LateRelease,
}

/// That a hold's claim may be gone, or that a release may unlink another's, and the record that says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Void {
    pub(super) loss: Loss,
    pub(super) proof: Numbered,
    /// No earlier, by the clock.
    pub(super) since_us: u64,
}

impl Void {
    pub(super) fn deleted(strike: Numbered) -> Self {
        Self { loss: Loss::Deleted, proof: strike, since_us: strike.record.at_us }
    }
}

/// What the causes know of a hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) side: Side,
    /// Its *acquired*, by the clock.
    pub(super) acquired_us: u64,
    pub(super) void: Option<Void>,
    /// The *strike* of a deletion of the state directory within its reach.
    pub(super) state_gone: Option<Numbered>,
}

impl Standing {
    /// Nothing of it may be left to see.
    fn exposed(&self) -> Option<Numbered> {
        if self.side.is_older() { None } else { self.void.and(self.state_gone) }
    }
}

/// Why these two overlapped, and the records that say so.
pub(super) fn overlap(first: &Standing, second: &Standing) -> (Overlap, Vec<Numbered>) {
    let pair = match (first.side, second.side) {
        (Side::Ours, Side::Ours) => Pair::OursOurs,
        (Side::Ours, Side::Older) => Pair::OursOlder,
        (Side::Older, Side::Ours) => Pair::OlderOurs,
        (Side::Older, Side::Older) => Pair::OlderOlder,
    };
    if let Some(state) = first.exposed() {
        let proofs = first.void.map(|void| void.proof).into_iter().chain([state]).collect();
        return (Overlap { pair, cause: Cause::ClaimAndStateDeleted }, proofs);
    }
    let was_first = || second.void.filter(|void| void.since_us <= first.acquired_us);
    match first.void.or_else(was_first).filter(|_| pair != Pair::OursOurs) {
        Some(Void { loss: Loss::Deleted, proof, .. }) => (Overlap { pair, cause: Cause::ClaimDeleted }, vec![proof]),
        Some(Void { loss: Loss::LateRelease, proof, .. }) => {
            (Overlap { pair, cause: Cause::OlderPeerStoppedInRelease }, vec![proof])
        }
        None => (Overlap { pair, cause: Cause::Unexplained }, Vec::new()),
    }
}
