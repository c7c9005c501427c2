//! The one door to the clock whose values are written down.

use nix::time::{ClockId, clock_gettime};

/// Microseconds of `CLOCK_MONOTONIC`, which all processes of one machine share. For statistics, never for a verdict.
pub(crate) fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    seconds * 1_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0) / 1_000
}
