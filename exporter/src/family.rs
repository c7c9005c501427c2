//! Metric families: what a [`Source`](crate::Source) hands over and the encoders write.
//!
//! The types leave no way to a broken exposition: a name or label name that the formats do not allow is changed when it
//! is given (every byte that does not fit becomes `_`), a histogram's buckets are sorted and end at infinity, and an
//! exemplar's identifiers are numbers. Label values and help are any text; the encoders escape them.
//!
//! Not here: how a family is written (`encode`), and where the values come from.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A metric's name, its help, and its samples, all of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) samples: Samples,
}

/// The kind of a family, with its samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Samples {
    Counter(Vec<(Labels, f64)>),
    Gauge(Vec<(Labels, f64)>),
    Info(Vec<Labels>),
    Histogram(Vec<(Labels, Histogram)>),
}

/// Labels in the order of their names, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

/// One histogram: how many observations fell into each bucket, and their sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) sum: f64,
}

/// What lies above the next lower bucket's bound and not above this one's.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// The upper bound, included.
    pub upper: f64,
    /// Observations in this bucket alone; the encoders add up.
    pub count: u64,
    /// One of them that has a trace.
    pub exemplar: Option<Exemplar>,
}

/// An observation with the span in which it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The trace, as in W3C Trace Context.
    pub trace_id: u128,
    /// The span in it.
    pub span_id: u64,
    /// What was observed.
    pub value: f64,
    /// When, in seconds since 1970.
    pub at_seconds: Option<f64>,
}

impl Family {
    /// A counter: its values only grow. `name` is written with `_total` at its end, whether it is given so or not.
    #[must_use]
    pub fn counter(name: &str, help: &str) -> Self {
        Self::new(name.strip_suffix("_total").unwrap_or(name), help, Samples::Counter(Vec::new()))
    }

    /// A gauge: its values go up and down.
    #[must_use]
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, Samples::Gauge(Vec::new()))
    }

    /// Facts in labels; the value is always 1. `name` is written with `_info` at its end, whether it is given so or not.
    #[must_use]
    pub fn info(name: &str, help: &str) -> Self {
        Self::new(name.strip_suffix("_info").unwrap_or(name), help, Samples::Info(Vec::new()))
    }

    /// Histograms.
    #[must_use]
    pub fn histogram(name: &str, help: &str) -> Self {
        Self::new(name, help, Samples::Histogram(Vec::new()))
    }

    fn new(name: &str, help: &str, samples: Samples) -> Self {
        Self { name: allowed_name(name, true), help: help.to_owned(), samples }
    }

    /// Adds a value; labels have to differ from those of the other values. What a counter cannot be (negative, not a
    /// number) becomes 0; an info has no value and takes only the labels; a histogram takes none and stays as it is.
    #[must_use]
    pub fn value(mut self, labels: Labels, value: f64) -> Self {
        match &mut self.samples {
            Samples::Counter(samples) => samples.push((labels, value.max(0.0))),
            Samples::Gauge(samples) => samples.push((labels, value)),
            Samples::Info(samples) => samples.push(labels),
            Samples::Histogram(_) => {}
        }
        self
    }

    /// Adds a histogram; a family of another kind stays as it is.
    #[must_use]
    pub fn observations(mut self, mut labels: Labels, histogram: Histogram) -> Self {
        if let Samples::Histogram(samples) = &mut self.samples {
            // The bucket's own label.
            labels.0.remove("le");
            samples.push((labels, histogram));
        }
        self
    }

    /// The name of its samples: with the ending of the kind, without a histogram's.
    #[must_use]
    pub fn name(&self) -> String {
        match self.samples {
            Samples::Counter(_) => format!("{}_total", self.name),
            Samples::Info(_) => format!("{}_info", self.name),
            Samples::Gauge(_) | Samples::Histogram(_) => self.name.clone(),
        }
    }

    /// The unit that the name ends with, if it is one of the base units used here.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        let unit = ["seconds", "bytes"]
            .into_iter()
            .find(|unit| self.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))?;
        (!matches!(self.samples, Samples::Info(_))).then_some(unit)
    }

    /// Sets a label of every sample.
    #[must_use]
    pub(crate) fn label(mut self, name: &str, value: &str) -> Self {
        let labels: Vec<&mut Labels> = match &mut self.samples {
            Samples::Counter(samples) | Samples::Gauge(samples) => samples.iter_mut().map(|(l, _)| l).collect(),
            Samples::Info(samples) => samples.iter_mut().collect(),
            Samples::Histogram(samples) => samples.iter_mut().map(|(l, _)| l).collect(),
        };
        for labels in labels {
            labels.insert(name, value);
        }
        self
    }

    /// Takes over the samples of another family of this name; gives it back if it is of another kind.
    fn absorb(&mut self, other: Self) -> Result<(), Self> {
        match (&mut self.samples, other.samples) {
            (Samples::Counter(ours), Samples::Counter(theirs)) | (Samples::Gauge(ours), Samples::Gauge(theirs)) => {
                ours.extend(theirs);
            }
            (Samples::Info(ours), Samples::Info(theirs)) => ours.extend(theirs),
            (Samples::Histogram(ours), Samples::Histogram(theirs)) => ours.extend(theirs),
            (_, samples) => return Err(Self { samples, ..other }),
        }
        Ok(())
    }
}

