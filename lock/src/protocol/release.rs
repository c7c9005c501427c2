//! Release: the file goes first, the locks after it.
//!
//! | State | Operation | Completion → next state |
//! |---|---|---|
//! | `Check` | compare the path with the held claim | done → `Unlink`, or the end, handed on · gone, replaced → `Unlock`, lost |
//! | `Unlink` | remove the path | done → `Unlock`, unlinked · gone → `Unlock`, lost |
//! | `Unlock` | unlock the arbiter range | done → `Close` |
//! | `Close` | close the claim | done → end |
//!
//! Unlinking after the unlock would remove the next holder's claim; so would unlinking a path that names another
//! file. The process-local turn passes on only after the end.
//!
//! Where somebody in the same process waits for the turn, claim and locks may go on with it: then the path stays as it
//! is and the next holder's [`Acquire`](super::Acquire::handed_on) goes on from there.

use super::{Completion, LossCause, Machine, Operation, Step, mismatch};

/// Ends one hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Release {
    state: State,
    successor: Successor,
}

/// Who is to hold next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Successor {
    /// Whoever gets the lock.
    Anyone,
    /// A waiter of this process, which gets claim and locks as they are.
    OwnWaiter,
}

/// What became of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Released {
    /// It was ours and is unlinked.
    Unlinked,
    /// The path did not name it any more, and nothing was unlinked.
    Lost(LossCause),
    /// It is ours, and stays for the next holder of this process, as do the locks.
    HandedOn,
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
    pub const fn new(successor: Successor) -> Self {
        Self { state: State::Check, successor }
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
            (State::Check, C::Done) => match self.successor {
                Successor::Anyone => State::Unlink,
                Successor::OwnWaiter => State::End(Released::HandedOn),
            },
            (State::Check | State::Unlink, C::Gone) => State::Unlock(Released::Lost(LossCause::Deleted)),
            (State::Check, C::Replaced) => State::Unlock(Released::Lost(LossCause::Replaced)),
            (State::Unlink, C::Done) => State::Unlock(Released::Unlinked),
            (State::Unlock(released), C::Done) => State::Close(released),
            (State::Close(released), C::Done) => State::End(released),
            (state, completion) => mismatch(&state, completion),
        };
    }
}
