//! Clocks. Durations and deadlines are monotonic; the wall clock is only written down for people.

use std::time::{Instant, SystemTime};

/// `CLOCK_MONOTONIC`.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// `CLOCK_REALTIME`.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
