//! How a directory's counters came to where they are: samples of the last minutes, for the page's curves.
//!
//! Every look adds one, a scrape as well as a survey, so that the page has something to show before anybody looks at it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use session_lock::metrics::{Metrics, Value};

/// How far back samples are kept.
pub(crate) const SPAN: Duration = Duration::from_mins(15);

/// At least this far apart: with [`SPAN`], what bounds their number.
const SPACING: Duration = Duration::from_millis(900);

/// What a directory's processes had counted at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Acquires that got their lock, ever.
    pub acquired: u64,
    /// Acquires that found it taken, ever.
    pub contended: u64,
    /// Acquires that wait.
    pub waiting: u64,
}

impl Sample {
    /// What has been counted by `at`.
    #[must_use]
    pub fn of(metrics: &Metrics, at: Instant) -> Self {
        let sum = |name: &str, matters: &dyn Fn(&str) -> bool| {
            let families = metrics.families().filter(|(family, _)| family.name == name);
            let values = families.flat_map(|(family, values)| family.values.iter().zip(values));
            let numbers = values.filter(|(label, _)| matters(label)).map(|(_, value)| match value {
                Value::Number(number) => number,
                Value::Seconds(_) | Value::Histogram { .. } => 0,
            });
            numbers.fold(0, u64::saturating_add)
        };
        Self {
            at,
            acquired: sum("session_lock_acquire_total", &|outcome| matches!(outcome, "acquired" | "reentrant")),
            contended: sum("session_lock_contended_total", &|_| true),
            waiting: sum("session_lock_waiters", &|_| true),
        }
    }
}

/// The samples of one directory.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Sample>>);

impl History {
    pub(crate) fn note(&self, metrics: &Metrics, now: Instant) {
        self.keep(Sample::of(metrics, now));
    }

    fn keep(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.back().is_some_and(|last| sample.at.saturating_duration_since(last.at) < SPACING) {
            return;
        }
        samples.push_back(sample);
        while samples.front().is_some_and(|first| sample.at.saturating_duration_since(first.at) > SPAN) {
            samples.pop_front();
        }
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_bounded_in_number_and_age() {
        let (history, begin) = (History::default(), Instant::now());
        let sample =
            |millis| Sample { at: begin + Duration::from_millis(millis), acquired: 0, contended: 0, waiting: 0 };
        for millis in (0..3_600_000).step_by(100) {
            history.keep(sample(millis));
        }
        let samples = history.samples();
        let most = usize::try_from(SPAN.as_millis() / SPACING.as_millis()).expect("small") + 1;
        assert_eq!(samples.len(), most);
        assert!(samples.windows(2).all(|pair| pair[1].at - pair[0].at >= SPACING));
        assert!(samples[most - 1].at - samples[0].at <= SPAN);
    }
}
