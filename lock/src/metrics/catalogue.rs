//! The catalogue: every metric of the lock, and in which cells of a process's totals its values lie.
//!
//! Names, label values and bucket bounds are part of the layout: a slot says which layout it has, and a process counts on only
//! in slots of its own.

use crate::event::{HoldExceeded, NotAcquired, ReleaseOutcome};
use crate::holder::HolderKind;
use crate::label::Label;
use crate::protocol::{LossCause, Refusal};
use crate::verdict::Reason;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::sync::OnceLock;
use std::time::Duration;

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, with the suffix `_total` of a counter.
    pub name: &'static str,
    /// What it counts, for people.
    pub help: &'static str,
    /// How its values are to be read.
    pub kind: Kind,
    /// The label that tells its series apart.
    pub label: Option<&'static str>,
    /// The values of the label, one series for each; one empty text if there is no label.
    pub values: &'static [&'static str],
    /// The first cell of the first series.
    pub(super) first: usize,
}

/// How the values of a metric are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A time in seconds that only grows.
    Seconds,
    /// How often a time fell into each bucket, and the sum of the times in seconds.
    Histogram,
    /// A number of now; what dead processes left does not count.
    Gauge,
}

impl Kind {
    pub(super) const fn cells(self) -> usize {
        match self {
            Self::Counter | Self::Seconds | Self::Gauge => 1,
            Self::Histogram => BUCKETS + 1,
        }
    }
}

/// The upper bounds of all histograms' buckets in seconds; one more bucket has no bound.
pub const BOUNDS: [f64; 18] = [
    0.000_01, 0.000_1, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
];
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

/// The bucket that a time falls into.
pub(super) fn bucket(time: Duration) -> usize {
    let seconds = time.as_secs_f64();
    BOUNDS.partition_point(|bound| *bound < seconds)
}

/// How an acquire ended, over [`crate::event::Event::Acquired`], `Reentered` and `NotAcquired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Acquired,
    Reentrant,
    Not(NotAcquired),
}

impl Label for Outcome {
    const VALUES: &'static [&'static str] = &["acquired", "reentrant", "busy", "timeout", "cancelled", "error"];

    fn index(self) -> usize {
        match self {
            Self::Acquired => 0,
            Self::Reentrant => 1,
            Self::Not(NotAcquired::Busy) => 2,
            Self::Not(NotAcquired::Timeout) => 3,
            Self::Not(NotAcquired::Cancelled) => 4,
            Self::Not(NotAcquired::Error) => 5,
        }
    }
}

impl Outcome {
    /// The series of [`WAIT`] that it belongs to.
    pub(super) const fn waited(self) -> Option<usize> {
        match self {
            Self::Acquired => Some(0),
            Self::Not(NotAcquired::Timeout) => Some(1),
            Self::Not(NotAcquired::Cancelled) => Some(2),
            Self::Not(NotAcquired::Error) => Some(3),
            Self::Reentrant | Self::Not(NotAcquired::Busy) => None,
        }
    }
}

/// The metrics, in the order of their cells: those first that every hold changes, because a slot ends with the last cell that
/// anything has changed.
pub const FAMILIES: [Family; 13] = families();
pub(super) const ACQUIRE: Family = FAMILIES[0];
pub(super) const WAIT: Family = FAMILIES[5];
pub(super) const HOLD: Family = FAMILIES[4];
pub(super) const CONTENDED: Family = FAMILIES[6];
pub(super) const BLOCKED: Family = FAMILIES[7];
pub(super) const RECLAIM: Family = FAMILIES[8];
pub(super) const RECLAIM_REFUSED: Family = FAMILIES[9];
pub(super) const RELEASE: Family = FAMILIES[1];
pub(super) const CLAIM_RESTORED: Family = FAMILIES[10];
pub(super) const LOST: Family = FAMILIES[11];
pub(super) const HOLD_EXCEEDED: Family = FAMILIES[12];
pub(super) const HELD: Family = FAMILIES[2];
pub(super) const WAITERS: Family = FAMILIES[3];

/// How many cells all metrics have.
pub(super) const CELLS: usize = HOLD_EXCEEDED.first + HOLD_EXCEEDED.kind.cells() * HOLD_EXCEEDED.values.len();

/// The outcomes of acquires that may have waited.
const WAITED: &[&str] = &["acquired", "timeout", "cancelled", "error"];
const UNLABELLED: &[&str] = &[""];

const fn family(
    name: &'static str,
    kind: Kind,
    label: Option<&'static str>,
    values: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family { name, help, kind, label, values, first: 0 }
}

