//! `process_*`, as the Prometheus client libraries have them, from `proc_pid_stat(5)` and its neighbours.
//!
//! Own code, because the crate that has these metrics brings protobuf, a parser of all of /proc and a registry.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::family::{Family, Labels};

/// What can be had; where /proc does not answer, the family is missing.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and gauges of bytes and seconds beyond")]
pub(super) fn families() -> Vec<Family> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name may hold blanks and brackets; what follows its last bracket starts at field 3.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok()).map(|n| n as f64);
    let ticks = clock_ticks_per_second() as f64;
    let page = page_size() as f64;

    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks);
    let started_at = boot_time().zip(field(22)).map(|(boot, start)| boot + start / ticks);
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64 - 1.0);
    let most = getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |limit| limit as f64);
    [
        Some(Family::counter("process_cpu_seconds_total", "User and system time spent.")).zip(cpu),
        Some(Family::gauge("process_resident_memory_bytes", "Resident memory."))
            .zip(field(24).map(|pages| pages * page)),
        Some(Family::gauge("process_virtual_memory_bytes", "Virtual memory.")).zip(field(23)),
        Some(Family::gauge("process_threads", "Threads.")).zip(field(20)),
        Some(Family::gauge("process_start_time_seconds", "When the process started, since 1970.")).zip(started_at),
        // The directory that is being read is one of them.
        Some(Family::gauge("process_open_fds", "Open file descriptors.")).zip(open),
        Some(Family::gauge("process_max_fds", "Most file descriptors that may be open.")).zip(Some(most)),
    ]
    .into_iter()
    .flatten()
    .map(|(family, value)| family.value(Labels::new(), value))
    .collect()
}

/// When the kernel was started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_there_and_plausible() {
        let names: Vec<_> = families().iter().map(Family::name).collect();
        let expected = [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_threads",
            "process_start_time_seconds",
            "process_open_fds",
            "process_max_fds",
        ];
        assert_eq!(names, expected);
        assert!(boot_time().is_some_and(|boot| boot > 1.5e9));
    }
}
