//! Process ids, start times, namespaces and the boot id. They name reasons and are shown to people; they never decide.

use super::{Errno, Result};
use rustix::process::Pid;
use std::fs;

/// getpid(2): in this process's PID namespace.
pub(crate) fn own_pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// geteuid(2).
pub(crate) fn own_euid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// `/proc/sys/kernel/random/boot_id`, random(4).
pub(crate) fn boot_id() -> std::io::Result<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    crate::payload::parse_uuid(text.trim())
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "the boot id is not a uuid"))
}

/// This process's start time: clock ticks since boot, field 22 of `proc_pid_stat(5)`.
pub(crate) fn own_starttime() -> Option<u64> {
    starttime_in(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The start time of the process that has `pid` in this PID namespace, where /proc shows this namespace.
pub(crate) fn starttime(pid: u32) -> Option<u64> {
    starttime_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether /proc numbers processes as this process's PID namespace does.
pub(crate) fn proc_is_ours() -> bool {
    fs::read_link("/proc/self").is_ok_and(|link| link.to_str() == Some(&own_pid().to_string()))
}

/// Whether a process with this pid exists in this PID namespace: kill(2) with signal 0.
pub(crate) fn exists(pid: u32) -> Result<bool> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
    match rustix::process::test_kill_process(pid) {
        Ok(()) | Err(Errno::PERM) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The inode number of a namespace of this process: namespaces(7). `name` is `pid` or `time`.
pub(crate) fn namespace(name: &str) -> Option<u64> {
    namespace_at(&format!("/proc/self/ns/{name}"))
}

fn namespace_at(path: &str) -> Option<u64> {
    let link = fs::read_link(path).ok()?;
    link.to_str()?.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// A process of a PID namespace below this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Below {
    /// Its namespace's inode number.
    pub(crate) pid_ns: u64,
    /// Its pid there.
    pub(crate) pid: u32,
    /// Its pid in the namespace that /proc shows.
    pub(crate) pid_here: u32,
}

/// The processes in other PID namespaces than `own` that /proc shows and lets this process look at.
pub(crate) fn below(own: Option<u64>) -> Vec<Below> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| below_in(own, entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

fn below_in(own: Option<u64>, pid_here: u32) -> Option<Below> {
    let pid_ns = namespace_at(&format!("/proc/{pid_here}/ns/pid")).filter(|found| Some(*found) != own)?;
    let pid = innermost_pid_in(&fs::read_to_string(format!("/proc/{pid_here}/status")).ok()?)?;
    Some(Below { pid_ns, pid, pid_here })
}

/// `NSpid:` of `proc_pid_status(5)` has one pid for each nested namespace, the innermost last.
fn innermost_pid_in(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_ascii_whitespace().last()?.parse().ok()
}

/// uname(2), node name.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The command may hold spaces and parentheses, so fields are counted from the last one.
fn starttime_in(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{innermost_pid_in, starttime_in};

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(starttime_in(stat), Some(4242));
        assert_eq!(starttime_in("7 (cut"), None);
    }

    #[test]
    fn the_innermost_pid_is_the_last() {
        assert_eq!(innermost_pid_in("Name:\tx\nNStgid:\t9\t8\nNSpid:\t5099\t14\t1\n"), Some(1));
        assert_eq!(innermost_pid_in("Name:\tNSpid: 7\n"), None);
    }
}
