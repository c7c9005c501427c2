//! The lock protocol as state machines without I/O.
//!
//! A machine says which [`Operation`] comes next ([`Machine::poll`]) and is told how it ended
//! ([`Machine::resume`]). It sees no clock, path, descriptor or errno. The driver of this crate runs the
//! machines on Linux; the model checker in `session-lock-stress` runs the same ones over a simulated kernel.
//!
//! An operation that fails for good (a full disk, no descriptors left) is no completion: the driver drops the
//! machine, which is always safe, because everything a machine has locked is given back by closing descriptors. The file of an
//! acquire that [has a claim](Acquire::has_claim) is removed by a [`Release`] then.
//!
//! | Machine | Does |
//! |---|---|
//! | [`Acquire`] | arbiter, token, claim; reclaims a dead owner's claim |
//! | [`Release`] | unlinks its own claim, then unlocks, then closes |
//! | [`Heal`] | puts a deleted claim back, tells a replaced one |

mod acquire;
mod heal;
mod release;

pub use acquire::{Acquire, Acquired};
pub use heal::{Heal, Healed};
pub use release::{Release, Released};

/// A file's identity on this kernel, for as long as somebody has it open or pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode {
    /// Device number.
    pub dev: u64,
    /// Inode number. The file system reuses it once the file is gone.
    pub ino: u64,
}

/// One thing a machine asks of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Take the OFD write lock on the session's range of the open arbiter.
    LockArbiter,
    /// Take a fencing token from the open arbiter.
    TakeToken,
    /// See whether the arbiter's path still names the open one.
    CheckArbiter,
    /// Unlock the range and open the arbiter that the path names now, creating it where there is none.
    ReopenArbiter,
    /// Give a complete, locked claim its name, if the name is free. One atomic step: nobody meets the file there before.
    PublishClaim {
        /// The fencing token to write into it.
        token: u64,
    },
    /// Open the claim at the path for reading and writing.
    OpenClaim,
    /// Try the OFD write lock on the open claim.
    LockClaim,
    /// Read the open claim.
    ReadClaim,
    /// Keep the open claim's inode from being reused (`O_PATH`), as long as the path still names it.
    PinClaim,
    /// Be done with the open claim. Closing drops its lock; the spare is kept instead, open and locked.
    CloseClaim,
    /// Ask whether anybody in the kernel has the pinned claim open for writing.
    ProbeWriters,
    /// Wait until the claim at the path may have changed. May return early.
    AwaitClaim(Refusal),
    /// Wait the grace that an older owner has between closing its claim and unlinking it.
    AwaitGrace,
    /// Overwrite the open claim with one's own payload.
    WriteClaim {
        /// The fencing token to write into it.
        token: u64,
    },
    /// See which file the claim's path names.
    CheckClaim,
    /// Remove the claim's path.
    UnlinkClaim,
    /// Unlock the session's range of the arbiter.
    UnlockArbiter,
}

/// How an [`Operation`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completion {
    /// It did what it says.
    Done,
    /// [`Operation::TakeToken`]: here it is.
    Token(u64),
    /// [`Operation::PublishClaim`]: the name is taken.
    Exists,
    /// [`Operation::OpenClaim`]: open.
    Opened {
        /// The file that was opened.
        inode: Inode,
    },
    /// The path names no file. For an operation on a file that is open or pinned: it names another one or none.
    Gone,
    /// [`Operation::CheckClaim`]: the path names another file. [`Operation::CheckArbiter`]: another one, or none.
    Replaced,
    /// Somebody else has the lock or the lease that this needs.
    Busy,
    /// [`Operation::ReadClaim`]: what the claim says about its owner.
    Read(Standing),
    /// [`Operation::ProbeWriters`]: nobody has the file open for writing.
    NoWriter,
    /// [`Operation::ProbeWriters`]: somebody has the file open for writing.
    Writer,
    /// The answer cannot be had, and unknown means wait.
    Unknown,
    /// A wait ended because something may have changed.
    Woken,
    /// [`Operation::AwaitGrace`]: the whole grace has passed.
    GraceElapsed,
}

/// Whose claim it is, as far as its content tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It names the arbiter whose range we hold, so its owner is gone.
    OwnArbiter,
    /// Anything else: an older peer's, another arbiter's, empty or torn.
    Foreign,
}

/// What happened to the claim of a living holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossCause {
    /// The path names no file.
    Deleted,
    /// The path names somebody else's file.
    Replaced,
}

/// Why a claim is not taken over yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Somebody has it open for writing.
    WriterAlive,
    /// Its owner may be between closing and unlinking.
    Grace,
    /// The evidence cannot be had.
    Unknown,
    /// Its lock is held, by a process that uses another arbiter.
    ForeignArbiter,
}

/// What a machine wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Do this and resume with its completion.
    Do(Operation),
    /// The machine has ended.
    Done(T),
}

/// A state machine without I/O.
pub trait Machine {
    /// What it ends with.
    type Output;

    /// The next step. Calling it again without [`Machine::resume`] gives the same answer.
    fn poll(&self) -> Step<Self::Output>;

    /// Tells how the operation of the last [`Machine::poll`] ended.
    ///
    /// # Panics
    ///
    /// If the completion does not answer the operation: a bug in the driver.
    fn resume(&mut self, completion: Completion);
}

#[cold]
fn mismatch(state: &dyn std::fmt::Debug, completion: Completion) -> ! {
    panic!("{completion:?} does not answer the operation of {state:?}")
}
