//! What the oracle knows of one incarnation of a worker, from its first record to its *exit*.

use super::cause::{Cause, Overlap};
use super::finding::{Numbered, Violation};
use super::surroundings::Span;

/// Where somebody or something was last met.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) place: u64,
    pub(super) at_us: u64,
}

impl Seen {
    pub(super) fn of(record: Numbered) -> Self {
        Self { place: record.number, at_us: record.record.at_us }
    }
}

/// An incarnation.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) stage: Stage,
    pub(super) killed: bool,
    /// The lock it is inside of, whether or not the hold counts.
    pub(super) inside: Option<u16>,
    /// The lock that it lets go of.
    pub(super) releasing: Option<u16>,
    /// The last record that it wrote itself.
    pub(super) seen: Seen,
    /// Its beginning is missing from the history, and it has not acquired since.
    pub(super) unknown: bool,
    pub(super) no_descriptors: Span,
    /// Since when it stands still, by the clock.
    pub(super) stopped_us: Option<u64>,
    pub(super) suspected: Vec<Suspicion>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Unstarted,
    Started,
    /// It executes another program in its place.
    Executing,
    Done,
}

/// Two owners, if the first one, whose life this is, shows that it was alive when the second one came.
#[derive(Debug)]
pub(super) struct Suspicion {
    pub(super) violation: Violation,
    /// How many there are of this pair and cause.
    pub(super) count: u64,
    /// The first one had been killed by then, so its end clears it.
    pub(super) cleared_by_exit: bool,
}

impl Suspicion {
    /// Whether it is of an overlap that no lock could avoid.
    pub(super) fn is_inherent(&self) -> bool {
        self.violation.overlap.is_some_and(|overlap| overlap.cause != Cause::Unexplained)
    }
}

impl Life {
    /// The suspicion of the same pair and cause that there is already: it is told once, which bounds the memory.
    pub(super) fn suspicion(&mut self, overlap: Overlap, cleared_by_exit: bool) -> Option<&mut Suspicion> {
        self.suspected
            .iter_mut()
            .find(|known| known.violation.overlap == Some(overlap) && known.cleared_by_exit == cleared_by_exit)
    }
}
