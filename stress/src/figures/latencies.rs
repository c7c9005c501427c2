//! How long things took: four distributions in microseconds.
//!
//! | Latency | From | To | Of |
//! |---|---|---|---|
//! | acquire | asking | having | every acquisition |
//! | hand-over | *releasing* of the hold before | having | acquisitions whose worker was waiting by then |
//! | takeover | asking | having | acquisitions that followed a hold which a kill had ended |
//! | recovery | the *kill* of the hold before | having | those of them whose worker was waiting by then |
//!
//! The restriction to those who were waiting is what makes a hand-over or a recovery the lock's own time: a lock that
//! nobody wants stays free for as long as nobody wants it.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::history::Record;
use crate::oracle::Succession;

/// An hour: what took longer counts as this long.
const HIGHEST_US: u64 = 3_600_000_000;

/// The four distributions.
#[derive(Debug)]
pub(crate) struct Latencies {
    acquire: Histogram<u64>,
    hand_over: Histogram<u64>,
    takeover: Histogram<u64>,
    recovery: Histogram<u64>,
}

/// One of the distributions, with its name and its definition in words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency<'a> {
    pub(crate) name: &'static str,
    pub(crate) definition: &'static str,
    pub(crate) histogram: &'a Histogram<u64>,
}

/// A distribution in short, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

impl Latencies {
    pub(super) fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("the bounds are in order");
        Self { acquire: histogram(), hand_over: histogram(), takeover: histogram(), recovery: histogram() }
    }

    /// Takes an *acquired* record, and how it followed the hold before.
    pub(super) fn observe(&mut self, record: &Record, succession: Option<Succession>) {
        let waited_us = u64::try_from(record.detail).unwrap_or(0);
        self.acquire.saturating_record(waited_us);
        let Some(Succession { after_kill, ended_us }) = succession else { return };
        if after_kill {
            self.takeover.saturating_record(waited_us);
        }
        if record.at_us.saturating_sub(waited_us) < ended_us {
            let histogram = if after_kill { &mut self.recovery } else { &mut self.hand_over };
            histogram.saturating_record(record.at_us.saturating_sub(ended_us));
        }
    }

    /// All four, in the order of the table above.
    pub(crate) fn each(&self) -> [Latency<'_>; 4] {
        let latency = |name, definition, histogram| Latency { name, definition, histogram };
        [
            latency("acquire", "from asking for the lock to having it", &self.acquire),
            latency("hand-over", "from a release to the acquisition of a worker that was waiting", &self.hand_over),
            latency("takeover", "from asking to having, where the owner before had been killed", &self.takeover),
            latency(
                "recovery",
                "from the kill of an owner to the acquisition of a worker that was waiting",
                &self.recovery,
            ),
        ]
    }

    pub(crate) fn acquire(&self) -> Spread {
        Spread::of(&self.acquire)
    }

    pub(crate) fn hand_over(&self) -> Spread {
        Spread::of(&self.hand_over)
    }

    pub(crate) fn takeover(&self) -> Spread {
        Spread::of(&self.takeover)
    }

    pub(crate) fn recovery(&self) -> Spread {
        Spread::of(&self.recovery)
    }

    pub(crate) fn longest_wait_us(&self) -> u64 {
        self.acquire.max()
    }
}

impl Spread {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Event;

    fn acquired(at_us: u64, detail: i32) -> Record {
        Record { event: Event::Acquired, fault: None, worker: 0, incarnation: 1, lock: 0, token: 0, at_us, detail }
    }

    fn ended(ended_us: u64, after_kill: bool) -> Succession {
        Succession { after_kill, ended_us }
    }

    #[test]
    fn only_a_waiter_measures_a_hand_over() {
        let mut latencies = Latencies::new();
        latencies.observe(&acquired(5_000_100, 5_000_000), Some(ended(5_000_090, false)));
        latencies.observe(&acquired(6_000_000, 5), Some(ended(5_900_000, false)));
        assert_eq!((latencies.hand_over().count, latencies.hand_over().max_us), (1, 10));
        assert_eq!((latencies.acquire().count, latencies.takeover().count), (2, 0));
        assert!(latencies.longest_wait_us() >= 5_000_000, "long waits are not cut off");
    }

    #[test]
    fn a_takeover_is_timed_by_its_wait_and_a_recovery_from_the_kill() {
        let mut latencies = Latencies::new();
        latencies.observe(&acquired(1_000, 300), Some(ended(900, true)));
        latencies.observe(&acquired(9_000, 20), Some(ended(2_000, true)));
        assert_eq!((latencies.takeover().count, latencies.takeover().max_us), (2, 300));
        assert_eq!((latencies.recovery().count, latencies.recovery().max_us), (1, 100));
        assert_eq!(latencies.hand_over().count, 0);
    }
}
