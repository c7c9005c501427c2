//! What this process is given: /proc, limits, inotify, leases.

use std::fs;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::{Finding, Severity};

/// Descriptors of an ordinary program that locks: 256 arbiters, a few of its own, and some sessions.
const ENOUGH_DESCRIPTORS: u64 = 320;
/// Descriptors without which an acquire may fail: those of the standard streams, of this crate and of an acquire.
const FEW_DESCRIPTORS: u64 = 24;
/// The longest claim, which an arbiter is shorter than for its first thousands of holds.
const LONGEST_CLAIM: u64 = 4096;
/// Where the last slot of the counters ends.
const ALL_COUNTERS: u64 = 1024 * 80 * 1024;
/// The PID namespace that the machine began with: `PROC_PID_INIT_INO` of Linux.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

pub(super) fn findings(directory: &Path) -> Vec<Finding> {
    [proc(), pid_namespace(), descriptors(), file_sizes(), inotify(directory), leases()].into_iter().flatten().collect()
}

fn proc() -> Option<Finding> {
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let shown = fs::read_link("/proc/self").ok()?;
    (shown.to_str() != Some(&own)).then(|| {
        Finding::new(
            Severity::Warning,
            "/proc shows another PID namespace than this process's: whether a holder's process is there cannot be told",
            "mount this namespace's own (mount -t proc proc /proc)",
        )
    })
}

fn pid_namespace() -> Option<Finding> {
    let own = fs::read_link("/proc/self/ns/pid").ok()?;
    (own.to_str() != Some(FIRST_PID_NAMESPACE)).then(|| {
        Finding::new(
            Severity::Note,
            "this process is in a PID namespace of its own, as in a container: pids of holders outside mean nothing here",
            "nothing has to be done: no pid decides",
        )
    })
}

fn descriptors() -> Option<Finding> {
    let limit = getrlimit(Resource::Nofile).current?;
    let severity = match limit {
        ..FEW_DESCRIPTORS => Severity::Fault,
        FEW_DESCRIPTORS..ENOUGH_DESCRIPTORS => Severity::Warning,
        _ => return None,
    };
    let what = format!(
        "a process may have {limit} files open: locks of one directory take up to 256, and one for each that is held",
    );
    Some(Finding::new(severity, what, "raise the limit (ulimit -n, LimitNOFILE=)"))
}

fn file_sizes() -> Option<Finding> {
    let limit = getrlimit(Resource::Fsize).current?;
    let (severity, what) = match limit {
        ..LONGEST_CLAIM => (Severity::Fault, "not even a lock file of full length fits"),
        LONGEST_CLAIM..ALL_COUNTERS => {
            (Severity::Warning, "with many processes and holds their counters do not fit, and later the tokens")
        }
        _ => return None,
    };
    Some(Finding::new(
        severity,
        format!("a file may have {limit} bytes: {what}"),
        "raise the limit (ulimit -f, LimitFSIZE=)",
    ))
}

/// A watch of the directory, which ends with this function.
fn inotify(directory: &Path) -> Option<Finding> {
    let tried = init(CreateFlags::CLOEXEC).and_then(|inotify| add_watch(&inotify, directory, WatchFlags::DELETE_SELF));
    let remedy = match tried {
        Err(Errno::MFILE) => "raise the limit (sysctl fs.inotify.max_user_instances, and ulimit -n)",
        Err(Errno::NOSPC) => "raise the limit (sysctl fs.inotify.max_user_watches)",
        // A directory that is not there, or may not be read, is told by whoever opens it.
        _ => return None,
    };
    let what = "this user has no inotify watch left: a lock file that somebody takes away is noticed later";
    Some(Finding::new(Severity::Warning, what, remedy))
}

fn leases() -> Option<Finding> {
    let enabled = fs::read_to_string("/proc/sys/fs/leases-enable").ok()?;
    (enabled.trim() == "0").then(|| {
        Finding::new(
            Severity::Warning,
            "file leases are off: whether an older program still has its lock file open cannot be told, so that a dead one's \
             stays in the way",
            "turn them on (sysctl fs.leases-enable=1)",
        )
    })
}
