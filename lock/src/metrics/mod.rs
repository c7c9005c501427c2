//! What happened in a directory, counted over all its processes, also those that are dead.
//!
//! Every process counts in a slot of its own in `.session-lock/metrics-v1`. A slot belongs to whoever holds a kernel
//! lock on it; when its process has died, the next one goes on from where it ended. So totals never fall, and there are
//! as many slots as processes ever ran at once. Reading them ([`crate::LockDir::metrics`]) disturbs nobody.
//!
//! | Module | What |
//! |---|---|
//! | `catalogue` | the metrics, their labels and buckets |
//! | `totals` | a process's numbers, counted from events |
//! | `slot`, `record`, `exemplar` | the bytes of a slot |
//! | `file` | the slots in their file |
//! | `recorder` | when a process writes |

mod catalogue;
mod exemplar;
mod file;
mod record;
mod recorder;
mod slot;
mod totals;

pub use catalogue::{BOUNDS, FAMILIES, Family, Kind};
pub use exemplar::Exemplar;
pub use record::Contention;
pub(crate) use recorder::{LATER, Recorder};

use crate::directory::Directory;
use crate::error::SystemError;
use exemplar::Exemplars;
use file::Slots;
use slot::{CONTENTIONS, Content, EXEMPLARS, SLOTS, WAITS};
use std::time::Duration;
use totals::Totals;

/// What the processes of a directory have counted, and what goes on in it now.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    totals: Totals,
    exemplars: Exemplars,
    /// How many slots there are, by state.
    pub slots: SlotStates,
    /// The last contentions of each slot that lasted a millisecond or more, the latest first.
    pub contentions: Vec<Contention>,
    /// The acquires of living processes that have waited for 10 ms or more, the longest first; at most 8 of each process.
    pub waits: Vec<Contention>,
}

/// How many slots there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotStates {
    /// A living process counts in it.
    pub living: usize,
    /// Its process has ended, and the next one goes on in it.
    pub inherited: usize,
    /// What it says cannot be read: it is not counted, and nobody takes it.
    pub damaged: usize,
    /// Another version of this crate counts in it.
    pub other_version: usize,
}

impl SlotStates {
    /// Whether a process that begins now finds no slot: then what it does is not counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let taken = self.living + self.damaged + self.other_version;
        self.inherited == 0 && u64::try_from(taken).is_ok_and(|taken| taken >= SLOTS)
    }
}

/// One series of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(u64),
    /// Of a metric in seconds.
    Seconds(Duration),
    /// Of a histogram.
    Histogram {
        /// How often the time was at most each of [`BOUNDS`], and then how often it was anything: cumulative.
        buckets: Vec<u64>,
        /// The sum of the times.
        sum: Duration,
        /// One observation of each bucket that belongs to a trace, if there is one.
        exemplars: Vec<Option<Exemplar>>,
    },
}

impl Metrics {
    /// Every metric, and its series in the order of its label's values.
    pub fn families(&self) -> impl Iterator<Item = (Family, Vec<Value>)> {
        FAMILIES
            .into_iter()
            .map(|family| (family, (0..family.values.len()).map(|nth| self.value(family, nth)).collect()))
    }

    /// The series of the metric with this name whose label has this value (empty without a label).
    #[must_use]
    pub fn get(&self, name: &str, value: &str) -> Option<Value> {
        let family = FAMILIES.into_iter().find(|family| family.name == name)?;
        let nth = family.values.iter().position(|known| *known == value)?;
        Some(self.value(family, nth))
    }

    fn value(&self, family: Family, series: usize) -> Value {
        let width = family.kind.cells();
        let cells = &self.totals.cells()[family.first + series * width..][..width];
        match family.kind {
            Kind::Counter | Kind::Gauge => Value::Number(cells[0]),
            Kind::Seconds => Value::Seconds(Duration::from_nanos(cells[0])),
            Kind::Histogram => {
                let (counts, sum) = cells.split_at(width - 1);
                let mut sofar = 0_u64;
                let buckets = counts.iter().map(|count| {
                    sofar = sofar.saturating_add(*count);
                    sofar
                });
                Value::Histogram {
                    buckets: buckets.collect(),
                    sum: Duration::from_nanos(sum[0]),
                    exemplars: self.exemplars.of(family.first + series * width),
                }
            }
        }
    }
}

/// Adds up what the slots of a directory say.
pub(crate) fn read(directory: &Directory) -> Result<Metrics, SystemError> {
    let path = || directory.state_path().join("metrics-v1");
    let failed =
        |errno: crate::sys::Errno| SystemError { operation: "read the counters in", path: path(), cause: errno.into() };
    let mut metrics = Metrics::default();
    let Some(slots) = Slots::open(directory).map_err(failed)? else { return Ok(metrics) };
    for slot in slots.used().map_err(failed)? {
        let slot = slot.map_err(failed)?;
        match &slot.content {
            Content::Totals { totals, .. } => metrics.totals.add_all(totals, slot.lives),
            // Just taken.
            Content::Fresh => {}
            Content::Other => metrics.slots.other_version += 1,
            Content::Damaged => metrics.slots.damaged += 1,
        }
        if matches!(slot.content, Content::Totals { .. } | Content::Fresh) {
            *(if slot.lives { &mut metrics.slots.living } else { &mut metrics.slots.inherited }) += 1;
            slot.read(EXEMPLARS, Exemplars::decode).iter().for_each(|exemplars| metrics.exemplars.merge(exemplars));
            metrics.contentions.extend(slot.read(CONTENTIONS, Contention::decode));
        }
        if slot.lives {
            metrics.waits.extend(slot.read(WAITS, Contention::decode));
        }
    }
    metrics.contentions.sort_by_key(|one| std::cmp::Reverse(one.since + one.waited.unwrap_or_default()));
    metrics.waits.sort_by_key(|one| one.since);
    Ok(metrics)
}

#[cfg(test)]
mod tests {
    use super::SlotStates;

    #[test]
    fn slots_are_full_when_a_new_process_finds_none() {
        let states =
            |living, inherited, damaged, other_version| SlotStates { living, inherited, damaged, other_version };
        for (states, is_full) in [
            (states(0, 0, 0, 0), false),
            (states(1000, 0, 20, 3), false),
            (states(1000, 0, 20, 4), true),
            (states(1000, 1, 20, 3), false),
            (states(0, 0, 1024, 0), true),
        ] {
            assert_eq!(states.is_full(), is_full, "{states:?}");
        }
    }
}
