//! Requests by status code, and those under way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::family::{Family, Labels};

#[derive(Debug, Default)]
pub(crate) struct Requests {
    in_flight: AtomicU32,
    by_code: Mutex<BTreeMap<u16, u64>>,
}

/// A request under way, until it is dropped.
#[must_use]
pub(crate) struct InFlight<'a>(&'a Requests);

impl Requests {
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    pub(crate) fn answered(&self, code: u16) {
        *self.by_code.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    pub(crate) fn families(&self) -> [Family; 2] {
        let name = "session_lock_exporter_http_requests_total";
        // 200 is there from the start, so that a rate over the first scrapes has a beginning.
        let mut by_code = self.by_code.lock().unwrap_or_else(PoisonError::into_inner).clone();
        by_code.entry(200).or_default();
        let total = by_code.into_iter().fold(
            Family::counter(name, "Requests answered, by status code."),
            |family, (code, count)| {
                #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 requests")]
                family.value(Labels::new().with("code", &code.to_string()), count as f64)
            },
        );
        let in_flight = f64::from(self.in_flight.load(Ordering::Relaxed));
        let name = "session_lock_exporter_http_requests_in_flight";
        [total, Family::gauge(name, "Requests under way, this one included.").value(Labels::new(), in_flight)]
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
