//! Clocks. Durations and deadlines are monotonic; the wall clock is only written down for people.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::time::{Duration, Instant, SystemTime};

/// `CLOCK_MONOTONIC`.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How long until then; zero if it has passed.
pub(crate) fn until(instant: Instant) -> Duration {
    instant.saturating_duration_since(now())
}

/// `CLOCK_REALTIME`.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Sleeps. Only for a wait that cannot be had, so that a loop around it does not spin.
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
