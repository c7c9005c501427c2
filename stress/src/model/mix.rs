//! The catalogue of mixes: who takes part together, and in which suite.

use super::peer::{Identity, Part, Position, Program};
use super::property::Property;
use super::scenario::{Learning, Leftover, Scenario};

/// A scenario of the catalogue. All properties are checked in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Where it belongs.
    pub suite: Suite,
    /// What it is. Its name is the mix's.
    pub scenario: Scenario,
}

/// How large a mix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Seconds in a test build: part of `cargo test`.
    Small,
    /// Part of every `stress check`.
    Usual,
    /// Part of `stress check --deep`: minutes, and some GB of memory.
    Deep,
}

const ANY: u8 = Scenario::UNBOUNDED;

const THIEF: Part =
    Part { program: Program::DeleteCreate, position: Position::Beside, identity: Identity::of(1), rounds: ANY };

/// Processes of this crate that acquire as often as they like, of which two can be killed.
const fn processes(name: &'static str, processes: u8) -> Scenario {
    Scenario {
        name,
        processes,
        tasks: 1,
        sweepers: 0,
        rounds: ANY,
        older: 0,
        older_rounds: ANY,
        parts: &[],
        readers: 0,
        spares: true,
        leftover: Leftover::None,
        claim_deletions: 0,
        state_directory_deletions: 0,
        crashes: 2,
        cancellations: 0,
        refusals: 0,
        learning: Learning::AtOnce,
        ablation: None,
        properties: Property::ALL,
        state_bound: usize::MAX,
    }
}

impl Scenario {
    /// Beside so many ideal older peers.
    const fn older(self, older: u8) -> Self {
        Self { older, ..self }
    }

    /// Beside a peer in the same PID namespace that unlinks the claim of whom it finds dead.
    const fn thief(self) -> Self {
        Self { parts: &[THIEF], ..self }
    }

    /// Beside an operator who deletes the claim as often as he likes.
    const fn operator(self) -> Self {
        Self { claim_deletions: ANY, ..self }
    }

    /// Beside somebody who deletes the state directory once.
    const fn directory(self) -> Self {
        Self { state_directory_deletions: 1, ..self }
    }

    /// Beside somebody who reads the claim.
    const fn reader(self) -> Self {
        Self { readers: 1, ..self }
    }

    /// Beside so many sweepers.
    const fn sweepers(self, sweepers: u8) -> Self {
        Self { sweepers, ..self }
    }

    /// The first process has so many tasks.
    const fn tasks(self, tasks: u8) -> Self {
        Self { tasks, ..self }
    }

    /// Everybody acquires once only.
    const fn once(self) -> Self {
        Self { rounds: 1, older_rounds: 1, ..self }
    }

    /// Any acquire can be cancelled or fail between two operations.
    const fn cancelled(self) -> Self {
        Self { cancellations: ANY, ..self }
    }

    /// Any open and any probe can have no answer.
    const fn refused(self) -> Self {
        Self { refusals: ANY, ..self }
    }

    /// So many SIGKILLs.
    const fn crashes(self, crashes: u8) -> Self {
        Self { crashes, ..self }
    }
}

impl Mix {
    /// All of them, the small ones first.
    pub const ALL: &'static [Self] = &[
        small(processes("2-older", 2).older(1)),
        small(processes("2-operator-cancel", 2).operator().cancelled().beside_the_dead()),
        small(processes("2-older-refusals", 2).older(1).crashes(1).refused()),
        small(processes("2-tasks", 1).tasks(2).operator().beside_the_dead()),
        small(processes("2-sweeper-reader", 2).sweepers(1).reader().beside_the_dead().crashes(1)),
        small(processes("2-directory", 2).directory().crashes(1)),
        usual(processes("4", 4).beside_the_dead()),
        usual(processes("3-older-older", 3).older(2)),
        usual(processes("3-older-operator", 3).older(1).operator()),
        usual(processes("3-older-directory-1-round", 3).older(1).directory().once()),
        usual(processes("3-operator-directory-1-round", 3).operator().directory().once()),
        usual(processes("3-directory-reader-1-round", 3).directory().reader().once()),
        usual(processes("3-directory-sweeper-1-round", 3).directory().sweepers(1).once()),
        usual(processes("3-older-reader", 3).older(1).reader()),
        usual(processes("3-older-sweeper", 3).older(1).sweepers(1)),
        usual(processes("3-operator-reader", 3).operator().reader().beside_the_dead()),
        usual(processes("3-operator-sweeper", 3).operator().sweepers(1).beside_the_dead()),
        usual(processes("3-reader-sweeper", 3).reader().sweepers(1).beside_the_dead()),
        usual(processes("3-sweeper-sweeper", 3).sweepers(2).beside_the_dead()),
        usual(processes("3-tasks-operator-cancel", 2).tasks(2).operator().cancelled().beside_the_dead()),
        usual(processes("3-tasks-older", 2).tasks(2).older(1).cancelled()),
        usual(processes("3-tasks-directory", 2).tasks(2).directory().beside_the_dead()),
        usual(processes("3-tasks-older-operator", 2).tasks(2).older(1).operator()),
        usual(processes("3-tasks-operator-directory-1-round", 2).tasks(2).operator().directory().once()),
        usual(processes("4-tasks-operator", 2).tasks(3).operator().beside_the_dead()),
        usual(processes("3-older-operator-refusals", 3).older(1).operator().refused().cancelled()),
        usual(processes("3-older-operator-no-spares", 3).older(1).operator().without_spares()),
        usual(processes("2-thief", 2).thief().beside_the_dead()),
        deep(processes("3-older-directory", 3).older(1).directory()),
        deep(processes("3-operator-directory", 3).operator().directory().beside_the_dead()),
        deep(processes("3-directory-reader", 3).directory().reader().beside_the_dead()),
        deep(processes("3-directory-sweeper", 3).directory().sweepers(1).beside_the_dead()),
        deep(processes("4-operator-cancel-refusals", 4).operator().cancelled().refused().beside_the_dead()),
    ];

    /// The mix of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|mix| mix.name() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.scenario.name
    }
}

const fn small(scenario: Scenario) -> Mix {
    Mix { suite: Suite::Small, scenario }
}

const fn usual(scenario: Scenario) -> Mix {
    Mix { suite: Suite::Usual, scenario }
}

const fn deep(scenario: Scenario) -> Mix {
    Mix { suite: Suite::Deep, scenario }
}
