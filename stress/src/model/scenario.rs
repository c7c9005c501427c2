//! Who takes part in a search and what may go wrong.

use super::property::Property;

/// Something of the protocol that is left out. The machines have no switches: it is the simulated kernel that says
/// yes where the real one would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ablation {
    /// The arbiter's range is granted to everybody.
    ArbiterLock,
    /// The look at the arbiter's path finds the open arbiter.
    ArbiterCheck,
    /// The claim's own lock is granted to everybody.
    ClaimLock,
    /// The probe finds no writer.
    Probe,
    /// The grace is over at once.
    Grace,
    /// A pin does not keep an inode's number from reuse.
    Pin,
    /// The look at the path after a takeover's write finds one's own claim.
    PathCheck,
    /// The look at the path before a release's unlink finds one's own claim.
    ReleaseCheck,
    /// A token is the one before it again.
    Token,
    /// A new claim is published without its lock; a takeover still takes it. Breaks nothing in this model: its
    /// writer is seen by the probe, and no grace for it can have passed before.
    PublishLock,
}

impl Ablation {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::ArbiterLock,
        Self::ArbiterCheck,
        Self::ClaimLock,
        Self::Probe,
        Self::Grace,
        Self::Pin,
        Self::PathCheck,
        Self::ReleaseCheck,
        Self::Token,
        Self::PublishLock,
    ];
}

/// Who takes part and what may go wrong: the bounds of one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// What it is called in reports.
    pub name: &'static str,
    /// Processes of this crate: at most [`Scenario::MAX_PROCESSES`].
    pub processes: u8,
    /// How often each of them acquires; a crash ends the round.
    pub rounds: u8,
    /// Ideal older peers: create with `O_EXCL`, keep it open while holding, close, unlink. At most
    /// [`Scenario::MAX_OLDER`].
    pub older: u8,
    /// How often each of them acquires.
    pub older_rounds: u8,
    /// Whether a process keeps a spare claim between its rounds, from its first claim on.
    pub spares: bool,
    /// What is there at the beginning.
    pub leftover: Leftover,
    /// How often the operator deletes the claim.
    pub claim_deletions: u8,
    /// How often somebody deletes the state directory, which takes the arbiter and the spares' names, one after the other.
    /// At most [`Scenario::MAX_ARBITERS`] - 1.
    pub state_directory_deletions: u8,
    /// How many SIGKILLs hit processes of this crate or older peers. At most [`Scenario::MAX_CRASHES`].
    pub crashes: u8,
    /// What is left out of the protocol, if anything.
    pub ablation: Option<Ablation>,
    /// What is checked.
    pub properties: &'static [Property],
    /// The search gives up, without a verdict, when it would have to remember more states than this.
    pub state_bound: usize,
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
    /// The most processes of this crate that one scenario can have.
    pub const MAX_PROCESSES: u8 = 4;
    /// The most older peers that one scenario can have.
    pub const MAX_OLDER: u8 = 4;
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
            rounds: 2,
            older: 1,
            older_rounds: 2,
            spares: true,
            leftover: Leftover::None,
            claim_deletions: 1,
            state_directory_deletions: 0,
            crashes: 1,
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

    /// The smallest scenario known in which leaving this out breaks a property, if it does. The complete protocol
    /// holds in the same one.
    #[must_use]
    pub const fn exposing(ablation: Ablation) -> Self {
        let scenario = match ablation {
            Ablation::ClaimLock => Self { older: 1, older_rounds: 1, crashes: 0, ..Self::two_arbiters() },
            Ablation::PublishLock => Self::two_arbiters(),
            Ablation::ArbiterCheck => Self::both_deleted(),
            _ => Self::minimal(),
        };
        Self { rounds: 1, ablation: Some(ablation), ..scenario }
    }

    /// The same scenario with the complete protocol.
    #[must_use]
    pub const fn complete(self) -> Self {
        Self { ablation: None, ..self }
    }

    /// The same scenario with processes that keep no spare.
    #[must_use]
    pub const fn without_spares(self) -> Self {
        Self { spares: false, ..self }
    }

    /// Whether this is left out.
    pub(super) fn lacks(&self, ablation: Ablation) -> bool {
        self.ablation == Some(ablation)
    }
}
