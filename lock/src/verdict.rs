//! What follows from a foreign claim's content and from what the kernel and /proc say of its owner.
//!
//! The writer probe and the grace decide. Pid, start time and boot id only name the [`Reason`]; where the probe cannot
//! be had, they decide only for a payload that itself says where its pid means something, and only if that is here.
//! Age never reclaims.

use crate::label::Label;
use crate::payload::{Content, Payload};
use crate::protocol::{Completion, Standing};
use std::fmt;

/// Why a claim could be taken over. It names the cause for people and metrics; it is not what the decision rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The claim names our arbiter, and its range was free.
    OwnerExited,
    /// No process has the claim's pid.
    DeadPid,
    /// Another process has the claim's pid.
    RecycledPid,
    /// It names our own pid, but not us: another PID namespace, or the process before a restart.
    OrphanSelfPid,
    /// It names our own process, but another instance of this crate.
    NonceMismatch,
    /// It was written before the last boot.
    Rebooted,
    /// It is the beginning of a payload.
    TornPayload,
    /// It has no payload.
    EmptyPayload,
    /// Its payload has no pid.
    MissingPid,
    /// The process that it names may live, but has closed it.
    Abandoned,
}

impl Reason {
    /// Its name in labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Label::name(self)
    }
}

/// What became of the owner, in words for people.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnerExited => "its owner has ended without a release",
            Self::DeadPid => "its process has ended",
            Self::RecycledPid => "its process has ended, and another one has its pid",
            Self::OrphanSelfPid => "it names the pid of this process, which did not write it",
            Self::NonceMismatch => "this process wrote it before a restart",
            Self::Rebooted => "it was written before the last boot",
            Self::TornPayload => "it is cut short, and nobody is writing it",
            Self::EmptyPayload => "it is empty, and nobody is writing it",
            Self::MissingPid => "it names no process, and nobody has it open",
            Self::Abandoned => "nobody has it open for writing",
        })
    }
}

/// Who asks: the process that wants the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Its pid, in its PID namespace.
    pub pid: u32,
    /// Its start time in clock ticks.
    pub starttime: Option<u64>,
    /// Its instance of this crate.
    pub nonce: [u8; 16],
    /// The boot that it runs in.
    pub boot_id: [u8; 16],
    /// Its PID namespace.
    pub pid_ns: Option<u64>,
    /// Its time namespace.
    pub time_ns: Option<u64>,
}

/// What the kernel says of the process with the claim's pid, in the asker's PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerProcess {
    /// There is none.
    Gone,
    /// There is one, and it started at another time than the claim says.
    Another,
    /// There is one, and nothing says that it is another.
    Present,
    /// Not known: the claim has no pid, or /proc shows another namespace.
    Unknown,
}

/// What the writer probe said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Nobody has the claim open for writing.
    NoWriter,
    /// Somebody has.
    Writer,
    /// It cannot be had: another user's file, or a file system without leases.
    Unavailable,
}

/// The reason that goes with taking over a claim.
#[must_use]
pub fn reason(standing: Standing, content: &Content, asker: &Asker, owner: OwnerProcess) -> Reason {
    match (standing, content) {
        (Standing::OwnArbiter, _) => Reason::OwnerExited,
        (Standing::Foreign, Content::Empty) => Reason::EmptyPayload,
        (Standing::Foreign, Content::Torn | Content::NotAClaim) => Reason::TornPayload,
        (Standing::Foreign, Content::Claim(payload)) => foreign_reason(payload, asker, owner),
    }
}

fn foreign_reason(payload: &Payload, asker: &Asker, owner: OwnerProcess) -> Reason {
    let Some(pid) = payload.pid else {
        return Reason::MissingPid;
    };
    if payload.boot_id.is_some_and(|boot_id| boot_id != asker.boot_id) {
        return Reason::Rebooted;
    }
    if pid == asker.pid {
        return match (payload.starttime, asker.starttime, payload.nonce) {
            (Some(theirs), Some(ours), _) if theirs != ours => Reason::RecycledPid,
            (_, _, Some(nonce)) if nonce != asker.nonce => Reason::NonceMismatch,
            _ => Reason::OrphanSelfPid,
        };
    }
    match owner {
        OwnerProcess::Gone => Reason::DeadPid,
        OwnerProcess::Another => Reason::RecycledPid,
        OwnerProcess::Present | OwnerProcess::Unknown => Reason::Abandoned,
    }
}

/// What the protocol is told about a foreign claim's writers.
#[must_use]
pub fn writers(probe: Probe, content: &Content, asker: &Asker, owner: OwnerProcess) -> Completion {
    match probe {
        Probe::NoWriter => Completion::NoWriter,
        Probe::Writer => Completion::Writer,
        Probe::Unavailable if gone_for_certain(content, asker, owner) => Completion::NoWriter,
        Probe::Unavailable => Completion::Unknown,
    }
}

/// Whether the pid in the claim means something here, and its process is gone.
fn gone_for_certain(content: &Content, asker: &Asker, owner: OwnerProcess) -> bool {
    let names_another = |payload: &Payload| payload.pid != Some(asker.pid) && means_something(payload, asker);
    has_ended(owner) && content.payload().is_some_and(names_another)
}

/// Whether the owner's process is gone.
pub(crate) fn has_ended(owner: OwnerProcess) -> bool {
    matches!(owner, OwnerProcess::Gone | OwnerProcess::Another)
}

/// Whether the payload says where its pid and start time mean something, and that is here.
pub(crate) fn means_something(payload: &Payload, asker: &Asker) -> bool {
    let is_ours = |theirs: Option<u64>, ours: Option<u64>| theirs.is_some() && theirs == ours;
    payload.boot_id == Some(asker.boot_id)
        && is_ours(payload.pid_ns, asker.pid_ns)
        && is_ours(payload.time_ns, asker.time_ns)
        && payload.pid.is_some()
}
