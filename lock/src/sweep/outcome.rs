//! What a sweep says it did.

use crate::error::LockError;
use crate::holder::Holder;
use crate::verdict::Reason;

/// What a sweep did, or in a dry run what it would have done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Swept {
    /// The sessions that had something at their claim's path, sorted by name.
    pub claims: Vec<SweptClaim>,
    /// How many spare files of dead processes it removed from the state directory.
    pub spares: usize,
}

/// What became of one claim.
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
