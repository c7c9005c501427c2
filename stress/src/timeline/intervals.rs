//! The whole run in at most [`MOST`] intervals of equal width. When the run outgrows them, neighbours are added up and the
//! width doubles.

use serde::Serialize;

/// So many intervals at most.
const MOST: usize = 240;
/// The width to begin with: a run of 24 s fills the intervals.
const NARROWEST_US: u64 = 100_000;

/// What is counted in each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Acquired,
    Takeovers,
    Kills,
    Stops,
    /// Faults done to the directory, to the machine or to a worker, other than kills and stops.
    Strikes,
    /// Timeouts, errors and lost claims.
    Failures,
    Violations,
}

/// Counts over time.
#[derive(Debug, Serialize)]
pub(super) struct Intervals {
    width_us: u64,
    acquired: Vec<u64>,
    takeovers: Vec<u64>,
    kills: Vec<u64>,
    stops: Vec<u64>,
    strikes: Vec<u64>,
    failures: Vec<u64>,
    violations: Vec<u64>,
}

impl Intervals {
    pub(super) fn new() -> Self {
        let none = Vec::new;
        Self {
            width_us: NARROWEST_US,
            acquired: none(),
            takeovers: none(),
            kills: none(),
            stops: none(),
            strikes: none(),
            failures: none(),
            violations: none(),
        }
    }

    /// Counts what happened so long after the run began.
    pub(super) fn add(&mut self, at_us: u64, count: Count, by: u64) {
        while at_us / self.width_us >= MOST as u64 {
            self.widen();
        }
        let index = usize::try_from(at_us / self.width_us).unwrap_or(MOST - 1);
        if self.acquired.len() <= index {
            for counts in self.each() {
                counts.resize(index + 1, 0);
            }
        }
        let [acquired, takeovers, kills, stops, strikes, failures, violations] = self.each();
        let counts = match count {
            Count::Acquired => acquired,
            Count::Takeovers => takeovers,
            Count::Kills => kills,
            Count::Stops => stops,
            Count::Strikes => strikes,
            Count::Failures => failures,
            Count::Violations => violations,
        };
        counts[index] += by;
    }

    fn widen(&mut self) {
        self.width_us *= 2;
        for counts in self.each() {
            *counts = counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
    }

    fn each(&mut self) -> [&mut Vec<u64>; 7] {
        let Self { width_us: _, acquired, takeovers, kills, stops, strikes, failures, violations } = self;
        [acquired, takeovers, kills, stops, strikes, failures, violations]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_hours_fit_and_nothing_is_lost() {
        let mut intervals = Intervals::new();
        let minutes = 8 * 60;
        for minute in 0..minutes {
            intervals.add(minute * 60_000_000, Count::Acquired, 3);
        }
        intervals.add(5, Count::Kills, 1);
        assert!(intervals.acquired.len() <= MOST);
        assert!(intervals.acquired.len() > MOST / 4, "the width doubles no more than it must");
        assert_eq!(intervals.acquired.iter().sum::<u64>(), 3 * minutes);
        assert_eq!(intervals.kills.len(), intervals.acquired.len());
        assert_eq!(intervals.kills[0], 1);
    }
}
