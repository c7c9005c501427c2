//! The locks that are known to be broken, each in a small scenario that shows what is broken: a search that cannot find
//! them proves nothing. Beside each, the same with the flaw mended: a search that blames that one cries wolf.
//!
//! The counterexamples are kept in `stress/tests/controls/`; `stress/tests/controls.rs` says how they are written anew.
//!
//! The names are those of `stress selftest`, which runs the same locks as real processes. What each does stands in the
//! table of `model/peer/mod.rs`; a control is in the place of this crate, so it has to keep this crate's promises.
//!
//! | Control | In the scenario | Breaks | Mended by |
//! |---|---|---|---|
//! | `delete-create`, `rename-over` | two processes, a dead owner's claim | `ExclusionNewNew` | each attempt under a kernel lock on a permanent file |
//! | `orphan-self-pid` | two processes with one pid, in two PID namespaces | `ExclusionNewNew` | comparing the namespace too |
//! | `pid-start-time` | and with one start time | `ExclusionNewNew` | comparing the namespace too |
//! | `early-map-delete`, `map-half-fix` | two tasks of one process, another process | `ExclusionNewNew` | an entry that is there before the claim and as long |
//! | `unlock-before-unlink` | two processes | `ExclusionNewNew` | unlinking before unlocking |
//! | `deletable-claim` | two processes, an operator who deletes the claim once | `ExclusionNewNew` | a kernel lock on a permanent file |
//! | `probeless-takeover` | this crate without its probe, an ideal older peer | `ExclusionNewOlder` | the probe |

use std::fmt;

use super::ablation::Ablation;
use super::peer::{Identity, Part, Position, Program};
use super::property::Property;
use super::scenario::Scenario;

/// A lock that is known to be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// Unlinks a dead owner's claim, then creates its own.
    DeleteCreate,
    /// Renames its own claim over a dead owner's.
    RenameOver,
    /// Takes a claim with its own pid for its own orphan.
    OrphanSelfPid,
    /// Takes a claim with its own pid and start time for its own orphan.
    PidStartTime,
    /// Forgets that it holds before the claim is gone.
    EarlyMapDelete,
    /// Forgets in time, but remembers too late.
    MapHalfFix,
    /// Unlocks its claim, then unlinks it.
    UnlockBeforeUnlink,
    /// A kernel lock on a claim that anybody may delete.
    DeletableClaim,
    /// Takes an older peer's claim over after the grace, without asking whether it is open.
    ProbelessTakeover,
}

impl Control {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::DeleteCreate,
        Self::RenameOver,
        Self::OrphanSelfPid,
        Self::PidStartTime,
        Self::EarlyMapDelete,
        Self::MapHalfFix,
        Self::UnlockBeforeUnlink,
        Self::DeletableClaim,
        Self::ProbelessTakeover,
    ];

    /// Its name, the same as that of the worker in `stress selftest`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeleteCreate => "delete-create",
            Self::RenameOver => "rename-over",
            Self::OrphanSelfPid => "orphan-self-pid",
            Self::PidStartTime => "pid-start-time",
            Self::EarlyMapDelete => "early-map-delete",
            Self::MapHalfFix => "map-half-fix",
            Self::UnlockBeforeUnlink => "unlock-before-unlink",
            Self::DeletableClaim => "deletable-claim",
            Self::ProbelessTakeover => "probeless-takeover",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|control| control.name() == name)
    }

    /// Where the defect shows: a search finds a counterexample.
    #[must_use]
    pub const fn scenario(self) -> Scenario {
        let scenario = match self {
            Self::DeleteCreate => alone(&const { processes(Program::DeleteCreate, 1) }).beside_the_dead(),
            Self::RenameOver => alone(&const { processes(Program::RenameOver, 1) }).beside_the_dead(),
            Self::OrphanSelfPid => alone(&const { namespaces(Program::OrphanSelfPid, [1, 2]) }),
            Self::PidStartTime => alone(&const { namespaces(Program::PidStartTime, [1, 1]) }),
            Self::EarlyMapDelete => alone(&const { tasks(Program::EarlyMapDelete) }),
            Self::MapHalfFix => alone(&const { tasks(Program::MapHalfFix) }),
            Self::UnlockBeforeUnlink => alone(&const { processes(Program::UnlockBeforeUnlink, 2) }),
            Self::DeletableClaim => beside_an_operator(&const { processes(Program::DeletableClaim, 2) }),
            Self::ProbelessTakeover => probe(Some(Ablation::Probe)),
        };
        Scenario { name: self.name(), ..scenario }
    }

    /// The same with the flaw mended: every property that is checked holds.
    #[must_use]
    pub const fn mended(self) -> Scenario {
        match self {
            Self::DeleteCreate => alone(&const { processes(Program::DeleteCreateGuarded, 1) }).beside_the_dead(),
            Self::RenameOver => alone(&const { processes(Program::RenameOverGuarded, 1) }).beside_the_dead(),
            Self::OrphanSelfPid => alone(&const { namespaces(Program::PidNamespace, [1, 2]) }),
            Self::PidStartTime => alone(&const { namespaces(Program::PidNamespace, [1, 1]) }),
            Self::EarlyMapDelete | Self::MapHalfFix => alone(&const { tasks(Program::MapReserved) }),
            Self::UnlockBeforeUnlink => alone(&const { processes(Program::DeletableClaim, 2) }),
            Self::DeletableClaim => beside_an_operator(&const { processes(Program::PermanentLock, 2) }),
            Self::ProbelessTakeover => probe(None),
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const fn part(program: Program, identity: Identity, rounds: u8) -> Part {
    Part { program, position: Position::InPlace, identity, rounds }
}

/// Two processes in one PID namespace.
const fn processes(program: Program, rounds: u8) -> [Part; 2] {
    [part(program, Identity::of(1), rounds), part(program, Identity::of(2), rounds)]
}

/// Two processes that are the first in their PID namespaces, with these start times.
const fn namespaces(program: Program, [one, other]: [u8; 2]) -> [Part; 2] {
    let one = Identity { start: one, ..Identity::of(1) };
    let other = Identity { start: other, namespace: 2, ..Identity::of(1) };
    [part(program, one, 1), part(program, other, 1)]
}

/// Two tasks of one process, and another process.
const fn tasks(program: Program) -> [Part; 3] {
    [part(program, Identity::of(1), 1), part(program, Identity::of(1), 1), part(program, Identity::of(2), 1)]
}

const fn alone(parts: &'static [Part]) -> Scenario {
    Scenario {
        name: "mended",
        processes: 0,
        rounds: 0,
        older: 0,
        parts,
        claim_deletions: 0,
        crashes: 0,
        properties: &[Property::ExclusionNewNew],
        ..Scenario::minimal()
    }
}

const fn beside_an_operator(parts: &'static [Part]) -> Scenario {
    Scenario { claim_deletions: 1, ..alone(parts) }
}

/// This crate's protocol, with or without its probe.
const fn probe(ablation: Option<Ablation>) -> Scenario {
    Scenario {
        name: "mended",
        processes: 1,
        rounds: 1,
        older_rounds: 1,
        claim_deletions: 0,
        crashes: 0,
        ablation,
        properties: &[Property::ExclusionNewOlder],
        ..Scenario::minimal()
    }
}