const fn families() -> [Family; 13] {
    use Kind::{Counter, Gauge, Histogram, Seconds};
    let mut families = [
        family(
            "session_lock_acquire_total",
            Counter,
            Some("outcome"),
            Outcome::VALUES,
            "Acquires that have ended, by outcome; busy is a try that found the lock taken.",
        ),
        family(
            "session_lock_release_total",
            Counter,
            Some("outcome"),
            ReleaseOutcome::VALUES,
            "Holds that have ended.",
        ),
        family("session_lock_held", Gauge, None, UNLABELLED, "Locks that are held by living processes."),
        family("session_lock_waiters", Gauge, None, UNLABELLED, "Acquires of living processes that wait."),
        family("session_lock_hold_seconds", Histogram, None, UNLABELLED, "Time from acquire to release."),
        family(
            "session_lock_wait_seconds",
            Histogram,
            Some("outcome"),
            WAITED,
            "Time from the call of an acquire to its end; a try does not wait.",
        ),
        family(
            "session_lock_contended_total",
            Counter,
            Some("by"),
            HolderKind::VALUES,
            "Acquires that found the lock taken, by the kind of holder in the way.",
        ),
        family(
            "session_lock_blocked_seconds_total",
            Seconds,
            Some("by"),
            HolderKind::VALUES,
            "Time that acquires waited, charged to the kind of holder that they found in the way.",
        ),
        family(
            "session_lock_reclaim_total",
            Counter,
            Some("reason"),
            Reason::VALUES,
            "Claims of dead owners that were taken over, by what had become of the owner.",
        ),
        family(
            "session_lock_reclaim_refused_total",
            Counter,
            Some("why"),
            Refusal::VALUES,
            "Claims that could not be taken over yet when an acquire met them.",
        ),
        family(
            "session_lock_claim_restored_total",
            Counter,
            Some("cause"),
            &["deleted"],
            "Claims of living holders that were put back after somebody had deleted them.",
        ),
        family(
            "session_lock_lost_total",
            Counter,
            Some("cause"),
            LossCause::VALUES,
            "Claims of living holders that were lost to somebody who does not respect them.",
        ),
        family(
            "session_lock_hold_exceeded_total",
            Counter,
            Some("action"),
            HoldExceeded::VALUES,
            "Holds that lasted longer than their maximum, by what was done about it.",
        ),
    ];
    let (mut first, mut nth) = (0, 0);
    while nth < families.len() {
        families[nth].first = first;
        first += families[nth].kind.cells() * families[nth].values.len();
        nth += 1;
    }
    families
}

/// Names this layout.
pub(super) fn layout() -> u64 {
    static LAYOUT: OnceLock<u64> = OnceLock::new();
    *LAYOUT.get_or_init(|| {
        let mut hasher = SipHasher24::new_with_keys(0, 0);
        for family in FAMILIES {
            let Family { name, kind, label, values, first, .. } = family;
            hasher.write(format!("{name}|{kind:?}|{label:?}|{values:?}|{first}\n").as_bytes());
        }
        hasher.write(format!("{BOUNDS:?}").as_bytes());
        // 0 is what a slot says that nobody has used.
        hasher.finish() | 1
    })
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS, CELLS, FAMILIES, Outcome, WAIT};
    use crate::event::NotAcquired;
    use crate::label::Label;
    use std::collections::BTreeSet;

    #[test]
    fn families_lie_side_by_side_and_have_names_of_their_own() {
        let mut next = 0;
        for family in FAMILIES {
            assert_eq!(family.first, next, "{}", family.name);
            next += family.kind.cells() * family.values.len();
            assert_eq!(family.values.iter().collect::<BTreeSet<_>>().len(), family.values.len(), "{}", family.name);
            assert_eq!(family.label.is_none(), family.values == [""], "{}", family.name);
        }
        assert_eq!(next, CELLS);
        assert_eq!(FAMILIES.map(|family| family.name).iter().collect::<BTreeSet<_>>().len(), FAMILIES.len());
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn waits_are_series_of_their_outcomes() {
        let outcomes = [NotAcquired::Busy, NotAcquired::Timeout, NotAcquired::Cancelled, NotAcquired::Error];
        let outcomes = outcomes.map(Outcome::Not).into_iter().chain([Outcome::Acquired, Outcome::Reentrant]);
        let mut series = 0;
        for outcome in outcomes {
            if let Some(waited) = outcome.waited() {
                assert_eq!(WAIT.values[waited], outcome.name());
                series += 1;
            }
        }
        assert_eq!(series, WAIT.values.len());
    }
}
