//! What a process takes, as /proc tells it.

use std::fs;
use std::time::Duration;

use nix::unistd::Pid;

use super::protocol::Usage;

/// What this process takes now. `None` if it cannot be told, as of one that is ending.
pub(crate) fn sample(worker: u16, incarnation: u32, pid: Pid, age: Duration) -> Option<Usage> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let (threads, rss_kib) = (field(&status, "Threads:")?, field(&status, "VmRSS:")?);
    Some(Usage { worker, incarnation, age_s: age.as_secs(), descriptors, threads, rss_kib })
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something_and_one_that_is_not_takes_nothing() {
        let usage = sample(1, 2, Pid::this(), Duration::from_secs(3)).expect("/proc tells");
        assert!(usage.descriptors >= 3 && usage.threads >= 1 && usage.rss_kib > 0, "{usage:?}");
        assert_eq!((usage.worker, usage.incarnation, usage.age_s), (1, 2, 3));
        assert_eq!(sample(1, 2, Pid::from_raw(i32::MAX), Duration::ZERO), None);
    }
}
