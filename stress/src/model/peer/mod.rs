//! The peers of a search: older locks beside this crate, and the known-broken ones in its place.
//!
//! A peer has a [`Program`], and each step of it is one system call, or one thing that it does by itself. Where the program
//! decides on an answer of the kernel, it learns the answer in a later move than the kernel gives it.
//!
//! | Program | Takes over | What goes wrong |
//! |---|---|---|
//! | `Ideal` | nothing | nothing, but a dead owner's claim stays |
//! | `DeleteCreate` | unlinks what names a dead pid, or another start time; creates | two see the dead owner; the second unlinks what the first has created |
//! | `DeleteCreateHasty` | also what cannot be read (yet) | the same, and it unlinks a claim between its creation and its payload |
//! | `RenameOver` | renames a claim of its own over a dead owner's; opens what the path names then | two see the dead owner; both renames succeed |
//! | `OrphanSelfPid` | unlinks what has its own pid and is not in its process's map | somebody alive in another PID namespace has that pid |
//! | `PidStartTime` | the same with pid and start time | and was started in the same tick |
//! | `EarlyMapDelete` | as `OrphanSelfPid` | the entry goes before the claim: another task takes that for an orphan, and of the two unlinks the later one removes a new claim |
//! | `MapHalfFix` | as `OrphanSelfPid` | the entry comes after the claim: another task unlinks that |
//! | `UnlockBeforeUnlink` | what is not locked | the next one locks the claim, then it is unlinked |
//! | `DeletableClaim` | what is not locked | nothing, until the operator deletes a claim that is locked |
//!
//! Mended, in the same order, each with the least change: `DeleteCreateGuarded` and `RenameOverGuarded` make each attempt
//! under a kernel lock on a file that nobody deletes; `PidNamespace` compares the PID namespace too; `MapReserved` has one
//! task at a time try, and its entry is there as long as the claim; `DeletableClaim` unlinks before it unlocks;
//! `PermanentLock` locks a file that nobody deletes.
//!
//! # Processes
//!
//! A peer is a task of the process that has its pid in its PID namespace: tasks share the pid, the start time, the map and
//! their death. `kill(pid, 0)` and /proc look in one's own namespace. After a SIGKILL the process starts again with the
//! same pid and the next start time. A file that it had under a name of its own is gone: nobody else looks there.
//!
//! A peer that judges by pid takes a claim of this crate for a living owner's while a process of this crate has it open and locked, if it is in
//! the namespace of [`Identity::OURS`]; from any other namespace, it takes it for a dead owner's. A claim whose payload
//! names nobody (a [`Leftover`](super::Leftover), or a peer that [is nobody](Identity::NOBODY)) counts as a dead owner's.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::kernel::Slot;
use super::scenario::spend;

mod effect;
mod line;
mod program;
mod round;

pub(super) use line::{line, name};
pub(super) use program::Call;
pub use program::Program;
use program::{END, Step};

/// The part that a peer plays in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// What it does.
    pub program: Program,
    /// What it has to keep.
    pub position: Position,
    /// Its first life; the start time grows with each that follows.
    pub identity: Identity,
    /// How often it acquires; a crash ends the round. May be [`Scenario::UNBOUNDED`](super::Scenario::UNBOUNDED).
    pub rounds: u8,
}

/// What a peer has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// Shares the directory with this crate: an older peer, whose exclusions have exceptions.
    Beside,
    /// In this crate's place: has to keep this crate's promises, without an exception.
    InPlace,
}

/// Who a payload says that its owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The pid in its namespace.
    pub pid: u8,
    /// When the process was started, in ticks.
    pub start: u8,
    /// The PID namespace.
    pub namespace: u8,
}

/// One peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    program: Program,
    pub(super) position: Position,
    identity: Identity,
    life: Life,
    /// The step that comes next.
    at: u8,
    /// What the kernel has answered and it does not know yet.
    answer: Option<Answer>,
    /// The file that it has open, or has made under a name of its own.
    file: Option<Open>,
    /// Whether it has locked the file that nobody deletes.
    guard: bool,
    /// Whom the claim names that it has read.
    read: Option<Identity>,
    /// Its process's map has an entry. Kept with the process's first task.
    remembered: bool,
    /// The file that it made, while that is linked: the model's own knowledge.
    pub(super) own: Option<Slot>,
    /// See [`Property`](super::Property).
    pub(super) void: bool,
    /// The rounds that it has not finished.
    rounds_left: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    /// Not started yet, or killed.
    Absent,
    Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Open {
    slot: Slot,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Read,
    Write,
    /// For writing, and locked (flock).
    Locked,
    /// Closed, but it has a name of its own.
    Aside,
}

