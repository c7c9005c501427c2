//! Release: the file goes first, the locks after it.
//!
//! | State | Operation | Completion → next state |
//! |---|---|---|
//! | `Check` | compare the path with the held claim | done → `Unlink` · gone, replaced → `Unlock`, lost |
//! | `Unlink` | remove the path | done → `Unlock`, unlinked · gone → `Unlock`, lost |
//! | `Unlock` | unlock the arbiter range | done → `Close` |
//! | `Close` | close the claim | done → end |
//!
//! Unlinking after the unlock would remove the next holder's claim; so would unlinking a path that names another
//! file. The process-local turn passes on only after the end.
//!
//! Where somebody in the same process waits for the turn, a hold may end without it: the claim stays open and locked, and
//! an [`Acquire`](super::Acquire::handed_on) goes on with it.

use super::{Completion, LossCause, Machine, Operation, Step, mismatch};

/// Ends one hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Release {
    state: State,
}

/// What became of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Released {
    /// It was ours and is unlinked.
    Unlinked,
    /// The path did not name it any more, and nothing was unlinked.
    Lost(LossCause),
}

impl Released {
    /// How the claim was lost, if it was.
    #[must_use]
    pub const fn loss(self) -> Option<LossCause> {
        match self {
            Self::Unlinked => None,
            Self::Lost(cause) => Some(cause),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Check,
    Unlink,
    Unlock(Released),
    Close(Released),
    End(Released),
}

impl Release {
    /// A machine at the start of the release.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Check }
    }
}

impl Default for Release {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine for Release {
    type Output = Released;

    fn poll(&self) -> Step<Released> {
        Step::Do(match self.state {
            State::Check => Operation::CheckClaim,
            State::Unlink => Operation::UnlinkClaim,
            State::Unlock(_) => Operation::UnlockArbiter,
            State::Close(_) => Operation::CloseClaim,
            State::End(released) => return Step::Done(released),
        })
    }

    fn resume(&mut self, completion: Completion) {
        use Completion as C;
        self.state = match (self.state, completion) {
            (State::Check, C::Done) => State::Unlink,
            (State::Check | State::Unlink, C::Gone) => State::Unlock(Released::Lost(LossCause::Deleted)),
            (State::Check, C::Replaced) => State::Unlock(Released::Lost(LossCause::Replaced)),
            (State::Unlink, C::Done) => State::Unlock(Released::Unlinked),
            (State::Unlock(released), C::Done) => State::Close(released),
            (State::Close(released), C::Done) => State::End(released),
            (state, completion) => mismatch(&state, completion),
        };
    }
}
