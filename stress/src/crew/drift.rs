//! Whether workers grow while they live: descriptors, threads and memory, first and last sample of each life.

use std::collections::HashMap;

use serde::Serialize;

use crate::groups::protocol::Usage;

/// What the long lives of a run took. A life counts once it is older than two seconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Drift {
    /// Lives that were long enough.
    pub(crate) lives: u64,
    pub(crate) descriptors: Growth,
    pub(crate) threads: Growth,
    pub(crate) rss_kib: Growth,
    #[serde(skip)]
    open: HashMap<u32, (Usage, Usage)>,
}

/// One of these quantities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Growth {
    /// The largest value that was seen.
    pub(crate) largest: u64,
    /// The most that it grew within one life; below zero if it only fell.
    pub(crate) grown: i64,
    /// In so many seconds: the age of that life between its first and its last sample.
    pub(crate) over_s: u64,
}

/// A process that has just begun opens and allocates what it will keep.
const SETTLED_S: u64 = 2;

impl Drift {
    pub(crate) fn observe(&mut self, usage: Usage) {
        if usage.age_s < SETTLED_S {
            return;
        }
        self.open.entry(usage.incarnation).and_modify(|(_, last)| *last = usage).or_insert((usage, usage));
        for (growth, value) in [
            (&mut self.descriptors, usage.descriptors),
            (&mut self.threads, usage.threads),
            (&mut self.rss_kib, usage.rss_kib),
        ] {
            growth.largest = growth.largest.max(value);
        }
    }

    /// This life is over.
    pub(crate) fn end(&mut self, incarnation: u32) {
        let Some((first, last)) = self.open.remove(&incarnation) else { return };
        let over_s = last.age_s - first.age_s;
        let is_first = self.lives == 0;
        self.lives += 1;
        for (growth, from, to) in [
            (&mut self.descriptors, first.descriptors, last.descriptors),
            (&mut self.threads, first.threads, last.threads),
            (&mut self.rss_kib, first.rss_kib, last.rss_kib),
        ] {
            let grown = i64::try_from(to).unwrap_or(i64::MAX).saturating_sub_unsigned(from);
            if is_first || grown > growth.grown {
                (growth.grown, growth.over_s) = (grown, over_s);
            }
        }
    }

    /// All lives are over.
    pub(crate) fn finish(&mut self) {
        let left: Vec<u32> = self.open.keys().copied().collect();
        for incarnation in left {
            self.end(incarnation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(incarnation: u32, age_s: u64, descriptors: u64) -> Usage {
        Usage { worker: 0, incarnation, age_s, descriptors, threads: 4, rss_kib: 5000 - age_s }
    }

    #[test]
    fn growth_is_of_one_life_from_its_settled_start_to_its_end() {
        let mut drift = Drift::default();
        for (incarnation, age_s, descriptors) in
            [(1, 1, 3), (1, 2, 10), (2, 2, 11), (1, 3, 99), (1, 12, 13), (2, 5, 12), (3, 1, 500)]
        {
            drift.observe(usage(incarnation, age_s, descriptors));
        }
        drift.end(2);
        drift.finish();
        assert_eq!(drift.lives, 2, "the third was too short");
        assert_eq!(drift.descriptors, Growth { largest: 99, grown: 3, over_s: 10 });
        assert_eq!(drift.threads, Growth { largest: 4, grown: 0, over_s: drift.threads.over_s });
        assert!(drift.rss_kib.grown < 0, "{drift:?}");
    }
}
