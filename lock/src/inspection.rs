//! What a look at a session's lock found, and the words for it.
//!
//! The kernel decides the [`State`]; what the claim says of its owner names the holder and the reason, for people. Not
//! here: the looking itself.

use crate::holder::{Holder, HolderKind};
use crate::shown::shown;
use crate::verdict::{OwnerProcess, Reason};
use std::fmt;
use std::time::{Duration, SystemTime};

/// What a look at a session's lock found: a snapshot, which may be over by the time it is read.
///
/// [`Display`](fmt::Display) gives one line of words for people, in which everything that somebody else wrote is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The session's name.
    pub name: String,
    /// What state the lock is in.
    pub state: State,
    /// Whom the claim names, if there is a claim with a payload. It is what the claim says, not what the kernel says.
    pub holder: Option<Holder>,
    /// What the kernel says of the holder's process.
    pub process: OwnerProcess,
    /// The pid in this process's PID namespace of a holder in a namespace below it, if /proc shows it.
    pub pid_here: Option<u32>,
    /// Why the claim can be taken over: for [`State::Reclaimable`] and [`State::Corrupt`].
    pub reason: Option<Reason>,
    /// Who waits for the lock.
    pub waiters: Waiters,
    /// More in words: what is at the path of [`State::NotAClaim`], what could not be asked for [`State::Unknown`], and why
    /// this process cannot take over what another one can.
    pub note: Option<String>,
}

/// The little of an [`Inspection`] that counting and ordering locks needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Glance {
    /// The session's name.
    pub name: String,
    /// What state the lock is in.
    pub state: State,
    /// Since when it has been held, if it is and its claim says so.
    pub held_since: Option<SystemTime>,
}

/// What state a session's lock is in. The kernel decides it: no pid and no age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Nobody holds it, and there is no claim.
    Free,
    /// A process that uses this crate holds it, or is about to.
    Held,
    /// Its owner is gone: the next acquire takes it over, a claim of this crate at once, an older peer's after the grace.
    Reclaimable,
    /// A process that does not use this crate has the claim open for writing.
    ForeignHeld,
    /// It is locked, and the process that the claim names has ended: a child of it that did not run the fork handlers
    /// keeps its descriptors open. It is never taken over while that child lives.
    Inherited,
    /// The claim is empty or cut short, and nobody has it open for writing: the next acquire takes it over after the grace.
    Corrupt,
    /// Something that no lock wrote is at the claim's path. An acquire fails.
    NotAClaim,
    /// It cannot be told from here, and unknown means wait.
    Unknown,
}

impl State {
    /// Whether somebody has it, whether a user of this crate or not.
    #[must_use]
    pub const fn is_taken(self) -> bool {
        matches!(self, Self::Held | Self::ForeignHeld | Self::Inherited)
    }

    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Free,
        Self::Held,
        Self::Reclaimable,
        Self::ForeignHeld,
        Self::Inherited,
        Self::Corrupt,
        Self::NotAClaim,
        Self::Unknown,
    ];

    /// Its name in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Held => "held",
            Self::Reclaimable => "reclaimable",
            Self::ForeignHeld => "foreign_held",
            Self::Inherited => "inherited",
            Self::Corrupt => "corrupt",
            Self::NotAClaim => "not_a_claim",
            Self::Unknown => "unknown",
        }
    }
}

/// Who waits for a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiters {
    /// The acquires of this process, first come first.
    pub here: Vec<Waiting>,
    /// How many requests are parked in the kernel's queue for the lock: at most one for each process, in whatever PID
    /// namespace, this process among them. `None` if it was not asked or /proc/locks cannot be read.
    pub parked: Option<usize>,
}

