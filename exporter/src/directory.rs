//! A directory of session locks, as a [`Source`].
//!
//! Everything is asked of the crate `session-lock`: what the processes have counted, and what state each lock is in. Here it
//! gets the names and shapes that Prometheus and readers of JSON expect.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::value::{RawValue, to_raw_value};
use session_lock::metrics::{BOUNDS, Exemplar as Observed, Kind, Metrics, Value as Counted};
use session_lock::{Glance, LockDir, State};

use crate::family::{Bucket, Exemplar, Family, Histogram, Labels};
use crate::history::History;
use crate::json::{self, seconds};
use crate::source::{Gathered, Source, Survey};

/// A directory of session locks.
#[derive(Debug)]
pub struct Directory {
    name: String,
    path: PathBuf,
    history: History,
}

impl Directory {
    /// The directory at `path`, which need not exist yet: each look opens it anew.
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), path: path.into(), history: History::default() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For reading, whatever its permissions: whether it can hold locks is what those who lock have to ask.
    fn open(&self) -> Result<LockDir, String> {
        LockDir::options().any_permissions().open(&self.path).map_err(|error| with_causes(&error))
    }
}

impl Source for Directory {
    fn name(&self) -> &str {
        &self.name
    }

    fn gather(&self, _deadline: Instant, detail: usize) -> Gathered {
        let locks = match self.open() {
            Ok(locks) => locks,
            Err(error) => return Gathered { families: Vec::new(), error: Some(error) },
        };
        let mut families = Vec::new();
        let mut errors = Vec::new();
        let now = SystemTime::now();
        match locks.metrics() {
            Ok(metrics) => {
                self.history.note(&metrics, Instant::now());
                families.extend(metrics.families().map(|(family, values)| counted(family, values)));
                families.extend(slots(&metrics));
                families.push(longest_wait(&metrics, now));
                families.extend(longest_waits(&metrics, detail, now));
            }
            // Without its series: a counter of 0 would be taken for a restart, and all of it for what happened since.
            Err(error) => errors.push(with_causes(&error)),
        }
        match locks.glance() {
            Ok(found) => families.extend(states(found, detail, now)),
            Err(error) => errors.push(with_causes(&error)),
        }
        Gathered { families, error: (!errors.is_empty()).then(|| errors.join("; ")) }
    }

    fn locks(&self, _deadline: Instant) -> Result<Box<RawValue>, String> {
        let locks = self.open()?;
        let found = locks.scan().map_err(|error| with_causes(&error))?;
        let now = SystemTime::now();
        // Written lock by lock: as a tree of values a large directory would take a multiple of the memory.
        let mut text = String::from("[");
        for lock in &found {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&json::lock(lock, now).to_string());
        }
        text.push(']');
        RawValue::from_string(text).map_err(|error| error.to_string())
    }

    fn contention(&self, _deadline: Instant) -> Result<Box<RawValue>, String> {
        let metrics = self.open()?.metrics().map_err(|error| error.to_string())?;
        let now = SystemTime::now();
        to_raw_value(&json::contention(&metrics.waits, &metrics.contentions, now)).map_err(|error| error.to_string())
    }

    fn survey(&self, _deadline: Instant) -> Survey {
        let locks = match self.open() {
            Ok(locks) => locks,
            Err(error) => return Survey { error: Some(error), ..Survey::default() },
        };
        let (metrics, found) = (locks.metrics(), locks.scan());
        if let Ok(metrics) = &metrics {
            self.history.note(metrics, Instant::now());
        }
        let causes = [
            metrics.as_ref().err().map(|error| with_causes(error)),
            found.as_ref().err().map(|error| with_causes(error)),
        ];
        let error = causes.into_iter().flatten().reduce(|all, error| format!("{all}; {error}"));
        Survey { locks: found.unwrap_or_default(), metrics: metrics.ok(), samples: self.history.samples(), error }
    }
}

/// A metric of the lock's catalogue.
fn counted(family: session_lock::metrics::Family, values: Vec<Counted>) -> Family {
    let mut built = match family.kind {
        Kind::Counter | Kind::Seconds => Family::counter(family.name, family.help),
        Kind::Gauge => Family::gauge(family.name, family.help),
        Kind::Histogram => Family::histogram(family.name, family.help),
    };
    for (value, counted) in family.values.iter().zip(values) {
        let labels = family.label.map_or_else(Labels::new, |label| Labels::new().with(label, value));
        built = match counted {
            Counted::Number(number) => built.value(labels, float(number)),
            Counted::Seconds(time) => built.value(labels, time.as_secs_f64()),
            Counted::Histogram { buckets, sum, exemplars } => {
                built.observations(labels, histogram(&buckets, sum, exemplars))
            }
        };
    }
    built
}

