//! What happened to a lock, said once. Metrics and spans are derived from these events and from nothing else.

use crate::holder::{Holder, HolderKind};
use crate::protocol::{LossCause, Refusal};
use crate::verdict::Reason;
use std::fmt;
use std::time::Duration;

/// One thing that happened to one session's lock, in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An acquire found the lock taken and waits, or a try was busy. At most once per acquire.
    Contended {
        /// What kind of holder is in the way.
        by: HolderKind,
        /// What its claim says, if it could be read.
        holder: Option<Box<Holder>>,
    },
    /// A claim was found that may not be taken over yet.
    ReclaimRefused {
        /// Why not.
        why: Refusal,
    },
    /// A dead owner's claim was taken over.
    Reclaimed {
        /// What became of its owner.
        reason: Reason,
        /// What the claim said, if it could be read.
        from: Option<Box<Holder>>,
    },
    /// The lock was acquired.
    Acquired {
        /// The hold's fencing token.
        token: u64,
        /// From the call to the hold.
        waited: Duration,
        /// What kind of holder was in the way, if one was: the one of [`Event::Contended`].
        blocked_by: Option<HolderKind>,
    },
    /// A holder entered its own hold once more, through a [`crate::Handle`].
    Reentered {
        /// The hold's fencing token.
        token: u64,
    },
    /// An acquire ended without the lock.
    NotAcquired {
        /// How it ended.
        outcome: NotAcquired,
        /// From the call to its end.
        waited: Duration,
        /// What kind of holder was in the way, if one was: the one of [`Event::Contended`].
        blocked_by: Option<HolderKind>,
    },
    /// A hold ended.
    Released {
        /// How it ended.
        outcome: ReleaseOutcome,
        /// From acquire to release.
        held: Duration,
    },
    /// A living holder's claim had been deleted and is there again.
    ClaimRestored,
    /// A living holder's claim was taken away.
    Lost {
        /// How.
        cause: LossCause,
    },
    /// The directory's counters cannot be written; they go on in memory, and are tried again. Said once for each time that it
    /// begins.
    NotCounted {
        /// What the kernel answered.
        why: String,
    },
    /// A hold lasted longer than its maximum.
    HoldExceeded {
        /// What was done about it.
        action: HoldExceeded,
    },
}

/// How an acquire ended without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotAcquired {
    /// A try found it busy.
    Busy,
    /// The deadline passed.
    Timeout,
    /// The future was dropped, or the process released everything meanwhile.
    Cancelled,
    /// A system call failed, or the path holds no claim.
    Error,
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReleaseOutcome {
    /// The claim was unlinked and the lock is free.
    Released,
    /// The claim was not ours any more; the lock is free.
    Lost,
    /// A system call failed; the lock is free, the claim may still be there.
    Error,
}

/// How a guard came to hold nothing before it was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Loss {
    /// Somebody deleted the claim, and it was noticed only at the release. Holders that use this crate were excluded all
    /// the time.
    Deleted,
    /// Somebody put another file in the claim's place. Holders that use this crate are still excluded, others may not be.
    Replaced,
    /// The maximum hold was over ([`crate::Lock::max_hold`]), and the lock was released: somebody else may hold it.
    HoldExceeded,
    /// The process released everything ([`crate::release_all`]): somebody else may hold it.
    Restarted,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "somebody deleted its claim",
            Self::Replaced => "somebody replaced its claim",
            Self::HoldExceeded => "it was held for longer than its maximum, and was released",
            Self::Restarted => "the process released all its locks",
        })
    }
}

impl From<LossCause> for Loss {
    fn from(cause: LossCause) -> Self {
        match cause {
            LossCause::Deleted => Self::Deleted,
            LossCause::Replaced => Self::Replaced,
        }
    }
}

/// What is done about a hold that lasts longer than its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HoldExceeded {
    /// It is said once, as an [`Event::HoldExceeded`], and the hold goes on.
    Report,
    /// It is said, the guards are told ([`Loss::HoldExceeded`]), and then the lock is released.
    Release,
}

/// Where events go, besides the [spans](crate#spans).
///
/// Called on the thread on which the thing happened, between system calls of the lock: it must not block, must not use the
/// lock, and must not panic, because a panic there leaves the session locked until the process ends.
pub trait Sink: Send + Sync {
    /// Takes one event of the session with this name.
    fn record(&self, session: &str, event: &Event);
}