impl Identity {
    /// Nobody who lives: what a payload without a usable pid names.
    pub const NOBODY: Self = Self { pid: 0, start: 0, namespace: 0 };
    /// Every living process of this crate, as others see it.
    pub const OURS: Self = Self { pid: u8::MAX, start: 0, namespace: 1 };

    /// A process in the PID namespace of this crate's processes.
    #[must_use]
    pub const fn of(pid: u8) -> Self {
        Self { pid, start: 1, namespace: Self::OURS.namespace }
    }

    /// The same pid and start time in another PID namespace.
    #[must_use]
    pub const fn in_namespace(self, namespace: u8) -> Self {
        Self { namespace, ..self }
    }

    fn is_process_of(self, other: Self) -> bool {
        self.pid == other.pid && self.namespace == other.namespace && self != Self::NOBODY
    }
}

/// One word for the fingerprint.
impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(u32::from_le_bytes([self.pid, self.start, self.namespace, 0]));
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NOBODY => f.write_str("a dead pid"),
            Self::OURS => f.write_str("the pid of a living process of this crate"),
            Self { pid, start, namespace } => write!(f, "pid {pid}, start {start}, namespace {namespace}"),
        }
    }
}

impl Part {
    /// An ideal older peer that names nobody whom others could ask for: it is there from the beginning.
    pub(super) const fn ideal(rounds: u8) -> Self {
        Self { program: Program::Ideal, position: Position::Beside, identity: Identity::NOBODY, rounds }
    }
}

impl Peer {
    pub(super) fn new(part: Part) -> Self {
        let Part { program, position, identity, rounds } = part;
        Self {
            program,
            position,
            identity,
            life: if identity == Identity::NOBODY { Life::Running } else { Life::Absent },
            at: 0,
            answer: None,
            file: None,
            guard: false,
            read: None,
            remembered: false,
            own: None,
            void: false,
            rounds_left: rounds,
        }
    }

    /// From its acquire's end to the first step of its release.
    pub(super) fn is_holding(&self) -> bool {
        self.program.holds(self.at)
    }

    /// It is between two rounds, or waits at the beginning of one.
    pub(super) fn is_at_rest(&self) -> bool {
        self.at == 0 && self.answer.is_none()
    }

    /// Whether it has this file open for writing, as the kernel tells a probe.
    pub(super) fn writes(&self, slot: Slot) -> bool {
        self.file.is_some_and(|file| file.slot == slot && matches!(file.way, Way::Write | Way::Locked))
    }

    /// The file that it keeps from being freed.
    pub(super) fn uses(&self) -> Option<Slot> {
        self.file.map(|file| file.slot)
    }

    /// Its claim is at the path and not open, but it has something to do there yet: what a grace is for.
    pub(super) fn delays_grace(&self) -> bool {
        let stops = self.at != 0 && self.answer.is_none() && matches!(self.step().call, Call::Unlink | Call::Reopen);
        stops && self.file.is_none()
    }

    /// What it does next.
    pub(super) fn next_call(&self) -> Call {
        self.step().call
    }

    fn step(&self) -> Step {
        self.program.step(self.at)
    }

    fn go(&mut self, step: Step, answer: Answer) {
        self.at = match answer {
            Answer::Yes => step.yes,
            Answer::No => step.no,
        };
        match self.at {
            END => self.next_round(),
            0 => *self = Self { read: None, own: None, void: false, ..*self },
            _ => {}
        }
    }

    /// After its last step or its death, the next round can begin.
    fn next_round(&mut self) {
        let Self { program, position, identity, mut rounds_left, .. } = *self;
        spend(&mut rounds_left);
        let fresh = Self::new(Part { program, position, identity, rounds: rounds_left });
        *self = Self { life: self.life, remembered: self.remembered, ..fresh };
    }
}
