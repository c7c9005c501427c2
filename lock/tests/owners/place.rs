//! The places from which an asker asks.

use std::process::Command;

/// Which user asks, seen from the owner, who is never root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Same,
    Another,
    Root,
}

impl User {
    pub(crate) const ALL: [Self; 3] = [Self::Same, Self::Another, Self::Root];

    pub(crate) fn uid(self) -> u32 {
        match self {
            Self::Same => OWNER,
            Self::Another => OWNER + 1,
            Self::Root => 0,
        }
    }
}

/// The owners' user; nobody else's, as far as one can know.
pub(crate) const OWNER: u32 = 1_940_000_001;
/// The group that shares the directory.
pub(crate) const GROUP: u32 = 1_940_000_000;

/// One place: what its /proc hides, and what it shares with the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) hidepid: u8,
    pub(crate) foreign_pids: bool,
    pub(crate) other_time: bool,
    pub(crate) user: User,
}

impl Place {
    /// Starts a program here.
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new("unshare");
        command.args(NAMESPACES);
        if self.foreign_pids {
            command.arg("--pid");
        }
        if self.other_time {
            // Start times in /proc are shifted by the first, this crate's clock by the second.
            command.args(["--time", "--boottime", "86400", "--monotonic", "3600"]);
        }
        command
    }
}

/// Its own mounts, and a child that does not outlive `unshare`.
pub(crate) const NAMESPACES: [&str; 3] = ["--mount", "--fork", "--kill-child"];

/// proc(5): nothing is hidden, other users' details, other users' processes, all that may not be traced.
const HIDEPID: [u8; 4] = [0, 1, 2, 4];

pub(crate) fn all() -> Vec<Place> {
    let mut all = Vec::new();
    for hidepid in HIDEPID {
        for (foreign_pids, other_time) in [(false, false), (false, true), (true, false), (true, true)] {
            all.extend(User::ALL.map(|user| Place { hidepid, foreign_pids, other_time, user }));
        }
    }
    all
}
