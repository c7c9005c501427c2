//! What happened when, for the pictures of the report: the whole run in a fixed number of intervals, and one stretch of it
//! record by record.
//!
//! The memory is bounded, however long the run: the intervals double their width when the run outgrows them
//! (`intervals`), and of the records the last [`KEPT`] are at hand (`lanes`). [`AFTERMATH`] records after the first
//! violation the stretch is frozen, so that the violation and what surrounds it stay.

use serde::Serialize;

use crate::history::{Event, Record};
use crate::oracle::{Findings, Numbered, Succession};

mod intervals;
mod lanes;

use intervals::{Count, Intervals};
use lanes::{Lanes, Stretch};

/// So many records are drawn one by one.
const KEPT: usize = 20_000;
/// So many of them may follow the first violation.
const AFTERMATH: u64 = 2_000;
/// A record whose clock says that it is this much later than the first one is not believed.
const CREDIBLE_US: u64 = 30 * 24 * 3600 * 1_000_000;

/// Collects what the pictures show while the history is read.
#[derive(Debug)]
pub(crate) struct Timeline {
    began_us: Option<u64>,
    intervals: Intervals,
    lanes: Lanes,
    violations: u64,
}

/// All that the pictures show. Times are microseconds since the run's first record.
#[derive(Debug, Serialize)]
pub(crate) struct Pictures<'a> {
    intervals: &'a Intervals,
    stretch: Stretch,
}

impl Timeline {
    pub(crate) fn new(workers: u16) -> Self {
        Self { began_us: None, intervals: Intervals::new(), lanes: Lanes::new(workers), violations: 0 }
    }

    /// Takes the record that the oracle has just judged, and what it has found by now.
    pub(crate) fn observe(&mut self, record: &Record, succession: Option<Succession>, findings: &Findings) {
        let number = findings.records.saturating_sub(1);
        let began_us = *self.began_us.get_or_insert(record.at_us);
        let at_us = record.at_us.saturating_sub(began_us);
        if at_us > CREDIBLE_US {
            return;
        }
        let counted = match record.event {
            Event::Acquired => Some(Count::Acquired),
            Event::Kill => Some(Count::Kills),
            Event::Stop => Some(Count::Stops),
            Event::Strike | Event::Forked | Event::Exec => Some(Count::Strikes),
            Event::Timeout | Event::Error | Event::Lost => Some(Count::Failures),
            _ => None,
        };
        if let Some(count) = counted {
            self.intervals.add(at_us, count, 1);
        }
        if succession.is_some_and(|succession| succession.after_kill) {
            self.intervals.add(at_us, Count::Takeovers, 1);
        }
        let fresh = findings.violations.saturating_sub(self.violations);
        if fresh > 0 {
            self.intervals.add(at_us, Count::Violations, fresh);
            if self.violations == 0 {
                self.lanes.freeze_after(number.saturating_add(AFTERMATH));
            }
            self.violations = findings.violations;
        }
        self.lanes.observe(Numbered { number, record: Record { at_us, ..*record } });
    }

    /// What there is to draw. `findings` are the final ones: their stories are in it, however early they began.
    pub(crate) fn pictures(&self, findings: &Findings) -> Pictures<'_> {
        let since_began = |began: Numbered| {
            let at_us = began.record.at_us.saturating_sub(self.began_us.unwrap_or(0));
            Numbered { record: Record { at_us, ..began.record }, ..began }
        };
        let told = findings.stories.first().into_iter().flat_map(|story| &story.holds);
        Pictures {
            intervals: &self.intervals,
            stretch: self.lanes.stretch(told.map(|hold| since_began(hold.began)).collect()),
        }
    }

    /// When the run's first record was written, by the clock of the records.
    pub(crate) fn began_us(&self) -> u64 {
        self.began_us.unwrap_or(0)
    }
}
