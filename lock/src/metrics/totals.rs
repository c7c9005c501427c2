//! A process's totals: one number for each cell of the catalogue.

use super::catalogue::{
    ACQUIRE, BLOCKED, BUCKETS, CELLS, CLAIM_RESTORED, CONTENDED, FAMILIES, Family, HELD, HOLD, HOLD_EXCEEDED, Kind,
    LOST, Outcome, RECLAIM, RECLAIM_REFUSED, RELEASE, WAIT, WAITERS, bucket,
};
use crate::event::Event;
use crate::label::Label;
use std::time::Duration;

/// Counts, times in nanoseconds and gauges, cell by cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    cells: [u64; CELLS],
    /// From this one on all are zero.
    used: usize,
}

impl Default for Totals {
    fn default() -> Self {
        Self { cells: [0; CELLS], used: 0 }
    }
}

impl Totals {
    /// With these first cells.
    pub(super) fn of(first: impl Iterator<Item = u64>) -> Self {
        let mut totals = Self::default();
        for (cell, number) in totals.cells.iter_mut().zip(first) {
            *cell = number;
            totals.used += 1;
        }
        totals
    }

    pub(super) fn cells(&self) -> &[u64; CELLS] {
        &self.cells
    }

    /// The cells without those at the end that nothing has changed.
    pub(super) fn used(&self) -> &[u64] {
        &self.cells[..self.used]
    }

    /// Counts what happened.
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Contended { by, .. } => {
                self.add(CONTENDED, by.index(), 1);
                self.add(WAITERS, 0, 1);
            }
            Event::ReclaimRefused { why } => self.add(RECLAIM_REFUSED, why.index(), 1),
            Event::Reclaimed { reason, .. } => self.add(RECLAIM, reason.index(), 1),
            Event::Acquired { waited, blocked_by, .. } => {
                self.end_acquire(Outcome::Acquired, *waited, blocked_by.map(Label::index));
                self.add(HELD, 0, 1);
            }
            Event::Reentered { .. } => self.add(ACQUIRE, Outcome::Reentrant.index(), 1),
            Event::NotAcquired { outcome, waited, blocked_by } => {
                self.end_acquire(Outcome::Not(*outcome), *waited, blocked_by.map(Label::index));
            }
            Event::Released { outcome, held } => {
                self.add(RELEASE, outcome.index(), 1);
                self.observe(HOLD, 0, *held);
                self.subtract(HELD);
            }
            Event::ClaimRestored => self.add(CLAIM_RESTORED, 0, 1),
            Event::Lost { cause } => self.add(LOST, cause.index(), 1),
            Event::NotCounted { .. } => {}
            Event::HoldExceeded { action } => self.add(HOLD_EXCEEDED, action.index(), 1),
        }
    }

    fn end_acquire(&mut self, outcome: Outcome, waited: Duration, blocked_by: Option<usize>) {
        self.add(ACQUIRE, outcome.index(), 1);
        if let Some(series) = outcome.waited() {
            self.observe(WAIT, series, waited);
        }
        if let Some(by) = blocked_by {
            self.add(BLOCKED, by, nanoseconds(waited));
            self.subtract(WAITERS);
        }
    }

    /// Adds to a cell, counted from the first one of the metric.
    pub(super) fn add(&mut self, family: Family, nth: usize, number: u64) {
        let at = family.first + nth;
        self.cells[at] = self.cells[at].saturating_add(number);
        self.used = self.used.max(at + 1);
    }

    /// A gauge never falls below zero: what began before its slot was had is not in it.
    fn subtract(&mut self, gauge: Family) {
        let cell = &mut self.cells[gauge.first];
        *cell = cell.saturating_sub(1);
    }

    fn observe(&mut self, family: Family, series: usize, time: Duration) {
        let first = series * family.kind.cells();
        self.add(family, first + bucket(time), 1);
        self.add(family, first + BUCKETS, nanoseconds(time));
    }

    /// Adds what another process counted; its gauges only if it lives.
    pub(super) fn add_all(&mut self, other: &Self, lives: bool) {
        for family in FAMILIES.into_iter().filter(|family| lives || family.kind != Kind::Gauge) {
            let cells = &other.cells[family.first..][..family.kind.cells() * family.values.len()];
            for (nth, number) in cells.iter().enumerate().filter(|(_, number)| **number > 0) {
                self.add(family, nth, *number);
            }
        }
    }

    /// What a successor of a dead process goes on from.
    pub(super) fn inherit(&mut self, dead: &Self) {
        self.add_all(dead, false);
    }
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
