//! A script: who does what, one act after another, whatever the protocol would do.
//!
//! What the search proves is worth as much as its kernel is right. So the test `conformance` plays scripts twice, here and
//! with the crate's own driver on a file system, and compares after each act what the actor was told and which files
//! have names. [`Simulated`] is the simulated side, [`random()`] makes scripts.
//!
//! A script is *legal* where each operation has what it works on: an open claim, a pin, a name to make. It need not be one that
//! the machines produce. Left out, with the reason:
//!
//! - A claim that a process made itself is closed only while the path does not name it: the machines look before they close.
//! - A claim is overwritten only under its lock, and an older peer writes only into a file that is still empty: what
//!   becomes of two payloads in one file is not simulated either.
//! - Waits: they have no effect, and when they end is anybody's guess. The arbiter that would have to be waited for is *busy*.
//! - A sweeper that stops between its look and its lock. Alone, it removes less than the search lets it.
//!
//! Inodes are compared as *the same file or another*, among files that somebody has named, open or pinned. The
//! simulated kernel gives a number out again at once, which a real one may do and mostly does not; so both sides agree
//! as long as no file of the one is two files of the other. That something keeps a number from reuse shows in the answers:
//! a pin that did not would let a probe find *its* file where another one is.

mod random;
mod simulated;
mod text;

use session_lock::Spares;
use session_lock::protocol::{Completion, Inode, Operation};

pub use random::random;
pub use simulated::Simulated;
pub use text::NotThis;

/// Who takes part, and what they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Who takes part.
    pub cast: Cast,
    /// What they do, in order. Acts that are not legal where they stand are not done.
    pub acts: Vec<Act>,
}

/// Who takes part. None of the processes has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// Processes of this crate: at most [`Cast::MAX_PROCESSES`].
    pub processes: u8,
    /// Older peers: at most [`Cast::MAX_OLDER`].
    pub older: u8,
    /// Whether the processes make spares.
    pub spares: Spares,
}

/// One act. The numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// A process of this crate.
    Process(u8, Deed),
    /// An older peer.
    Older(u8, OlderDeed),
    /// Somebody who reads the claim and keeps it open.
    Reader(ReaderDeed),
    /// Somebody who deletes files.
    Delete(Deletion),
}

/// What a process of this crate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// It starts, and opens the arbiter.
    Start,
    /// One operation of the protocol that does not wait.
    Operate(Operation),
    /// Its acquire is over, and its hold begins: what follows is done as healing and releasing do it.
    Hold,
    /// Its hold is over, and an acquire begins with what it had.
    HandOn,
    /// It removes the spares that dead processes left.
    Sweep,
    /// It ends in good order, between two acquires.
    End,
    /// SIGKILL.
    Kill,
}

/// What an older peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OlderDeed {
    /// Creates the claim with `O_EXCL`.
    Create,
    /// Writes its payload.
    Write,
    /// Closes its claim.
    Close,
    /// Unlinks whatever the path names.
    Unlink,
    /// SIGKILL; another one takes its place.
    Kill,
}

/// What a reader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReaderDeed {
    /// Opens and reads the claim. What it had open before is closed.
    Read,
    /// Closes it.
    Close,
}

/// What somebody deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deletion {
    /// The claim.
    Claim,
    /// The arbiter.
    Arbiter,
    /// The names of the spares.
    Spares,
    /// The state directory with all that is in it.
    State,
}

/// What an act came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// What the machine is told; in the same words, what others see. An arbiter that is locked is *busy*.
    Completed(Completion),
    /// A sweep: so many spares.
    Swept(usize),
    /// A reader: what is in the claim.
    Found(Found),
    /// No answer that the protocol knows.
    Failed(String),
}

/// What is in a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// Nothing.
    Empty,
    /// An older peer's payload.
    Foreign,
    /// A payload of this crate.
    Ours,
}

/// What can be seen from outside after an act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The file that the claim's path names.
    pub claim: Option<Inode>,
    /// The files that have a spare's name.
    pub spares: Vec<Inode>,
    /// Whether the arbiter's path names a file.
    pub arbiter: bool,
}

impl Cast {
    /// The most processes of this crate.
    pub const MAX_PROCESSES: u8 = 3;
    /// The most older peers.
    pub const MAX_OLDER: u8 = 2;
}

impl Act {
    /// Each act that somebody of this cast can do at some time.
    pub fn all(cast: Cast) -> impl Iterator<Item = Self> {
        let processes = (0..cast.processes).flat_map(|number| Deed::all().map(move |deed| Self::Process(number, deed)));
        let older =
            (0..cast.older).flat_map(|number| OlderDeed::ALL.iter().map(move |deed| Self::Older(number, *deed)));
        let readers = ReaderDeed::ALL.iter().copied().map(Self::Reader);
        processes.chain(older).chain(readers).chain(Deletion::ALL.iter().copied().map(Self::Delete))
    }
}

impl Deed {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let operations = text::OPERATIONS.iter().map(|(_, operation)| Self::Operate(*operation));
        [Self::Start, Self::Hold, Self::HandOn, Self::Sweep, Self::End, Self::Kill].into_iter().chain(operations)
    }
}

impl OlderDeed {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Create, Self::Write, Self::Close, Self::Unlink, Self::Kill];
}

impl ReaderDeed {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Read, Self::Close];
}

impl Deletion {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Claim, Self::Arbiter, Self::Spares, Self::State];
}
