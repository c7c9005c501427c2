//! The programs of the peers by name, and what a step of one is. The steps themselves are in `round`.

use super::round::{self, Round};

/// What a peer does, again and again until its rounds are over. See the table in `model/peer/mod.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Create with `O_EXCL`, hold with the file open, close, unlink. Takes nothing over.
    Ideal,
    /// Judges by pid and start time; unlinks a dead owner's claim, then creates its own.
    DeleteCreate,
    /// The same, and takes what it cannot read for a dead owner's.
    DeleteCreateHasty,
    /// The same as [`DeleteCreate`](Self::DeleteCreate), each attempt under the lock of a file that nobody deletes.
    DeleteCreateGuarded,
    /// Judges by pid and start time; renames a claim of its own over a dead owner's, then opens it.
    RenameOver,
    /// The same, each attempt under the lock of a file that nobody deletes.
    RenameOverGuarded,
    /// Takes a claim with its own pid, which its process does not remember, for an orphan and unlinks it.
    OrphanSelfPid,
    /// The same by pid and start time.
    PidStartTime,
    /// The same by pid, start time and PID namespace.
    PidNamespace,
    /// An orphan is what has the own pid; forgets its claim before that is gone.
    EarlyMapDelete,
    /// An orphan is what has the own pid; remembers its claim after that is there.
    MapHalfFix,
    /// An orphan is what has the own pid; the entry is there before the claim and as long, and there is one at a time.
    MapReserved,
    /// A kernel lock on the claim itself; unlocks it, then unlinks it.
    UnlockBeforeUnlink,
    /// A kernel lock on the claim itself; unlinks it, then unlocks it.
    DeletableClaim,
    /// A kernel lock on a file that nobody deletes; the claim only tells people.
    PermanentLock,
}

/// What tells that a claim is one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Mine {
    Pid,
    PidAndStart,
    PidStartAndNamespace,
}

/// One thing that a peer does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Call {
    /// Waits until nothing has the claim's name, and creates it.
    CreateWhenFree,
    /// Creates the claim. No: there is one.
    Create,
    /// Opens the claim, or creates it.
    OpenOrCreate,
    /// Opens the claim to read it. No: there is none.
    OpenToRead,
    /// Reads the opened claim and closes it. No: it does not say who owns it, or not yet.
    Read,
    /// Whether somebody has the pid that was read.
    AskPid,
    /// Whether who has that pid has the start time that was read, too.
    AskStart,
    /// Whether the claim that was read is one's own and not in the process's map.
    AskMap(Mine),
    /// The same without a look at the map.
    AskSelf(Mine),
    /// Waits until the map has no entry, and makes one.
    Reserve,
    /// Makes an entry in the map.
    Remember,
    /// Removes it.
    Forget,
    /// Writes the payload into the open claim.
    Write,
    /// Writes a payload into a file with a name of its own.
    Prepare,
    /// Renames that over the claim.
    Rename,
    /// Opens the claim to hold it. No: there is none.
    Reopen,
    /// Whether the path names the open claim.
    CheckPath,
    /// Waits for the open claim's kernel lock.
    Flock,
    /// Gives it back.
    Funlock,
    /// Waits for the kernel lock of the file that nobody deletes.
    LockPermanent,
    /// Gives it back.
    UnlockPermanent,
    /// Closes the claim.
    Close,
    /// Removes whatever has the claim's name, at a release.
    Unlink,
    /// The same, at a takeover.
    Evict,
}

/// A call, and which step comes next.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Step {
    pub(in crate::model) call: Call,
    pub(in crate::model) yes: u8,
    pub(in crate::model) no: u8,
}

/// After the last step: the round is over.
pub(in crate::model) const END: u8 = u8::MAX;

/// The call's answer decides.
pub(super) const fn ask(call: Call, yes: u8, no: u8) -> Step {
    Step { call, yes, no }
}

/// There is one way to go on.
pub(super) const fn then(call: Call, next: u8) -> Step {
    Step { call, yes: next, no: next }
}

impl Step {
    /// Whether the program learns something from the kernel here, later than it happens there.
    pub(in crate::model) fn is_answered(self) -> bool {
        self.yes != self.no && !matches!(self.call, Call::AskMap(_) | Call::AskSelf(_))
    }
}

impl Program {
    const fn round(self) -> &'static Round {
        match self {
            Self::Ideal => &round::IDEAL,
            Self::DeleteCreate => &round::DELETE_CREATE,
            Self::DeleteCreateHasty => &round::DELETE_CREATE_HASTY,
            Self::DeleteCreateGuarded => &round::DELETE_CREATE_GUARDED,
            Self::RenameOver => &round::RENAME_OVER,
            Self::RenameOverGuarded => &round::RENAME_OVER_GUARDED,
            Self::OrphanSelfPid => &round::ORPHAN_SELF_PID,
            Self::PidStartTime => &round::PID_START_TIME,
            Self::PidNamespace => &round::PID_NAMESPACE,
            Self::EarlyMapDelete => &round::EARLY_MAP_DELETE,
            Self::MapHalfFix => &round::MAP_HALF_FIX,
            Self::MapReserved => &round::MAP_RESERVED,
            Self::UnlockBeforeUnlink => &round::UNLOCK_BEFORE_UNLINK,
            Self::DeletableClaim => &round::DELETABLE_CLAIM,
            Self::PermanentLock => &round::PERMANENT_LOCK,
        }
    }

    /// The step that comes at this place.
    pub(in crate::model) fn step(self, at: u8) -> Step {
        self.round().steps[usize::from(at)]
    }

    /// Whether a peer that is at this place holds.
    pub(in crate::model) fn holds(self, at: u8) -> bool {
        self.round().holds.contains(&at)
    }
}

#[cfg(test)]
mod tests {
    use super::{END, Program};

    const ALL: [Program; 15] = [
        Program::Ideal,
        Program::DeleteCreate,
        Program::DeleteCreateHasty,
        Program::DeleteCreateGuarded,
        Program::RenameOver,
        Program::RenameOverGuarded,
        Program::OrphanSelfPid,
        Program::PidStartTime,
        Program::PidNamespace,
        Program::EarlyMapDelete,
        Program::MapHalfFix,
        Program::MapReserved,
        Program::UnlockBeforeUnlink,
        Program::DeletableClaim,
        Program::PermanentLock,
    ];

    /// A number in a table that is wrong would make a peer do something else than its name says.
    #[test]
    fn every_step_is_reached_and_leads_to_one_that_exists() {
        for program in ALL {
            let steps = program.round().steps;
            let (mut reached, mut ahead) = (vec![false; steps.len()], vec![0]);
            let mut ends = false;
            while let Some(at) = ahead.pop() {
                if at == END {
                    ends = true;
                } else if !std::mem::replace(&mut reached[usize::from(at)], true) {
                    let step = program.step(at);
                    ahead.extend([step.yes, step.no]);
                }
            }
            assert!(ends, "{program:?} has an end");
            assert!(reached.iter().all(|reached| *reached), "{program:?}: {reached:?}");
        }
    }
}
