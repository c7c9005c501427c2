//! Numbers for people: how often, how fairly, how fast, and when. They never decide a verdict.

use serde::Serialize;

use crate::history::{Event, Record};
use crate::oracle::{Findings, Succession};
use crate::timeline::Timeline;

mod latencies;

pub(crate) use latencies::{Latencies, Latency, Spread};

/// Collects the figures of a run while its history is read. Its memory is bounded, however long the run.
#[derive(Debug)]
pub(crate) struct Figures {
    per_worker: Vec<u64>,
    latencies: Latencies,
    timeline: Timeline,
}

/// How evenly the lock was shared out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Fairness {
    /// Jain's index of the acquisitions per worker: 1 when all have as many, 1/n when one has them all.
    pub(crate) jain: f64,
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Figures {
    pub(crate) fn new(workers: u16) -> Self {
        Self { per_worker: vec![0; workers.into()], latencies: Latencies::new(), timeline: Timeline::new(workers) }
    }

    /// Takes a record and, if it is an acquisition, how that followed the hold before; `findings` are those after it.
    pub(crate) fn observe(&mut self, record: &Record, succession: Option<Succession>, findings: &Findings) {
        self.timeline.observe(record, succession, findings);
        if record.event == Event::Acquired {
            if let Some(count) = self.per_worker.get_mut(usize::from(record.worker)) {
                *count += 1;
            }
            self.latencies.observe(record, succession);
        }
    }

    pub(crate) const fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    pub(crate) const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub(crate) fn per_worker(&self) -> &[u64] {
        &self.per_worker
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn fairness(&self) -> Fairness {
        let counts = || self.per_worker.iter().map(|&count| count as f64);
        let squares: f64 = counts().map(|count| count * count).sum();
        let jain =
            if squares == 0.0 { 1.0 } else { counts().sum::<f64>().powi(2) / (squares * self.per_worker.len() as f64) };
        let each = || self.per_worker.iter().copied();
        Fairness { jain, least: each().min().unwrap_or(0), most: each().max().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_one_over_n_when_one_has_all() {
        let mut figures = Figures::new(4);
        assert!((figures.fairness().jain - 1.0).abs() < 1e-9);
        let (incarnation, lock, token, at_us, detail) = (1, 0, 0, 1, 1);
        let acquired =
            Record { event: Event::Acquired, fault: None, worker: 2, incarnation, lock, token, at_us, detail };
        figures.observe(&acquired, None, &Findings::default());
        let fairness = figures.fairness();
        assert!((fairness.jain - 0.25).abs() < 1e-9);
        assert_eq!((fairness.least, fairness.most), (0, 1));
    }
}