/// One acquire of this process that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Its label, if it has one.
    pub label: Option<String>,
    /// For how long it has waited.
    pub waited: Duration,
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", shown(&self.name))?;
        match self.state {
            State::Free => f.write_str("is free")?,
            State::Held if self.holder.is_none() => f.write_str(
                "is held, and its claim is not there: it is being acquired or released, or the claim was deleted; wait",
            )?,
            State::Held => {
                f.write_str("is held by ")?;
                self.holder(f)?;
                f.write_str(": its claim is locked; wait, or end that process")?;
            }
            State::Inherited => {
                f.write_str("is held by a child of ")?;
                self.holder(f)?;
                f.write_str(
                    ": its claim is locked, and that process has ended; end the child that keeps its files open",
                )?;
            }
            State::ForeignHeld => {
                f.write_str("is held by ")?;
                self.holder(f)?;
                f.write_str(": somebody has its claim open for writing; wait, or end that process")?;
            }
            State::Reclaimable | State::Corrupt => {
                f.write_str("is left by ")?;
                self.holder(f)?;
                match self.reason {
                    Some(reason) => write!(f, ": {reason}")?,
                    None => f.write_str(": its owner is gone")?,
                }
                f.write_str(if self.reason == Some(Reason::OwnerExited) {
                    "; the next acquire takes it over at once"
                } else {
                    "; the next acquire takes it over after the grace"
                })?;
                if let Some(note) = &self.note {
                    write!(f, ", if it may: {}", shown(note))?;
                }
            }
            State::NotAClaim => {
                let found = self.note.as_deref().unwrap_or("something else");
                write!(f, "has no lock file, but {}; move it away, or use another name", shown(found))?;
            }
            State::Unknown => {
                let cause = self.note.as_deref().unwrap_or("the kernel does not tell");
                write!(f, "may be held")?;
                if self.holder.is_some() {
                    f.write_str(" by ")?;
                    self.holder(f)?;
                }
                write!(f, ": {}; until that is known, everybody waits", shown(cause))?;
            }
        }
        self.waiters.fmt(f)
    }
}

impl Inspection {
    fn holder(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.holder {
            Some(holder) => write!(f, "{holder}")?,
            None => f.write_str("an unknown process")?,
        }
        if let Some(pid) = self.pid_here {
            write!(f, ", pid {pid} here")?;
        }
        Ok(())
    }

    /// Whether its claim would be taken over by this process.
    pub(crate) fn is_removable(&self) -> bool {
        matches!(self.state, State::Reclaimable | State::Corrupt) && self.note.is_none()
    }

    /// Whom a takeover would be from.
    pub(crate) fn from(self) -> Holder {
        self.holder.unwrap_or(Holder { kind: HolderKind::Foreign, payload: None })
    }
}

impl fmt::Display for Waiters {
    /// Nothing if nobody waits; otherwise it begins with a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.here.len(), self.parked.unwrap_or(0)) {
            (0, 0) => Ok(()),
            (here, parked) => write!(f, " ({here} waiting in this process, {parked} in the kernel's queue)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inspection, State, Waiters, Waiting};
    use crate::holder::{Holder, HolderKind};
    use crate::payload::Payload;
    use crate::verdict::OwnerProcess;
    use std::time::Duration;

    #[test]
    fn what_others_wrote_cannot_forge_a_line() {
        let evil = "a\n\u{1b}[2Jb\u{202e}c".to_owned();
        for state in State::ALL {
            let payload = Payload { host: Some(evil.clone()), label: Some(evil.clone()), ..Payload::default() };
            let words = Inspection {
                name: evil.clone(),
                state,
                holder: Some(Holder { kind: HolderKind::OtherProcess, payload: Some(payload) }),
                process: OwnerProcess::Unknown,
                pid_here: Some(1),
                reason: None,
                waiters: Waiters {
                    here: vec![Waiting { label: Some(evil.clone()), waited: Duration::ZERO }],
                    parked: None,
                },
                note: Some(evil.clone()),
            }
            .to_string();
            assert!(!words.contains(['\n', '\u{1b}', '\u{202e}']), "{words:?}");
        }
    }

    #[test]
    fn labels_are_told_apart() {
        let names: std::collections::BTreeSet<_> = State::ALL.iter().map(|state| state.as_str()).collect();
        assert_eq!(names.len(), State::ALL.len());
    }
}
