//! Heal: what a living holder does when its claim's path may have changed.
//!
//! | State | Operation | Completion → next state |
//! |---|---|---|
//! | `Check` | compare the path with the held claim | done → intact · replaced → lost · gone → `Publish` |
//! | `Publish` | create a claim, complete and locked | done → restored · exists → lost |
//!
//! Healing and releasing one hold exclude each other; the arbiter range stays locked throughout.

use super::{Completion, LossCause, Machine, Operation, Step, mismatch};

/// Looks after the claim of one hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heal {
    state: State,
    token: u64,
}

/// What healing found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Healed {
    /// The path names our claim.
    Intact,
    /// The claim was deleted, and a new one is there, locked; the old one can be closed.
    Restored,
    /// Somebody else's file is there.
    Lost(LossCause),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Check,
    Publish,
    End(Healed),
}

impl Heal {
    /// A machine for the hold with this fencing token.
    #[must_use]
    pub const fn new(token: u64) -> Self {
        Self { state: State::Check, token }
    }
}

impl Machine for Heal {
    type Output = Healed;

    fn poll(&self) -> Step<Healed> {
        Step::Do(match self.state {
            State::Check => Operation::CheckClaim,
            State::Publish => Operation::PublishClaim { token: self.token },
            State::End(healed) => return Step::Done(healed),
        })
    }

    fn resume(&mut self, completion: Completion) {
        use Completion as C;
        self.state = match (self.state, completion) {
            (State::Check, C::Done) => State::End(Healed::Intact),
            (State::Check, C::Gone) => State::Publish,
            (State::Check, C::Replaced) | (State::Publish, C::Exists) => State::End(Healed::Lost(LossCause::Replaced)),
            (State::Publish, C::Done) => State::End(Healed::Restored),
            (state, completion) => mismatch(&state, completion),
        };
    }
}
