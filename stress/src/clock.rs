//! The one door to the clock whose values are written down.

use std::fs;
use std::sync::OnceLock;

use nix::time::{ClockId, clock_gettime};

/// Microseconds of the machine's `CLOCK_MONOTONIC`, the same in every time namespace. For statistics, never for a verdict.
pub(crate) fn monotonic_us() -> u64 {
    static AHEAD_US: OnceLock<i64> = OnceLock::new();
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let here_us = seconds * 1_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0) / 1_000;
    here_us.saturating_add_signed(-AHEAD_US.get_or_init(ahead_us))
}

/// How long this process's machine has been up, as its time namespace tells it.
pub(crate) fn uptime() -> std::time::Duration {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    now.into()
}

/// How far the clock of this process's time namespace is ahead of the machine's.
fn ahead_us() -> i64 {
    // A kernel without time namespaces has no such file.
    fs::read_to_string("/proc/self/timens_offsets").ok().and_then(|offsets| parsed_us(&offsets)).unwrap_or(0)
}

fn parsed_us(offsets: &str) -> Option<i64> {
    let monotonic = offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?;
    let mut numbers = monotonic.split_whitespace().map(str::parse::<i64>);
    let (seconds, nanoseconds) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(1_000_000)?.checked_add(nanoseconds / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_read_as_the_kernel_prints_it() {
        assert_eq!(parsed_us("monotonic           0         0\nboottime            0         0\n"), Some(0));
        assert_eq!(parsed_us("monotonic    -3600 500000000\nboottime            7         0\n"), Some(-3_599_500_000));
        assert_eq!(parsed_us("boottime 1 0\n"), None);
        assert_eq!(parsed_us("monotonic soon"), None);
    }

    #[test]
    fn it_does_not_go_back() {
        let first = monotonic_us();
        assert!(monotonic_us() >= first);
    }
}