impl Labels {
    /// No labels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more label, or another value for one that is there.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.insert(name, value);
        self
    }

    fn insert(&mut self, name: &str, value: &str) {
        self.0.insert(allowed_name(name, false), value.to_owned());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Histogram {
    /// A histogram of these buckets. They are brought into order, those with one bound are added up, and one up to
    /// infinity is added where there is none; one whose bound is no number is left out. `sum` is that of all observations.
    #[must_use]
    pub fn new(mut buckets: Vec<Bucket>, sum: f64) -> Self {
        buckets.retain(|bucket| !bucket.upper.is_nan());
        buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
        buckets.dedup_by(|later, kept| {
            #[expect(clippy::float_cmp, reason = "the same bound is written the same way")]
            let same = later.upper == kept.upper;
            if same {
                kept.count = kept.count.saturating_add(later.count);
                kept.exemplar = kept.exemplar.take().or_else(|| later.exemplar.take());
            }
            same
        });
        if buckets.last().is_none_or(|last| last.upper.is_finite()) {
            buckets.push(Bucket { upper: f64::INFINITY, count: 0, exemplar: None });
        }
        Self { buckets, sum }
    }
}

/// Families by name. Those of one name become one, because a format has each name once; the first says help and kind.
#[derive(Debug, Default)]
pub(crate) struct Families(BTreeMap<String, Family>);

impl Families {
    /// Adds a family; gives back one whose name is taken by a family of another kind.
    pub(crate) fn add(&mut self, family: Family) -> Result<(), Family> {
        match self.0.entry(family.name.clone()) {
            Entry::Vacant(place) => {
                place.insert(family);
                Ok(())
            }
            Entry::Occupied(mut there) => there.get_mut().absorb(family),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Family> {
        self.0.values()
    }
}

/// `name` with `_` for everything that the text formats do not allow in it. Colons only in a metric's name.
fn allowed_name(name: &str, colons: bool) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
    let mut allowed: String = name.bytes().map(|byte| if fits(byte) { byte as char } else { '_' }).collect();
    if allowed.bytes().next().is_none_or(|first| first.is_ascii_digit()) {
        allowed.insert(0, '_');
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_formats() {
        for (given, allowed) in [("", "_"), ("9lives", "_9lives"), ("a b\"\n\\ä", "a_b_____"), ("a:b", "a:b")] {
            assert_eq!(Family::gauge(given, "").name(), allowed);
        }
        let labels = Labels::new().with("a:b", "1").with("a_b", "2");
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a_b", "2")]);
    }

    #[test]
    fn the_kind_ends_the_name() {
        assert_eq!(Family::counter("x_total", "").name(), "x_total");
        assert_eq!(Family::counter("x", "").name(), "x_total");
        assert_eq!(Family::info("build_info", "").name(), "build_info");
        assert_eq!(Family::counter("x_seconds_total", "").unit(), Some("seconds"));
        assert_eq!(Family::gauge("x_milliseconds", "").unit(), None);
    }

    #[test]
    fn buckets_are_in_order_and_end_at_infinity() {
        let bucket = |upper, count| Bucket { upper, count, exemplar: None };
        let histogram = Histogram::new(vec![bucket(2.0, 1), bucket(f64::NAN, 9), bucket(1.0, 2), bucket(2.0, 4)], 0.0);
        assert_eq!(histogram.buckets, [bucket(1.0, 2), bucket(2.0, 5), bucket(f64::INFINITY, 0)]);
    }

    #[test]
    fn families_of_one_name_become_one() {
        let mut families = Families::default();
        let one = |directory| Family::gauge("x", "help").value(Labels::new(), 1.0).label("directory", directory);
        assert!(families.add(one("a")).is_ok() && families.add(one("b")).is_ok());
        assert!(families.add(Family::counter("x", "")).is_err(), "a name has one kind");
        let Samples::Gauge(samples) = &families.iter().next().expect("one family").samples else { panic!("a gauge") };
        assert_eq!(samples.len(), 2);
    }
}
