//! What can be left out of the protocol, one step at a time, and the smallest scenario that shows why it is there.

use super::scenario::{Learning, Scenario};

/// Something of the protocol, or of the kernel under it, that is left out. The machines have no switches: it is the
/// simulated kernel that says yes where the real one would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ablation {
    /// The arbiter's range is granted to everybody.
    ArbiterLock,
    /// The look at the arbiter's path finds the open arbiter.
    ArbiterCheck,
    /// No claim is found to name one's own arbiter. Breaks nothing: a dead owner's lock would be free after a grace only,
    /// not at once.
    ArbiterMatch,
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
    /// The look at the path of a claim that was handed on finds one's own claim.
    HandOnCheck,
    /// The look at the path before a release's unlink finds one's own claim.
    ReleaseCheck,
    /// The arbiter's range is unlocked when a release begins, not after its unlink.
    UnlockLast,
    /// A token is the one before it again.
    Token,
    /// A new claim is published without its lock; a takeover still takes it. Breaks nothing in this model: its
    /// writer is seen by the probe, and no grace for it can have passed before.
    PublishLock,
    /// The turn is granted to every task of a process.
    Turn,
    /// The turn is passed on when a release begins, not when it has ended.
    TurnLast,
    /// Nobody looks after a held claim. Breaks nothing: a release looks at the path itself.
    Heal,
    /// The look at the path while healing finds one's own claim.
    HealCheck,
    /// The kernel does not unlock the arbiter's range when its owner dies.
    DeathUnlocks,
}

impl Ablation {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::ArbiterLock,
        Self::ArbiterCheck,
        Self::ArbiterMatch,
        Self::ClaimLock,
        Self::Probe,
        Self::Grace,
        Self::Pin,
        Self::PathCheck,
        Self::HandOnCheck,
        Self::ReleaseCheck,
        Self::UnlockLast,
        Self::Token,
        Self::PublishLock,
        Self::Turn,
        Self::TurnLast,
        Self::Heal,
        Self::HealCheck,
        Self::DeathUnlocks,
    ];

    /// Whether it shows in the answer to some operation outside a heal, and not only in who moves when.
    #[must_use]
    pub const fn changes_an_answer(self) -> bool {
        !matches!(self, Self::Grace | Self::UnlockLast | Self::Turn | Self::TurnLast | Self::Heal | Self::HealCheck)
    }

    /// Its name, the same in code, tests and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ArbiterLock => "ArbiterLock",
            Self::ArbiterCheck => "ArbiterCheck",
            Self::ArbiterMatch => "ArbiterMatch",
            Self::ClaimLock => "ClaimLock",
            Self::Probe => "Probe",
            Self::Grace => "Grace",
            Self::Pin => "Pin",
            Self::PathCheck => "PathCheck",
            Self::HandOnCheck => "HandOnCheck",
            Self::ReleaseCheck => "ReleaseCheck",
            Self::UnlockLast => "UnlockLast",
            Self::Token => "Token",
            Self::PublishLock => "PublishLock",
            Self::Turn => "Turn",
            Self::TurnLast => "TurnLast",
            Self::Heal => "Heal",
            Self::HealCheck => "HealCheck",
            Self::DeathUnlocks => "DeathUnlocks",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|ablation| ablation.name() == name)
    }

    /// What is left out, for a table.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::ArbiterLock => "the arbiter's range is granted to everybody",
            Self::ArbiterCheck => "the arbiter's path is not compared once the claim is there",
            Self::ArbiterMatch => "no claim is found to name the own arbiter",
            Self::ClaimLock => "the claim's own lock is granted to everybody",
            Self::Probe => "the probe finds no writer",
            Self::Grace => "the grace is over at once",
            Self::Pin => "a pin does not keep an inode's number from reuse",
            Self::PathCheck => "an acquire's look at the claim's path finds its own claim",
            Self::HandOnCheck => "the look at the path of a claim that was handed on finds the own claim",
            Self::ReleaseCheck => "a release's look at the claim's path finds its own claim",
            Self::UnlockLast => "a release unlocks the arbiter's range first",
            Self::Token => "a token is the one before it again",
            Self::PublishLock => "a new claim is published without its lock",
            Self::Turn => "the turn is granted to every task of the process",
            Self::TurnLast => "a release passes the turn on first",
            Self::Heal => "nobody looks after a held claim",
            Self::HealCheck => "a heal's look at the claim's path finds its own claim",
            Self::DeathUnlocks => "a dead owner's range stays locked (a wrong kernel)",
        }
    }

    /// Why it stays, if leaving it out breaks nothing.
    #[must_use]
    pub const fn reason_to_stay(self) -> Option<&'static str> {
        match self {
            Self::ArbiterMatch => Some("a dead owner's lock is free at once, not after a grace"),
            Self::PublishLock => {
                Some("the spare's lock says that its owner lives; where no probe can be had, a second witness")
            }
            Self::Heal => Some(
                "a holder learns at once, not at its release, that its claim is gone, and older peers see it again",
            ),
            _ => None,
        }
    }
}

impl Scenario {
    /// The smallest scenario known in which leaving this out breaks a property, if it does. The complete protocol
    /// holds in the same one.
    #[must_use]
    pub const fn exposing(ablation: Ablation) -> Self {
        let minimal = Self::minimal();
        let scenario = match ablation {
            Ablation::ClaimLock => Self { older: 1, older_rounds: 1, crashes: 0, ..Self::two_arbiters() },
            Ablation::PublishLock => Self::two_arbiters(),
            Ablation::ArbiterCheck => Self::both_deleted(),
            Ablation::Turn | Ablation::TurnLast => Self { name: "two tasks", tasks: 2, older: 0, ..minimal },
            Ablation::HandOnCheck => {
                Self { name: "two tasks, one older", processes: 1, tasks: 2, crashes: 0, ..minimal }
            }
            _ => minimal,
        };
        Self { rounds: 1, learning: Learning::Later, ablation: Some(ablation), ..scenario }
    }
}
