//! The locks that a worker can use: the one under test, a plain kernel lock, the older lock that shares directories with it,
//! and those that are known to be broken.
//!
//! | Lock | Is | What goes wrong | Seed thread |
//! |---|---|---|---|
//! | `session-lock` | under test | | |
//! | `flock` | sound | | |
//! | `older-peer`, `older-peer-starttime` | sound, but a dead owner's lock stays taken | | seed 003, before and after start times |
//! | `delete-create` | broken | two see a dead owner; the second deletes what the first has created meanwhile | seed 000, the problem |
//! | `rename-over` | broken | two see a dead owner; both renames succeed | seed 000, the solution |
//! | `orphan-self-pid` | broken | a living owner in another PID namespace has the same pid, and is robbed | seed 003 |
//! | `pid-start-time` | broken | and the same start time, in clock ticks, if both were started together | seed 003, with start times |
//! | `early-map-delete` | broken | the entry of this process goes before the file: somebody else takes the file for an orphan, and the late unlink deletes his | seed 001 |
//! | `map-half-fix` | broken | the entry goes after the file, but also comes after it: in between the file is an orphan again | seed 001, options A and B; seed 003, the review |
//! | `unlock-before-unlink` | broken | the next owner locks the file, then it is unlinked under him | no seed: a kernel lock on the claim invites it |
//! | `deletable-claim` | broken | somebody deletes the file that is locked; the next owner locks a new one | seed 001, the silent failure |
//! | `probeless-takeover` | broken | an older peer that lives is robbed, because it holds longer than the grace | seed 004: a living owner judged by time |
//! | `careless` | broken | ignores what fails, and never takes a dead owner's file over | for `crashpoints` |
//!
//! Each control has one defect; what else the originals do wrong is left out, so that what is caught is that defect.
//! Not here: under which load they are caught, which is `selftest`'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use clap::ValueEnum;

use crate::options::RunOptions;
use crate::oracle::Tokens;

mod careless;
mod file;
mod kernel;
mod older;
mod orphan;
mod probeless;
mod seed;
mod session;

pub(crate) use file::start_time;

/// A lock by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Implementation {
    /// The lock of this project
    SessionLock,
    /// A bare kernel lock (flock) on a permanent file: known good, tells nobody who holds, ignores --timeout
    Flock,
    /// The older lock: creates its file, closes and unlinks it, names its pid, takes nothing over
    OlderPeer,
    /// The same, and names its start time too
    OlderPeerStarttime,
    /// Broken: deletes a dead owner's file, then creates its own
    DeleteCreate,
    /// Broken: renames its own file over a dead owner's
    RenameOver,
    /// Broken: takes a file with its own pid for its own orphan
    OrphanSelfPid,
    /// Broken: takes a file with its own pid and start time for its own orphan
    PidStartTime,
    /// Broken: forgets that it holds before the file is gone
    EarlyMapDelete,
    /// Broken: forgets in time, but remembers too late
    MapHalfFix,
    /// Broken: unlocks its file, then unlinks it
    UnlockBeforeUnlink,
    /// Broken: a kernel lock on a file that anybody may delete
    DeletableClaim,
    /// Broken: takes an older peer's file over after the grace, without asking whether it is open
    ProbelessTakeover,
    /// Broken: ignores what fails, and never takes a dead owner's file over
    Careless,
}

/// What a worker asks a lock for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) worker: u16,
    pub(crate) lock: u16,
    pub(crate) timeout: Duration,
}

/// What came of it. `None`: the time was over first.
pub(crate) type Acquired = anyhow::Result<Option<Box<dyn Held>>>;

/// A directory of session locks, for all workers of a process.
pub(crate) trait Peer: Send + Sync {
    /// Waits for the lock.
    fn acquire(&self, asked: Asked) -> Acquired;

    /// The lock, if that needs no waiting. `None`: somebody has it.
    fn try_acquire(&self, asked: Asked) -> Acquired {
        self.acquire(Asked { timeout: Duration::ZERO, ..asked })
    }

