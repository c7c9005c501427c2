//! Clocks. Durations and deadlines are monotonic; the wall clock is only written down for people.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::time::{Duration, Instant, SystemTime};

/// `CLOCK_MONOTONIC`.
#[cfg(not(session_lock_shuttle))]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Under the checker of [`super::sync`] it is 10 ms later each time somebody asks, and the same in each replay.
#[cfg(session_lock_shuttle)]
pub(crate) fn now() -> Instant {
    thread_local! {
        // The checker runs all threads of one test on one.
        static CLOCK: std::cell::Cell<Instant> = std::cell::Cell::new(Instant::now());
    }
    CLOCK.set(CLOCK.get() + Duration::from_millis(10));
    CLOCK.get()
}

/// How long until then; zero if it has passed.
pub(crate) fn until(instant: Instant) -> Duration {
    instant.saturating_duration_since(now())
}

/// `CLOCK_REALTIME`.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Sleeps. Only for what no event tells of, so that a loop around it does not spin.
pub(crate) fn pause(duration: Duration) {
    super::sync::thread::sleep(duration);
}
