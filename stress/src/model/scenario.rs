//! Who takes part in a search and what may go wrong.

use super::ablation::Ablation;
use super::peer::Part;
use super::property::Property;

/// Who takes part and what may go wrong: the bounds of one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// What it is called in reports.
    pub name: &'static str,
    /// Processes of this crate: at most [`Scenario::MAX_PROCESSES`], sweepers not among them.
    pub processes: u8,
    /// How many tasks the first of them has, which take turns. The others have one. At least 1, at most
    /// [`Scenario::MAX_TASKS`].
    pub tasks: u8,
    /// Processes of this crate that only sweep: at most [`Scenario::MAX_SWEEPERS`].
    pub sweepers: u8,
    /// How often each task acquires; a crash or a cancelled acquire ends the round. May be [`Scenario::UNBOUNDED`].
    pub rounds: u8,
    /// Ideal older peers: create with `O_EXCL`, keep it open while holding, close, unlink. At most
    /// [`Scenario::MAX_PEERS`].
    pub older: u8,
    /// How often each of them acquires. May be [`Scenario::UNBOUNDED`].
    pub older_rounds: u8,
    /// Other peers: with the ideal ones at most [`Scenario::MAX_PEERS`].
    pub parts: &'static [Part],
    /// Who opens the claim for reading and closes it again, as often as they like. At most [`Scenario::MAX_READERS`].
    pub readers: u8,
    /// Whether a process keeps a spare claim between its rounds, from its first claim on.
    pub spares: bool,
    /// What is there at the beginning.
    pub leftover: Leftover,
    /// How often the operator deletes the claim. May be [`Scenario::UNBOUNDED`].
    pub claim_deletions: u8,
    /// How often somebody deletes the state directory, which takes the arbiter and the spares' names, one after the other.
    /// At most [`Scenario::MAX_ARBITERS`] - 1.
    pub state_directory_deletions: u8,
    /// How many SIGKILLs hit processes of this crate or peers. At most [`Scenario::MAX_CRASHES`].
    pub crashes: u8,
    /// How many acquires are cancelled, or fail, between two of their operations. May be [`Scenario::UNBOUNDED`].
    pub cancellations: u8,
    /// How many opens and probes have no answer (`EAGAIN`, `EACCES`). May be [`Scenario::UNBOUNDED`].
    pub refusals: u8,
    /// When a process learns of a result.
    pub learning: Learning,
    /// What is left out of the protocol, if anything.
    pub ablation: Option<Ablation>,
    /// What is checked.
    pub properties: &'static [Property],
    /// The search gives up, without a verdict, when it would have to remember more states than this.
    pub state_bound: usize,
}

/// When a process learns what a system call gave back.
///
/// What a machine does next does not depend on when it learns of a result that nobody else sees, so both find the same
/// violations: whoever acts in between could as well act after. That a hold begins, and that a turn is passed on, is
/// seen by others, and is a move of its own in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Learning {
    /// In a move of its own, always.
    Later,
    /// With the call, where nobody could tell the difference: fewer states by an order of magnitude. Tokens that nobody has
    /// any more are forgotten, and inodes have no numbers.
    AtOnce,
}

/// What is at the claim's path when a search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leftover {
    /// Nothing.
    None,
    /// A claim that a dead older peer has left.
    Foreign,
}

impl Scenario {
    /// Where something may happen any number of times.
    pub const UNBOUNDED: u8 = u8::MAX;
    /// The most processes of this crate that one scenario can have.
    pub const MAX_PROCESSES: u8 = 4;
    /// The most tasks that its first process can have.
    pub const MAX_TASKS: u8 = 3;
    /// The most sweepers that one scenario can have.
    pub const MAX_SWEEPERS: u8 = 2;
    /// The most readers that one scenario can have.
    pub const MAX_READERS: u8 = 2;
    /// The most peers, ideal ones and others, that one scenario can have.
    pub const MAX_PEERS: u8 = 4;
    /// The most arbiters that can come to be in one scenario.
    pub const MAX_ARBITERS: u8 = 4;
    /// The most SIGKILLs that one scenario can have.
    pub const MAX_CRASHES: u8 = 4;

    /// Two processes of this crate, one ideal older peer, an operator who deletes the claim, one crash; two rounds
    /// each.
    #[must_use]
    pub const fn minimal() -> Self {
        Self {
            name: "minimal",
            processes: 2,
            tasks: 1,
            sweepers: 0,
            rounds: 2,
            older: 1,
            older_rounds: 2,
            parts: &[],
            readers: 0,
            spares: true,
            leftover: Leftover::None,
            claim_deletions: 1,
            state_directory_deletions: 0,
            crashes: 1,
            cancellations: 0,
            refusals: 0,
            learning: Learning::Later,
            ablation: None,
            properties: Property::ALL,
            state_bound: 20_000_000,
        }
    }

    /// Two processes of this crate, a dead older peer's claim, and somebody who deletes the state directory: two
    /// arbiters.
    #[must_use]
    pub const fn two_arbiters() -> Self {
        Self {
            name: "two arbiters",
            older: 0,
            leftover: Leftover::Foreign,
            claim_deletions: 0,
            state_directory_deletions: 1,
            ..Self::minimal()
        }
    }

    /// Somebody deletes the state directory and the operator deletes the claim, not necessarily within one hold.
    #[must_use]
    pub const fn both_deleted() -> Self {
        Self {
            name: "both deleted",
            rounds: 1,
            older: 0,
            claim_deletions: 1,
            state_directory_deletions: 1,
            ..Self::minimal()
        }
    }

    /// The same scenario with the complete protocol.
    #[must_use]
    pub const fn complete(self) -> Self {
        Self { ablation: None, ..self }
    }

    /// The same scenario beside a dead owner's claim.
    #[must_use]
    pub const fn beside_the_dead(self) -> Self {
        Self { leftover: Leftover::Foreign, ..self }
    }

    /// The same scenario with processes that keep no spare.
    #[must_use]
    pub const fn without_spares(self) -> Self {
        Self { spares: false, ..self }
    }

    /// # Panics
    ///
    /// If it exceeds the model's bounds.
    pub(super) fn check(&self) {
        let within = self.processes <= Self::MAX_PROCESSES
            && (1..=Self::MAX_TASKS).contains(&self.tasks)
            && self.sweepers <= Self::MAX_SWEEPERS
            && usize::from(self.older) + self.parts.len() <= usize::from(Self::MAX_PEERS)
            && self.readers <= Self::MAX_READERS
            && self.state_directory_deletions < Self::MAX_ARBITERS
            && self.crashes <= Self::MAX_CRASHES;
        assert!(within, "the scenario is within the model's bounds");
    }

    /// Whether this is left out.
    pub(super) fn lacks(&self, ablation: Ablation) -> bool {
        self.ablation == Some(ablation)
    }
}

/// One less of what is bounded.
pub(super) fn spend(budget: &mut u8) {
    if *budget != Scenario::UNBOUNDED {
        *budget -= 1;
    }
}
