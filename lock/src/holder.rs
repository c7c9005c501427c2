//! Who holds a lock, as its claim tells it.

use crate::payload::{Content, FORMAT, Payload, rfc3339};
use crate::shown::shown;
use crate::verdict::Asker;
use std::fmt;

/// Where a holder is, seen from this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HolderKind {
    /// In this process.
    SameProcess,
    /// In another process of this PID namespace.
    OtherProcess,
    /// In another PID namespace: its pid means nothing here.
    OtherPidNamespace,
    /// A process that does not use this crate.
    Foreign,
    /// There is no claim to tell, or it does not tell.
    Unknown,
}

/// A snapshot of who holds a lock. It may be over by the time it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Where it is.
    pub kind: HolderKind,
    /// What its claim says, if there is a claim with a payload.
    pub payload: Option<Payload>,
}

impl Holder {
    pub(crate) fn of(content: Content, asker: &Asker) -> Self {
        let payload = content.into_payload();
        let kind = match &payload {
            Some(payload) if payload.version == Some(FORMAT) => match (payload.nonce, payload.pid_ns) {
                (Some(nonce), _) if nonce == asker.nonce => HolderKind::SameProcess,
                (_, Some(pid_ns)) if Some(pid_ns) == asker.pid_ns => HolderKind::OtherProcess,
                (_, Some(_)) => HolderKind::OtherPidNamespace,
                (_, None) => HolderKind::Unknown,
            },
            _ => HolderKind::Foreign,
        };
        Self { kind, payload }
    }

    pub(crate) const fn unknown() -> Self {
        Self { kind: HolderKind::Unknown, payload: None }
    }

    pub(crate) const fn same_process() -> Self {
        Self { kind: HolderKind::SameProcess, payload: None }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            HolderKind::SameProcess => "this process",
            HolderKind::OtherProcess => "another process",
            HolderKind::OtherPidNamespace => "a process in another PID namespace",
            HolderKind::Foreign => "a process that uses another lock",
            HolderKind::Unknown => "an unknown holder",
        };
        f.write_str(kind)?;
        let Some(payload) = &self.payload else { return Ok(()) };
        if let Some(pid) = payload.pid {
            write!(f, ", pid {pid}")?;
        }
        if let Some(host) = &payload.host {
            write!(f, " on {}", shown(host))?;
        }
        if let Some(label) = &payload.label {
            // Quoted and escaped, so that a label cannot pass for the words around it.
            write!(f, ", {label:?}")?;
        }
        if let Some(at) = payload.created_at.and_then(rfc3339) {
            write!(f, ", since {at}")?;
        }
        Ok(())
    }
}
