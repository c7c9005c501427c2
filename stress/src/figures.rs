//! Numbers for people: how often, how fairly, how fast. They never decide a verdict.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::history::{Event, Record};
use crate::oracle::Succession;

/// Collects the figures of a run while its history is read.
#[derive(Debug)]
pub(crate) struct Figures {
    per_worker: Vec<u64>,
    wait: Histogram<u64>,
    hand_over: Histogram<u64>,
    takeover: Histogram<u64>,
}

/// An hour: longer waits count as this long.
const HIGHEST_US: u64 = 3_600_000_000;

/// A distribution in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Figures {
    pub(crate) fn new(workers: u16) -> Self {
        let histogram = || Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("the bounds are in order");
        Self { per_worker: vec![0; workers.into()], wait: histogram(), hand_over: histogram(), takeover: histogram() }
    }

    /// Takes a record and, if it is an acquisition, how that followed the hold before.
    pub(crate) fn observe(&mut self, record: &Record, succession: Option<Succession>) {
        if record.event != Event::Acquired {
            return;
        }
        if let Some(count) = self.per_worker.get_mut(usize::from(record.worker)) {
            *count += 1;
        }
        let waited_us = u64::try_from(record.detail).unwrap_or(0);
        self.wait.saturating_record(waited_us);
        // Only who was already waiting when the lock came free tells how long the hand-over took.
        if let Some(Succession { after_kill, ended_us }) = succession
            && record.at_us.saturating_sub(waited_us) < ended_us
        {
            let histogram = if after_kill { &mut self.takeover } else { &mut self.hand_over };
            histogram.saturating_record(record.at_us.saturating_sub(ended_us));
        }
    }

    pub(crate) fn longest_wait_us(&self) -> u64 {
        self.wait.max()
    }

    /// The wait for the lock, from asking to having.
    pub(crate) fn wait(&self) -> Spread {
        Spread::of(&self.wait)
    }

    /// From *releasing* to the next *acquired* of somebody who was waiting.
    pub(crate) fn hand_over(&self) -> Spread {
        Spread::of(&self.hand_over)
    }

    /// From *kill* to the next *acquired* of somebody who was waiting.
    pub(crate) fn takeover(&self) -> Spread {
        Spread::of(&self.takeover)
    }

    pub(crate) fn per_worker(&self) -> &[u64] {
        &self.per_worker
    }

    /// Jain's index of the acquisitions per worker: 1 when all have as many, 1/n when one has them all.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn fairness(&self) -> f64 {
        let counts = || self.per_worker.iter().map(|&count| count as f64);
        let squares: f64 = counts().map(|count| count * count).sum();
        if squares == 0.0 { 1.0 } else { counts().sum::<f64>().powi(2) / (squares * self.per_worker.len() as f64) }
    }
}

impl Spread {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self { count: histogram.len(), p50_us: at(0.5), p99_us: at(0.99), max_us: histogram.max() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquired(worker: u16, at_us: u64, detail: i32) -> Record {
        Record { event: Event::Acquired, worker, incarnation: 1, lock: 0, token: 0, at_us, detail }
    }

    #[test]
    fn only_a_waiter_measures_a_hand_over() {
        let mut figures = Figures::new(2);
        let released = |ended_us| Some(Succession { after_kill: false, ended_us });
        figures.observe(&acquired(0, 5_000_100, 5_000_000), released(5_000_090));
        figures.observe(&acquired(1, 6_000_000, 5), released(5_900_000));
        assert_eq!((figures.hand_over().count, figures.hand_over().max_us), (1, 10));
        assert_eq!(figures.wait().count, 2);
        assert!(figures.longest_wait_us() >= 5_000_000, "long waits are not cut off");
    }

    #[test]
    fn fairness_is_one_over_n_when_one_has_all() {
        let mut figures = Figures::new(4);
        assert!((figures.fairness() - 1.0).abs() < 1e-9);
        figures.observe(&acquired(2, 1, 1), None);
        assert!((figures.fairness() - 0.25).abs() < 1e-9);
    }
}
