//! Coverage: what a run was asked to let happen, and how often it did. A run in which something never happened says
//! nothing about it, however well it ended.

use serde::Serialize;

use crate::fault::Fault;
use crate::verdict;

/// Something that should have happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Mark {
    pub(super) name: String,
    /// What it is, in words; empty where the name says it.
    pub(super) what: &'static str,
    /// For a fault: how often per second it was asked for.
    pub(super) per_second: Option<f64>,
    /// So often it happened.
    pub(super) count: u64,
    /// So often it has to happen.
    pub(super) needed: u64,
}

impl Mark {
    /// It happened less often than it has to.
    pub(super) const fn is_missing(&self) -> bool {
        self.count < self.needed
    }
}

/// The marks of a run, as people read them.
pub(super) fn of(marks: &[verdict::Mark], rates: &[(Fault, f64)]) -> Vec<Mark> {
    let worded = |mark: &verdict::Mark| {
        let (name, what) = mark.fault.map_or_else(|| (mark.name.clone(), ""), |fault| (fault.name(), what(fault)));
        let asked = rates.iter().find(|(fault, _)| Some(*fault) == mark.fault);
        Mark { name, what, per_second: asked.map(|&(_, rate)| rate), count: mark.count, needed: mark.needed }
    };
    marks.iter().map(worded).collect()
}

const fn what(fault: Fault) -> &'static str {
    match fault {
        Fault::Kill => "SIGKILL at a random moment",
        Fault::KillInside => "SIGKILL inside a hold",
        Fault::PidReuse => "the next process got a dead owner's pid",
        Fault::Stop => "SIGSTOP for 10 to 300 ms",
        Fault::LongStop => "SIGSTOP for longer than the grace",
        Fault::Freeze => "a group's cgroup frozen",
        Fault::Pause => "a container paused",
        Fault::GroupKill => "a whole group killed at once",
        Fault::Restart => "a container restarted",
        Fault::TimeNamespace => "a group came back with other clocks",
        Fault::ClockJump => "the wall clock jumped",
        Fault::DiskFull => "no block left on the file system",
        Fault::InodesFull => "no inode left on the file system",
        Fault::NoDescriptors => "no descriptor left in a worker",
        Fault::DeleteClaim => "a lock file deleted",
        Fault::TruncateClaim => "a lock file truncated",
        Fault::ReplaceClaim => "a lock file replaced by an older peer's",
        Fault::DeleteState => "the state directory deleted",
        Fault::Fork => "a fork inside a hold",
        Fault::Exec => "an exec inside a hold",
    }
}
