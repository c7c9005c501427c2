//! What a process has used up to this moment, as /proc tells.

use std::fs;
use std::time::Duration;

/// `USER_HZ`: the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Processor time, in steps of 10 ms.
    pub(crate) cpu: Duration,
    pub(crate) threads: f64,
    pub(crate) resident_mib: f64,
    /// The most that was ever resident.
    pub(crate) peak_mib: f64,
    /// How often one of the threads that live now stopped or was stopped running.
    pub(crate) switches: f64,
}

impl Cost {
    pub(crate) fn of(pid: u32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).expect("it runs");
        let status = read("status");
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
        let switches = tasks.filter_map(|task| {
            let status = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
            Some(number(&status, "voluntary_ctxt_switches:") + number(&status, "nonvoluntary_ctxt_switches:"))
        });
        Self {
            cpu: TICK * ticks(&read("stat")),
            threads: number(&status, "Threads:"),
            resident_mib: number(&status, "VmRSS:") / 1024.0,
            peak_mib: number(&status, "VmHWM:") / 1024.0,
            switches: switches.sum(),
        }
    }
}

/// The number after `name` at a line's beginning.
fn number(status: &str, name: &str) -> f64 {
    let rest = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel says it");
    rest.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Fields 14 and 15: utime and stime.
fn ticks(stat: &str) -> u32 {
    fields(stat, 11)
}

/// Processor time of all children that were waited for, and of theirs: fields 16 and 17.
pub(crate) fn of_children() -> Duration {
    TICK * fields(&fs::read_to_string("/proc/self/stat").expect("/proc is there"), 13)
}

fn fields(stat: &str, skipped: usize) -> u32 {
    let fields = stat.rsplit_once(')').expect("a name in parentheses").1.split_whitespace();
    fields.skip(skipped).take(2).map(|ticks| ticks.parse::<u32>().expect("a number")).sum()
}

pub(crate) fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The `percent` percentile of unsorted samples.
pub(crate) fn percentile(samples: &mut [Duration], percent: usize) -> Duration {
    samples.sort_unstable();
    samples[(samples.len() - 1) * percent / 100]
}
