//! Where the workers live. How each is built is `groups`'s.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// How the workers of a run are spread over processes, namespaces and containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Topology {
    /// One process each
    Processes,
    /// Threads of a few processes
    Threads,
    /// Tasks of a few processes, some of whose acquires are cancelled
    Tasks,
    /// Processes in groups with a mount namespace each, all in one PID namespace
    PidnsShared,
    /// Processes in groups with a mount namespace and a PID namespace each
    PidnsPrivate,
    /// Processes in containers that share one PID namespace
    DockerShared,
    /// Processes in containers with a PID namespace each
    DockerPrivate,
    /// Processes in containers, half of which share a PID namespace
    DockerMixed,
    /// Processes in groups that somebody else starts, and that join the run (stress join), such as those of a compose file
    Joined,
}

impl Topology {
    /// Whether the engine starts the groups.
    pub(crate) const fn is_docker(self) -> bool {
        matches!(self, Self::DockerShared | Self::DockerPrivate | Self::DockerMixed)
    }

    /// Whether the groups are namespaces made here, without an engine.
    pub(crate) const fn is_pidns(self) -> bool {
        matches!(self, Self::PidnsShared | Self::PidnsPrivate)
    }

    /// Whether somebody else starts the groups.
    pub(crate) const fn is_joined(self) -> bool {
        matches!(self, Self::Joined)
    }

    /// Whether several workers share a process.
    pub(crate) const fn is_threaded(self) -> bool {
        matches!(self, Self::Threads | Self::Tasks)
    }

    /// Whether this fault can be done to workers that live so.
    pub(crate) const fn allows(self, fault: Fault) -> bool {
        match fault {
            Fault::Kill
            | Fault::KillInside
            | Fault::Stop
            | Fault::LongStop
            | Fault::ClockJump
            | Fault::NoDescriptors
            | Fault::DeleteClaim
            | Fault::TruncateClaim
            | Fault::ReplaceClaim
            | Fault::DeleteState => true,
            // What is mounted here is not seen there.
            Fault::DiskFull | Fault::InodesFull => !self.is_joined(),
            Fault::PidReuse | Fault::TimeNamespace => self.is_pidns(),
            Fault::Freeze => !self.is_docker() && !self.is_joined(),
            Fault::Pause | Fault::Restart => self.is_docker(),
            Fault::GroupKill => self.is_docker() || self.is_pidns(),
            Fault::Fork | Fault::Exec => !self.is_threaded(),
        }
    }
}
