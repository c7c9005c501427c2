//! What a victim is in the middle of, and what its directory looks like then.

use clap::ValueEnum;

/// One story with a marked section in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// The first acquire in a directory, which makes the state directory, and its release
    First,
    /// An acquire of a lock that is free, and its release
    Acquire,
    /// The acquire with which a process makes its spare and removes a dead process's, and its release
    MakeSpare,
    /// An acquire with the spare, and its release
    Spare,
    /// An acquire that waits for another process, which releases
    WaitRelease,
    /// An acquire that waits for another process, which is killed
    WaitKill,
    /// An acquire that waits for an older peer, which releases: closes, then unlinks
    WaitOlder,
    /// An acquire that takes over what a killed process left
    TakeOver,
    /// The same, of a claim that is a spare as well
    TakeOverSpare,
    /// An acquire that takes over what a dead older peer left, after the grace
    Foreign,
    /// The same, of an empty claim
    Empty,
    /// The same, of a claim that was written in part
    Torn,
    /// A hold whose claim is deleted and put back, and its release
    Heal,
    /// A hold whose claim is replaced by somebody else's, and its release
    Lost,
    /// The release of a hold that has lasted a while
    Release,
    /// The same, while somebody in the same process waits, which gets what there is; and that one's release
    HandOn,
}

/// With this new claim a process makes a spare, and removes those of the dead. A claim that is taken over is none.
pub(super) const WITH_SPARE: u32 = 8;

/// What stands at the claim's path before the victim starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InTheWay {
    Nothing,
    Judge,
    LivingProcess,
    /// It was killed within its next hold after so many.
    DeadProcess(u32),
    /// It has its claim open.
    OlderPeer,
    /// A file that nobody has open.
    File(&'static str),
}

impl Scenario {
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Holds of the victim before its section begins.
    pub(super) const fn holds_before(self) -> u32 {
        match self {
            Self::Acquire => 1,
            Self::MakeSpare | Self::Spare => WITH_SPARE,
            _ => 0,
        }
    }

    /// Whether the victim holds the lock when its section begins.
    pub(super) const fn begins_inside(self) -> bool {
        matches!(self, Self::Heal | Self::Lost | Self::Release | Self::HandOn)
    }

    /// Whether the hold with which its section begins is followed by another one of the victim.
    pub(super) const fn hands_on(self) -> bool {
        matches!(self, Self::HandOn)
    }

    /// Whether something happens to the claim within the section.
    pub(super) const fn disturbs(self) -> bool {
        matches!(self, Self::Heal | Self::Lost)
    }

    /// Whether the victim holds the lock for so long that the lock's own thread has something to do.
    pub(super) const fn lingers(self) -> bool {
        matches!(self, Self::First)
    }

    pub(super) const fn in_the_way(self) -> InTheWay {
        match self {
            Self::WaitRelease => InTheWay::Judge,
            Self::WaitKill => InTheWay::LivingProcess,
            Self::WaitOlder => InTheWay::OlderPeer,
            Self::TakeOver => InTheWay::DeadProcess(0),
            Self::TakeOverSpare | Self::MakeSpare => InTheWay::DeadProcess(WITH_SPARE),
            Self::Foreign => InTheWay::File(OLDER),
            Self::Empty => InTheWay::File(""),
            Self::Torn => InTheWay::File("{\"pid\":4000000,\"crea"),
            _ => InTheWay::Nothing,
        }
    }
}

/// What an older peer writes. Nobody has this pid, and a claim is not judged by it.
pub(super) const OLDER: &str = "{\"pid\":4000000,\"createdAt\":\"2026-01-01T00:00:00.000Z\",\"starttime\":1}";
