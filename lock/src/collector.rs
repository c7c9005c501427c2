//! The metrics of a directory in a registry of the crate `prometheus`, for programs that have one.
//!
//! Not here: what is counted (`metrics`), and the exporter for programs that have no registry.

use crate::dir::LockDir;
use crate::metrics::{BOUNDS, FAMILIES, Kind, SlotStates, Value};
use prometheus::core::{self, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::HashMap;

const SLOTS: (&str, &str) =
    ("session_lock_slots", "Slots of counters in the directory, by the state of their process.");
const UP: (&str, &str) = ("session_lock_up", "Whether the counters of the directory could be read.");

/// Gives [`LockDir::metrics`] to a registry of the crate `prometheus`, read anew at each gathering: what all processes of the
/// directory have counted, not only this one.
///
/// Names, labels and buckets are those of `session-lock-exporter`: every series has the label `directory`. One collector for
/// each directory and registry; `prometheus` counts a second one with the same name as `AlreadyReg`. A directory that the
/// exporter serves as well is counted twice where both are scraped.
///
/// `session_lock_up` is 1. Where the counters cannot be read it is 0, and the directory's other metrics are missing in that
/// gathering, which neither fails nor panics; [`LockDir::metrics`] says why. Times are in seconds. Exemplars are not passed
/// on: the text format has none.
///
/// A gathering reads a file, on the thread that gathers, and takes no lock: nobody waits for it, and a process that is
/// killed meanwhile leaves nothing. In a forked child it goes on to read the directory that its parent had opened.
///
/// ```
/// use prometheus::{Encoder, Registry, TextEncoder};
/// use session_lock::{Collector, LockDir};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sessions = tempfile::tempdir()?;
/// let locks = LockDir::open(&sessions)?;
/// let registry = Registry::new();
/// registry.register(Box::new(Collector::new("sessions", &locks)))?;
///
/// locks.lock("42.jsonl").blocking()?.release()?;
/// let mut page = Vec::new();
/// TextEncoder::new().encode(&registry.gather(), &mut page)?;
/// let acquired = r#"session_lock_acquire_total{directory="sessions",outcome="acquired"} 1"#;
/// assert!(String::from_utf8(page)?.contains(acquired));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Collector {
    locks: LockDir,
    directory: LabelPair,
    descriptions: Vec<Desc>,
}

impl Collector {
    /// A collector of this directory's metrics. `directory` is the value of their label `directory`: any text, but a path
    /// says to everybody who reads metrics where things are.
    #[must_use]
    pub fn new(directory: &str, locks: &LockDir) -> Self {
        let all = FAMILIES.iter().map(|family| (family.name, family.help, family.label));
        let described = all.chain([(SLOTS.0, SLOTS.1, Some("state")), (UP.0, UP.1, None)]);
        let descriptions = described.map(|(name, help, label)| description(name, help, label, directory)).collect();
        Self { locks: locks.clone(), directory: pair("directory", directory), descriptions }
    }

    fn labels(&self, label: Option<&str>, value: &str) -> Vec<LabelPair> {
        // In the order of their names, as the registry has those of its own metrics.
        let mut labels: Vec<_> =
            label.map(|label| pair(label, value)).into_iter().chain([self.directory.clone()]).collect();
        labels.sort_by(|a, b| a.name().cmp(b.name()));
        labels
    }

    fn gauges<'a>(
        &self,
        (name, help): (&str, &str),
        label: Option<&str>,
        numbers: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> MetricFamily {
        let metrics =
            numbers.into_iter().map(|(value, number)| gauge(Metric::from_label(self.labels(label, value)), number));
        family(name, help, MetricType::GAUGE, metrics.collect())
    }
}

impl core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(metrics) = self.locks.metrics() else { return vec![self.gauges(UP, None, [("", 0)])] };
        let families = metrics.families().map(|(counted, values)| {
            let kind = match counted.kind {
                Kind::Counter | Kind::Seconds => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            };
            let series = counted.values.iter().zip(values).map(|(value, counted_value)| {
                let metric = Metric::from_label(self.labels(counted.label, value));
                match (counted_value, counted.kind) {
                    (Value::Number(number), Kind::Gauge) => gauge(metric, number),
                    (Value::Number(number), _) => counter(metric, float(number)),
                    (Value::Seconds(time), _) => counter(metric, time.as_secs_f64()),
                    (Value::Histogram { buckets, sum, .. }, _) => histogram(metric, &buckets, sum.as_secs_f64()),
                }
            });
            family(counted.name, counted.help, kind, series.collect())
        });
        let slots = self.gauges(SLOTS, Some("state"), by_state(metrics.slots));
        families.chain([slots, self.gauges(UP, None, [("", 1)])]).collect()
    }
}

fn description(name: &str, help: &str, label: Option<&str>, directory: &str) -> Desc {
    let labels = label.into_iter().map(str::to_owned).collect();
    let constant = HashMap::from([("directory".to_owned(), directory.to_owned())]);
    Desc::new(name.to_owned(), help.to_owned(), labels, constant)
        .expect("the catalogue's names fit the format, and none of its labels is `directory`")
}

fn by_state(slots: SlotStates) -> [(&'static str, u64); 4] {
    let SlotStates { living, inherited, damaged, other_version } = slots;
    [("living", living), ("inherited", inherited), ("damaged", damaged), ("other_version", other_version)]
        .map(|(state, count)| (state, u64::try_from(count).unwrap_or(u64::MAX)))
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn gauge(mut metric: Metric, number: u64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(float(number));
    metric.set_gauge(gauge);
    metric
}

fn counter(mut metric: Metric, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    metric.set_counter(counter);
    metric
}

/// The last of the buckets is the one without a bound, which is the count.
fn histogram(mut metric: Metric, cumulative: &[u64], sum: f64) -> Metric {
    let buckets = BOUNDS.iter().zip(cumulative).map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(*count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(cumulative.last().copied().unwrap_or_default());
    histogram.set_sample_sum(sum);
    metric.set_histogram(histogram);
    metric
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are doubles")]
fn float(number: u64) -> f64 {
    number as f64
}
