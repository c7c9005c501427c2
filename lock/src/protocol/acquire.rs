//! Acquire: from the process-local turn to the hold.
//!
//! | State | Operation | Completion → next state |
//! |---|---|---|
//! | `Arbitrate` | lock the arbiter range | done → `Token` |
//! | `Token` | take a token | token → `Publish` |
//! | `Renew` | take a token | token → `Write` |
//! | `Publish` | create the claim, complete and locked | done → `Settle` · exists → `Open` |
//! | `Open` | open the claim | opened → `Lock` · gone → `Publish` · busy, unknown → `Await` |
//! | `Lock` | try the claim's lock | done → `Read` · busy → `Close`, then `Await` |
//! | `Read` | read it | own arbiter, or its grace is over → `Write` · foreign → `Pin` |
//! | `Pin` | pin the inode | done → `Close`, then `Probe` · gone → `Close`, then `Open` |
//! | `Probe` | ask for writers | none → `Grace` · some, unknown → `Await` · gone → `Open` |
//! | `Grace` | wait the grace | elapsed → `Open` with the grace noted · woken → `Open` |
//! | `Await` | wait for a change | woken → `Open` |
//! | `Write` | overwrite it | done → `Check` |
//! | `Check` | compare the path | done → `Settle` · gone, replaced → `Close`, then `Publish` |
//! | `Settle` | compare the arbiter's path | done → HOLD · replaced → `Withdraw` |
//! | `Withdraw` | compare the path | done → `Remove` · gone, replaced → `Close`, then `Reopen` |
//! | `Remove` | remove the path | done, gone → `Close`, then `Reopen` |
//! | `Reopen` | unlock, open the path's arbiter | done → `Arbitrate` |
//!
//! The arbiter's path is compared once the claim is there, not before: a process that stopped in between would hold
//! under an arbiter that is gone, beside a holder under the new one whose claim was deleted meanwhile.
//!
//! A lock that the holder before has [handed on](Acquire::handed_on) begins with `Renew`: the range is locked, the claim
//! is open and locked. Everything that a hold begins with is done anew: token, payload, and a look at both paths. `Renew`,
//! `Write` and `Check` are the holder's before, as long as it knows for whom ([`Acquire::is_renewing`]): the look tells it
//! what became of its claim. The rest is the next holder's. Who reads the claim without a lock meanwhile may find the end
//! of the payload before it; pid and start time stand in front and stay.
//!
//! The grace is noted for one inode, and that inode stays pinned until the machine ends or opens another one:
//! a number that came back after a reuse would let a second owner's late unlink remove our claim.

#![expect(clippy::match_same_arms, reason = "the arms are the rows of the table")]

use super::{Completion, Inode, Machine, Operation, Refusal, Standing, Step, mismatch};

/// Acquires one session's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Acquire {
    state: State,
    token: u64,
    /// The pinned inode whose grace has passed.
    graced: Option<Inode>,
}

/// How the lock was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acquired {
    /// There was no claim, or it was handed on.
    Fresh {
        /// The hold's fencing token.
        token: u64,
    },
    /// A dead owner's claim was taken over.
    Reclaimed {
        /// The hold's fencing token.
        token: u64,
        /// Whose it was.
        from: Standing,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Arbitrate,
    Token,
    Renew,
    Reopen,
    Publish,
    Open,
    Lock(Inode),
    Read(Inode),
    Pin(Inode),
    Close(Next),
    Probe(Inode),
    Grace(Inode),
    Await(Refusal),
    Write(Option<Standing>),
    Check(Option<Standing>),
    Settle(Option<Standing>),
    Withdraw,
    Remove,
    Hold(Option<Standing>),
}

/// What follows once the claim is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Next {
    Reopen,
    Publish,
    Open,
    Probe(Inode),
    Await(Refusal),
}

impl Acquire {
    /// A machine at the start of the protocol. Its caller has the process-local turn.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Arbitrate, token: 0, graced: None }
    }

    /// A machine for a lock that the holder before, of the same process, has handed on: the range is locked, and the
    /// claim is open and locked.
    #[must_use]
    pub const fn handed_on() -> Self {
        Self { state: State::Renew, token: 0, graced: None }
    }

    /// Whether the claim that was [handed on](Self::handed_on) still has to get a token and a payload, or the look at its
    /// path. The holder before does this, for whoever is next, and learns by the look what became of its claim.
    #[must_use]
    pub const fn is_renewing(&self) -> bool {
        use State as S;
        matches!(self.state, S::Renew | S::Write(None) | S::Check(None))
    }

    /// Whether the open claim is its own. Whoever drops the machine then ends with a [`Release`](super::Release). A dead
    /// owner's is not before the look after the write: until then it is left, and the next acquire takes it over.
    #[must_use]
    pub const fn has_claim(&self) -> bool {
        use State as S;
        self.is_renewing() || matches!(self.state, S::Settle(_) | S::Withdraw | S::Remove)
    }

    /// Whether a grace has passed whose claim is not taken over yet.
    #[must_use]
    pub const fn has_graced(&self) -> bool {
        self.graced.is_some()
    }

    fn after_open(&mut self, inode: Inode) -> State {
        if self.graced != Some(inode) {
            self.graced = None;
        }
        State::Lock(inode)
    }

    fn after_read(&self, inode: Inode, standing: Standing) -> State {
        match standing {
            Standing::OwnArbiter => State::Write(Some(standing)),
            Standing::Foreign if self.graced == Some(inode) => State::Write(Some(standing)),
            Standing::Foreign => State::Pin(inode),
        }
    }
}

