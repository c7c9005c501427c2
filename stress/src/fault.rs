//! The faults that a run can be asked for, by name. Which comes when is `nemesis`'s; how each is done is its owner's.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is done to a worker, to a group of workers, to the directory or to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Fault {
    /// SIGKILL at a random moment
    Kill = 1,
    /// SIGKILL inside a hold
    KillInside = 2,
    /// SIGKILL inside a hold, and the next process gets the dead owner's pid
    PidReuse = 3,
    /// SIGSTOP for 10 to 300 ms
    Stop = 4,
    /// SIGSTOP for longer than the grace
    LongStop = 5,
    /// A whole group stands still: its cgroup is frozen
    Freeze = 6,
    /// A whole container stands still: the engine pauses it
    Pause = 7,
    /// A whole group dies at once: the first process of its namespace, or its container, is killed
    GroupKill = 8,
    /// The engine restarts a container
    Restart = 9,
    /// A group dies and comes back in a time namespace whose clocks are elsewhere
    TimeNamespace = 10,
    /// The machine's wall clock jumps, and back
    ClockJump = 11,
    /// No block is left on the lock directory's file system
    DiskFull = 12,
    /// No inode is left there
    InodesFull = 13,
    /// No descriptor is left in a worker (EMFILE)
    NoDescriptors = 14,
    /// A lock file is deleted
    DeleteClaim = 15,
    /// A lock file is truncated
    TruncateClaim = 16,
    /// A lock file is replaced by one with an older peer's payload
    ReplaceClaim = 17,
    /// The state directory is deleted
    DeleteState = 18,
    /// A worker forks inside a hold, and the child outlives it
    Fork = 19,
    /// A worker executes another program in its place inside a hold
    Exec = 20,
}

impl Fault {
    /// The fault with this number in a record. `None` for one that has none.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::value_variants().iter().copied().find(|fault| *fault as u8 == code)
    }

    /// Whether it is done to one lock's claim.
    pub(crate) const fn is_of_a_claim(self) -> bool {
        matches!(self, Self::DeleteClaim | Self::TruncateClaim | Self::ReplaceClaim)
    }

    /// The name on the command line and in the report.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_code_of_its_own() {
        for fault in Fault::value_variants() {
            assert_eq!(Fault::of_code(*fault as u8), Some(*fault));
        }
        assert_eq!(Fault::of_code(0), None);
        assert_eq!(Fault::of_code(255), None);
    }
}
