//! The seam between a directory of locks and the HTTP side: what the routes ask of each directory.

use std::time::Instant;

use serde_json::value::RawValue;
use session_lock::Inspection;
use session_lock::metrics::Metrics;

use crate::family::Family;
use crate::history::Sample;

/// One directory that is looked at.
///
/// The methods block, and are called on threads of their own, at most one call of each method at a time: a later request
/// gets the answer of the call that is under way. They should be back by `deadline`; one that is not is answered for
/// without (`session_lock_exporter_up 0`), and is not called again before it has returned. A panic counts as an error.
pub trait Source: Send + Sync + 'static {
    /// What the directory is called in labels and JSON. Where two sources have one name, the later is numbered.
    fn name(&self) -> &str;

    /// The metrics. At most `detail` locks get samples of their own.
    fn gather(&self, deadline: Instant, detail: usize) -> Gathered;

    /// The locks as they are now, for `/api/v1/locks`.
    ///
    /// # Errors
    ///
    /// For people: why there is no answer.
    fn locks(&self, deadline: Instant) -> Result<Box<RawValue>, String>;

    /// Who waited for whom, for `/api/v1/contention`.
    ///
    /// # Errors
    ///
    /// For people: why there is no answer.
    fn contention(&self, deadline: Instant) -> Result<Box<RawValue>, String>;

    /// What the page at `/` shows. A source that has only metrics need not have it: its place on the page says so.
    fn survey(&self, deadline: Instant) -> Survey {
        let _ = deadline;
        Survey { error: Some("it has no locks to show".to_owned()), ..Survey::default() }
    }
}

/// What a look at a directory came to. With an error, `families` are what could be had nevertheless.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Without a label for the directory, which is added (`directory`).
    pub families: Vec<Family>,
    /// Why this is not all; it is logged, and the directory counts as not up.
    pub error: Option<String>,
}

/// What the page shows of a directory. With an error, the rest is what could be had nevertheless.
#[derive(Debug, Default)]
pub struct Survey {
    /// Every session that has something at its claim's path, sorted by name.
    pub locks: Vec<Inspection>,
    /// What the processes have counted, who waits and who did; `None` where it cannot be read.
    pub metrics: Option<Metrics>,
    /// What was counted until now, the oldest first.
    pub samples: Vec<Sample>,
    /// Why this is not all.
    pub error: Option<String>,
}