/// The lock's buckets add up, the exporter's stand alone.
fn histogram(cumulative: &[u64], sum: Duration, exemplars: Vec<Option<Observed>>) -> Histogram {
    let before = std::iter::once(0).chain(cumulative.iter().copied());
    let counts = cumulative.iter().zip(before).map(|(count, before)| count.saturating_sub(before));
    let uppers = BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets = uppers.zip(counts).zip(exemplars).map(|((upper, count), exemplar)| Bucket {
        upper,
        count,
        exemplar: exemplar.map(|one| Exemplar {
            trace_id: one.trace_id.get(),
            span_id: one.span_id.get(),
            value: one.value.as_secs_f64(),
            at_seconds: Some(seconds(SystemTime::UNIX_EPOCH, one.at)),
        }),
    });
    Histogram::new(buckets.collect(), sum.as_secs_f64())
}

fn slots(metrics: &Metrics) -> [Family; 1] {
    let slots = metrics.slots;
    let states = [
        ("living", slots.living),
        ("inherited", slots.inherited),
        ("damaged", slots.damaged),
        ("other_version", slots.other_version),
    ];
    let family =
        Family::gauge("session_lock_slots", "Slots of counters in the directory, by the state of their process.");
    [states
        .into_iter()
        .fold(family, |family, (state, count)| family.value(Labels::new().with("state", state), float(count)))]
}

/// How many locks are in each state, and the holds that have lasted longest.
fn states(found: impl Iterator<Item = Glance>, detail: usize, now: SystemTime) -> Vec<Family> {
    let mut counts = HashMap::new();
    let mut holds = Vec::new();
    for lock in found {
        *counts.entry(lock.state).or_insert(0_usize) += 1;
        holds.extend(lock.held_since.map(|since| (since, lock.name)));
    }
    let files = State::ALL.into_iter().filter(|state| *state != State::Free).fold(
        Family::gauge("session_lock_files", "Files at claims' paths, by what they say about their lock."),
        |family, state| {
            let count = counts.get(&state).copied().unwrap_or_default();
            family.value(Labels::new().with("state", state.as_str()), float(count))
        },
    );
    // Of the same age the one whose name comes first.
    holds.sort_by_key(|(since, _)| *since);
    let oldest = holds.first().map_or(0.0, |(since, _)| seconds(*since, now));
    let help = "How long the oldest lock that is held now has been held; 0 if none is.";
    let oldest = Family::gauge("session_lock_oldest_hold_seconds", help).value(Labels::new(), oldest);
    [files, oldest].into_iter().chain(longest_holds(&holds, detail, now)).collect()
}

fn longest_wait(metrics: &Metrics, now: SystemTime) -> Family {
    let longest = metrics.waits.iter().map(|wait| seconds(wait.since, now)).fold(0.0, f64::max);
    let help =
        "How long the acquire that has waited longest of those that wait now has waited; 0 if none has for 10 ms.";
    Family::gauge("session_lock_longest_wait_seconds", help).value(Labels::new(), longest)
}

/// Labelled by session, only where somebody asks for it: names are many, and come from outside.
fn longest_holds(holds: &[(SystemTime, String)], detail: usize, now: SystemTime) -> Option<Family> {
    let help = "How long the locks that have been held longest have been held.";
    let family = Family::gauge("session_lock_held_seconds", help);
    (detail > 0).then(|| {
        holds.iter().take(detail).fold(family, |family, (since, name)| {
            family.value(Labels::new().with("session", name), seconds(*since, now))
        })
    })
}

fn longest_waits(metrics: &Metrics, detail: usize, now: SystemTime) -> Option<Family> {
    let help = "How long the acquires that have waited longest have waited; of several for one session the longest.";
    let mut sessions: Vec<&str> = Vec::new();
    (detail > 0).then(|| {
        metrics.waits.iter().fold(Family::gauge("session_lock_waiting_seconds", help), |family, wait| {
            if sessions.len() == detail || sessions.contains(&wait.session.as_str()) {
                return family;
            }
            sessions.push(&wait.session);
            family.value(Labels::new().with("session", &wait.session), seconds(wait.since, now))
        })
    })
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are doubles")]
fn float(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

/// An error with what caused it.
fn with_causes(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_causes(cause)),
        None => error.to_string(),
    }
}
