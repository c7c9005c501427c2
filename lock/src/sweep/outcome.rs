//! What a sweep says it did.

use crate::error::LockError;
use crate::holder::Holder;
use crate::shown::shown;
use crate::verdict::Reason;
use std::fmt;

/// What a sweep did, or in a dry run what it would have done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Swept {
    /// The sessions that had something at their claim's path, sorted by name.
    pub claims: Vec<SweptClaim>,
    /// How many spare files of dead processes it removed from the state directory.
    pub spares: usize,
    /// How many directories it removed that a killed process had begun to make the state directory of.
    pub unfinished: usize,
}

/// What became of one claim. [`Display`](fmt::Display) gives one line of words, in which what others wrote is escaped.
#[derive(Debug)]
#[non_exhaustive]
pub struct SweptClaim {
    /// The session's name.
    pub name: String,
    /// What became of it.
    pub outcome: SweepOutcome,
}

/// How a sweep dealt with one claim.
#[derive(Debug)]
#[non_exhaustive]
pub enum SweepOutcome {
    /// Its owner was gone, and so is the claim now.
    Removed {
        /// What had become of the owner.
        reason: Reason,
        /// What the claim said.
        from: Box<Holder>,
    },
    /// It was left as it was.
    Kept {
        /// Why.
        why: Kept,
    },
}

/// Why a sweep left a claim.
#[derive(Debug)]
#[non_exhaustive]
pub enum Kept {
    /// The lock is held, or somebody is acquiring it.
    Busy,
    /// Somebody who does not use this crate has it open for writing.
    WriterAlive,
    /// It is locked, and the arbiter does not know of its holder: the state directory was removed meanwhile.
    ForeignArbiter,
    /// It changed while its grace passed, or the grace is too long to pass.
    Grace,
    /// Whether its owner lives cannot be told, or this process may not open it.
    Unknown,
    /// Something that no lock wrote, as the words say.
    NotAClaim(String),
    /// It was gone before the sweep came to it.
    Gone,
    /// Something went wrong with it.
    Failed(Box<LockError>),
}

impl fmt::Display for SweptClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", shown(&self.name))?;
        match &self.outcome {
            SweepOutcome::Removed { reason, from } => write!(f, "removed, left by {from}: {reason}"),
            SweepOutcome::Kept { why } => write!(f, "kept: {why}"),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "somebody holds it, or is acquiring it",
            Self::WriterAlive => "somebody has it open for writing",
            Self::ForeignArbiter => "it is locked by a holder from before the state directory was removed",
            Self::Grace => "its grace has not passed",
            Self::Unknown => "whether its owner lives cannot be told from here",
            Self::NotAClaim(found) => return write!(f, "no lock file, but {}", shown(found)),
            Self::Gone => "it was gone already",
            Self::Failed(error) => return write!(f, "{error}"),
        })
    }
}