impl Default for Acquire {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine for Acquire {
    type Output = Acquired;

    fn poll(&self) -> Step<Acquired> {
        let token = self.token;
        Step::Do(match self.state {
            State::Arbitrate => Operation::LockArbiter,
            State::Token | State::Renew => Operation::TakeToken,
            State::Reopen => Operation::ReopenArbiter,
            State::Publish => Operation::PublishClaim { token },
            State::Open => Operation::OpenClaim,
            State::Lock(_) => Operation::LockClaim,
            State::Read(_) => Operation::ReadClaim,
            State::Pin(_) => Operation::PinClaim,
            State::Close(_) => Operation::CloseClaim,
            State::Probe(_) => Operation::ProbeWriters,
            State::Grace(_) => Operation::AwaitGrace,
            State::Await(refusal) => Operation::AwaitClaim(refusal),
            State::Write(_) => Operation::WriteClaim { token },
            State::Check(_) | State::Withdraw => Operation::CheckClaim,
            State::Settle(_) => Operation::CheckArbiter,
            State::Remove => Operation::UnlinkClaim,
            State::Hold(None) => return Step::Done(Acquired::Fresh { token }),
            State::Hold(Some(from)) => return Step::Done(Acquired::Reclaimed { token, from }),
        })
    }

    fn resume(&mut self, completion: Completion) {
        use Completion as C;
        self.state = match (self.state, completion) {
            (State::Arbitrate, C::Done) => State::Token,
            (State::Token, C::Token(token)) => {
                self.token = token;
                State::Publish
            }
            (State::Renew, C::Token(token)) => {
                self.token = token;
                State::Write(None)
            }
            (State::Reopen, C::Done) => State::Arbitrate,
            (State::Publish, C::Done) => State::Settle(None),
            (State::Publish, C::Exists) => State::Open,
            (State::Open, C::Opened { inode }) => self.after_open(inode),
            (State::Open, C::Gone) => {
                self.graced = None;
                State::Publish
            }
            (State::Open, C::Busy | C::Unknown) => State::Await(Refusal::Unknown),
            (State::Lock(inode), C::Done) => State::Read(inode),
            (State::Lock(_), C::Busy) => State::Close(Next::Await(Refusal::ForeignArbiter)),
            (State::Read(inode), C::Read(standing)) => self.after_read(inode, standing),
            (State::Pin(inode), C::Done) => State::Close(Next::Probe(inode)),
            (State::Pin(_), C::Gone) => State::Close(Next::Open),
            (State::Close(next), C::Done) => match next {
                Next::Reopen => State::Reopen,
                Next::Publish => State::Publish,
                Next::Open => State::Open,
                Next::Probe(inode) => State::Probe(inode),
                Next::Await(refusal) => State::Await(refusal),
            },
            (State::Probe(inode), C::NoWriter) => State::Grace(inode),
            (State::Probe(_), C::Writer) => State::Await(Refusal::WriterAlive),
            (State::Probe(_), C::Unknown) => State::Await(Refusal::Unknown),
            (State::Probe(_), C::Gone) | (State::Await(_) | State::Grace(_), C::Woken) => State::Open,
            (State::Grace(inode), C::GraceElapsed) => {
                self.graced = Some(inode);
                State::Open
            }
            (State::Write(from), C::Done) => State::Check(from),
            (State::Check(from), C::Done) => State::Settle(from),
            (State::Settle(from), C::Done) => State::Hold(from),
            (State::Settle(_), C::Replaced) => State::Withdraw,
            (State::Withdraw, C::Done) => State::Remove,
            (State::Withdraw, C::Gone | C::Replaced) | (State::Remove, C::Done | C::Gone) => {
                self.graced = None;
                State::Close(Next::Reopen)
            }
            (State::Check(_), C::Gone | C::Replaced) => {
                self.graced = None;
                State::Close(Next::Publish)
            }
            (state, completion) => mismatch(&state, completion),
        };
    }
}