    /// The same in a task of a tokio runtime; dropped, it takes the acquire back. A lock that can only block cannot be
    /// cancelled while it waits.
    fn acquire_in_task(&self, asked: Asked) -> Pin<Box<dyn Future<Output = Acquired> + Send + '_>> {
        Box::pin(async move { tokio::task::block_in_place(|| self.acquire(asked)) })
    }
}

/// A lock that is held.
pub(crate) trait Held: Send {
    /// The fencing token, 0 where there is none.
    fn token(&self) -> u64;
    fn release(self: Box<Self>) -> anyhow::Result<End>;
}

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Released,
    /// It had been taken away before.
    Lost,
}

impl Implementation {
    /// The lock that this worker uses: those from `workers` on are older peers, of one kind and the other in turn.
    pub(crate) const fn of(options: &RunOptions, worker: u16) -> Self {
        match worker.checked_sub(options.workers) {
            None => options.lock,
            Some(older) if older % 2 == 0 => Self::OlderPeer,
            Some(_) => Self::OlderPeerStarttime,
        }
    }

    /// Whether it is the older lock, whose release is not one step: what comes after it is written down.
    pub(crate) const fn is_older(self) -> bool {
        matches!(self, Self::OlderPeer | Self::OlderPeerStarttime)
    }

    /// Whether an acquire can be cancelled while it waits.
    pub(crate) const fn can_be_cancelled(self) -> bool {
        matches!(self, Self::SessionLock)
    }

    /// Whether it gives fencing tokens.
    pub(crate) const fn tokens(self) -> Tokens {
        match self {
            Self::SessionLock => Tokens::Grow,
            _ => Tokens::Absent,
        }
    }

    /// What this lock has taken over in the directory, by its own reasons, if it counts them. No verdict rests on it.
    pub(crate) fn takeovers_by_reason(self, sessions: &Path) -> BTreeMap<&'static str, u64> {
        match self {
            Self::SessionLock => session::takeovers_by_reason(sessions),
            _ => BTreeMap::new(),
        }
    }

    /// Opens the lock directory with this lock. `grace`: what a foreign claim gets before it is reclaimed; `tenure`:
    /// how long holds of this process may follow each other, if not as long as by default.
    pub(crate) fn open(
        self,
        sessions: &Path,
        grace: Duration,
        tenure: Option<Duration>,
    ) -> anyhow::Result<Box<dyn Peer>> {
        use kernel::{ClaimLock, Flock, Order};
        use orphan::{Identity, Memory, OrphanLock};
        use seed::{SeedLock, Takeover};
        let orphan = |identity, memory| Box::new(OrphanLock::new(sessions, identity, memory));
        Ok(match self {
            Self::SessionLock => Box::new(session::SessionLock::open(sessions, grace, tenure)?),
            Self::Flock => Box::new(Flock::new(sessions)),
            Self::OlderPeer => Box::new(older::OlderLock::new(sessions, file::Format::Pid)),
            Self::OlderPeerStarttime => Box::new(older::OlderLock::new(sessions, file::Format::PidAndStart)),
            Self::DeleteCreate => Box::new(SeedLock::new(sessions, Takeover::DeleteCreate)),
            Self::RenameOver => Box::new(SeedLock::new(sessions, Takeover::RenameOver)),
            Self::OrphanSelfPid => orphan(Identity::Pid, Memory::Complete),
            Self::PidStartTime => orphan(Identity::PidAndStart, Memory::Complete),
            Self::EarlyMapDelete => orphan(Identity::Pid, Memory::ForgetsEarly),
            Self::MapHalfFix => orphan(Identity::Pid, Memory::RemembersLate),
            Self::UnlockBeforeUnlink => Box::new(ClaimLock::new(sessions, Order::UnlockThenUnlink)),
            Self::DeletableClaim => Box::new(ClaimLock::new(sessions, Order::UnlinkThenUnlock)),
            Self::ProbelessTakeover => Box::new(probeless::ProbelessLock::new(sessions, grace)),
            Self::Careless => Box::new(careless::Careless::new(sessions)),
        })
    }
}

/// The name of the session that a lock protects.
pub(crate) fn session(lock: u16) -> String {
    format!("{lock}.jsonl")
}
