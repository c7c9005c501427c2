//! Sweeping a directory: removing the claims that dead owners left.
//!
//! There is no protocol for it. A claim is swept by acquiring the lock with the machine that every acquire runs, and by
//! releasing it at once. What would have to wait for a living owner is given up; what waits for its grace stays pinned,
//! and all of those wait for one grace together.

mod outcome;

use crate::arbiter::sweep_unfinished;
use crate::attempt::Attempt;
use crate::dir::LockDir;
use crate::directory::Directory;
use crate::error::{LockError, ReleaseError, START_SWEEPER, SweepError, SystemError};
use crate::event::Sink;
use crate::inspect::sessions;
use crate::inspection::{Inspection, State};
use crate::look::Look;
use crate::name::Session;
use crate::protocol::{Operation, Refusal};
use crate::queue::Parker;
use crate::relay::{Ran, abandon, run};
use crate::request::{Counters, Request};
use crate::spare::{self, Mode};
use crate::sys::{self, Errno};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

pub use outcome::{Kept, SweepOutcome, Swept, SweptClaim};

/// An acquire has at most this many descriptors open at once.
const FEW: usize = 8;

/// A sweep that has not begun.
///
/// `.await` it on any executor, or call [`Sweep::blocking`].
///
/// Each dead owner's claim is acquired as every lock is, and released at once: a claim of a living owner is never touched,
/// and somebody who asks for such a lock meanwhile waits until the sweep is done with it, at most for a grace. Claims of
/// older peers wait out one grace together, each pinned by a descriptor; a sweep uses at most three quarters of the
/// descriptors that the process has left (`RLIMIT_NOFILE`), and claims beyond that wait out another grace. The sink gets
/// `Reclaimed` and `ReclaimRefused`, and nothing that looks like an application's acquire.
///
/// A restart meanwhile ([`crate::release_all`]) ends it as it ends acquires: what waits for its grace is kept, and told as
/// [`Kept::Failed`] with [`LockError::Restarted`].
///
/// A `SIGKILL` in the middle leaves the directory as if a holder had been killed: what is not swept yet is still there.
#[must_use = "nothing is swept until this is awaited or told to block"]
#[derive(Clone, Debug)]
pub struct Sweep<'a> {
    dir: &'a LockDir,
    mode: Mode,
}

impl LockDir {
    /// Removes the claims of dead owners, and what killed processes left of their own: spare files in the state directory,
    /// and state directories that they had begun to make. Nothing happens until the [`Sweep`] is awaited or told to block.
    pub fn sweep(&self) -> Sweep<'_> {
        Sweep { dir: self, mode: Mode::Remove }
    }
}

impl Sweep<'_> {
    /// Only tells what would be removed. It changes nothing, as [`LockDir::inspect_all`]; what it says may be over at once.
    pub fn dry_run(mut self) -> Self {
        self.mode = Mode::Count;
        self
    }

    /// Sweeps, and blocks this thread until it is done: as long as a few file operations for each claim take, and one
    /// grace for each batch in which there are claims of older peers.
    ///
    /// # Errors
    ///
    /// - [`SweepError::Forked`]: the directory was opened before a fork.
    /// - [`SweepError::System`]: the directory cannot be listed.
    pub fn blocking(self) -> Result<Swept, SweepError> {
        self.sweeper().run()
    }

    fn sweeper(&self) -> Sweeper {
        let LockDir { directory, grace, sink, counters, .. } = self.dir;
        Sweeper {
            directory: Arc::clone(directory),
            grace: *grace,
            sink: sink.clone(),
            counters: *counters,
            mode: self.mode,
        }
    }
}

impl IntoFuture for Sweep<'_> {
    type Output = Result<Swept, SweepError>;
    type IntoFuture = Sweeping;

    fn into_future(self) -> Sweeping {
        Sweeping { stage: Stage::Start(self.sweeper()) }
    }
}

/// The future of a [`Sweep`]. The first poll starts a thread that sweeps.
///
/// Dropped before that, it does nothing; dropped later, the sweep goes on and ends in the background.
#[must_use = "futures do nothing unless polled"]
pub struct Sweeping {
    stage: Stage,
}

enum Stage {
    Start(Sweeper),
    Running(Arc<Directory>, oneshot::Receiver<Result<Swept, SweepError>>),
    Ended,
}

impl Future for Sweeping {
    type Output = Result<Swept, SweepError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Start(sweeper) => self.stage = sweeper.start()?,
                Stage::Running(directory, _) if !directory.process.is_current() => {
                    return Poll::Ready(Err(SweepError::Forked));
                }
                Stage::Running(directory, mut receiver) => {
                    let Poll::Ready(swept) = Pin::new(&mut receiver).poll(context) else {
                        self.stage = Stage::Running(directory, receiver);
                        return Poll::Pending;
                    };
                    return Poll::Ready(swept.expect("a sweep ends without a panic, and says how it went"));
                }
                Stage::Ended => panic!("the future is polled after its end"),
            }
        }
    }
}

impl fmt::Debug for Sweeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeping").finish_non_exhaustive()
    }
}

struct Sweeper {
    directory: Arc<Directory>,
    grace: Duration,
    sink: Option<Arc<dyn Sink>>,
    counters: Counters,
    mode: Mode,
}

/// An attempt that has the turn of its session. Dropping it gives back what it has locked and passes the turn on.
struct Turn {
    request: Request,
    attempt: Option<Box<Attempt>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            abandon(*attempt);
        }
    }
}

/// How far a turn has come.
enum Advanced {
    Ended(SweepOutcome),
    /// It has to wait its grace.
    Grace(Turn),
}

impl Sweeper {
    fn start(self) -> Result<Stage, SweepError> {
        let directory = Arc::clone(&self.directory);
        if !directory.process.is_current() {
            return Err(SweepError::Forked);
        }
        let (sender, receiver) = oneshot::channel();
        let started = directory.process.waiters.run(move || {
            // Nobody may wait for it any more.
            sender.send(self.run()).ok();
        });
        let failed = |cause| SystemError { operation: START_SWEEPER, path: directory.path.clone(), cause };
        started.map_err(failed)?;
        Ok(Stage::Running(directory, receiver))
    }

    fn run(&self) -> Result<Swept, SweepError> {
        if !self.directory.process.is_current() {
            return Err(SweepError::Forked);
        }
        let sessions = sessions(&self.directory)?;
        let mut claims = match self.mode {
            Mode::Remove => self.sweep(sessions.collect()),
            Mode::Count => {
                let look = Look::short(&self.directory).of_many();
                sessions.map(|session| swept(&session.name, foreseen(look.at(&session)))).collect()
            }
        };
        claims.sort_unstable_by(|one: &SweptClaim, other| one.name.cmp(&other.name));
        // Last, because a spare may have been one of the claims.
        let spares = spare::sweep_in(&self.directory, self.mode);
        let unfinished = sweep_unfinished(&self.directory, self.mode);
        Ok(Swept { claims, spares, unfinished })
    }

    fn sweep(&self, sessions: Vec<Session>) -> Vec<SweptClaim> {
        // Before any pin, so that arbiters have the lower numbers (`Arbiter::renumber`). What fails here fails again in the
        // attempt, which says so.
        for session in &sessions {
            self.directory.arbiter(session.range).ok();
        }
        let mut claims = Vec::with_capacity(sessions.len());
        let mut pinned = Vec::new();
        let mut room = room();
        for session in sessions {
            if pinned.len() >= room {
                self.end_graces(&mut pinned, &mut claims);
                room = self::room();
            }
            let session = Arc::new(session);
            let mut advanced = self.begin(&session);
            if !pinned.is_empty() && is_starved(&advanced) {
                // The application has opened more meanwhile. What is pinned gives way, and the claim has another try.
                self.end_graces(&mut pinned, &mut claims);
                room = self::room();
                advanced = self.begin(&session);
            }
            match advanced {
                Advanced::Ended(outcome) => claims.push(swept(&session.name, outcome)),
                Advanced::Grace(turn) => pinned.push(turn),
            }
        }
        self.end_graces(&mut pinned, &mut claims);
        claims
    }

    fn begin(&self, session: &Arc<Session>) -> Advanced {
        if !self.directory.queues.try_take(session.range) {
            return Advanced::Ended(kept(Kept::Busy));
        }
        let attempt = Some(Box::new(Attempt::new(&self.directory, session, self.grace)));
        let request = Request::reclaiming(&self.directory, session, self.sink.clone(), self.counters);
        advance(Turn { request, attempt })
    }

    /// Waits one grace for all of them, from now on: each has been pinned, and had no writer, before.
    fn end_graces(&self, pinned: &mut Vec<Turn>, claims: &mut Vec<SweptClaim>) {
        if pinned.is_empty() {
            return;
        }
        let parker = Parker::default();
        let end = sys::clock::now().checked_add(self.grace);
        while let Some(left) = end.map(|end| end.saturating_duration_since(sys::clock::now()))
            && !left.is_zero()
        {
            parker.park(left);
        }
        for mut turn in pinned.drain(..) {
            let name = turn.request.session.name.clone();
            // A grace too long for the clock never passes.
            let (Some(_), Some(attempt)) = (end, &mut turn.attempt) else {
                claims.push(swept(&name, kept(Kept::Grace)));
                continue;
            };
            attempt.end_grace();
            claims.push(swept(
                &name,
                match advance(turn) {
                    Advanced::Ended(outcome) => outcome,
                    Advanced::Grace(_) => kept(Kept::Grace),
                },
            ));
        }
    }
}

/// Runs the attempt. If it acquires, the lock is released at once; if it would have to wait for somebody, it is given up.
fn advance(mut turn: Turn) -> Advanced {
    let Turn { request, attempt } = &mut turn;
    let Some(running) = attempt else { unreachable!("a turn has its attempt until it ends") };
    let why = match run(running, &mut Some(request.clone())) {
        Ok(Ran::Blocked(Operation::AwaitGrace)) => return Advanced::Grace(turn),
        Ok(Ran::Held(hold, reclaimed)) => {
            // The turn is the hold's now, and its release passes it on.
            drop(attempt.take());
            match (hold.release(), reclaimed) {
                (Ok(()), Some((reason, from))) => return Advanced::Ended(SweepOutcome::Removed { reason, from }),
                (Ok(()), None) | (Err(ReleaseError::Lost { .. }), _) => Kept::Gone,
                (Err(ReleaseError::Forked), _) => Kept::Failed(Box::new(LockError::Forked)),
                (Err(ReleaseError::System(error)), _) => Kept::Failed(Box::new(error.into())),
            }
        }
        Ok(Ran::Blocked(Operation::AwaitClaim(refusal))) => match refusal {
            Refusal::WriterAlive => Kept::WriterAlive,
            Refusal::ForeignArbiter => Kept::ForeignArbiter,
            Refusal::Grace => Kept::Grace,
            Refusal::Unknown => Kept::Unknown,
        },
        Ok(Ran::Blocked(_)) => Kept::Busy,
        Err(LockError::NotAClaim { found, .. }) => Kept::NotAClaim(found.to_owned()),
        Err(error) => Kept::Failed(Box::new(error)),
    };
    Advanced::Ended(kept(why))
}

/// What a sweep would do with what a look found.
fn foreseen(found: Inspection) -> SweepOutcome {
    if found.is_removable()
        && let Some(reason) = found.reason
    {
        return SweepOutcome::Removed { reason, from: Box::new(found.from()) };
    }
    kept(match found.state {
        State::Free => Kept::Gone,
        State::Held | State::Inherited => Kept::Busy,
        State::ForeignHeld => Kept::WriterAlive,
        State::NotAClaim => Kept::NotAClaim(found.note.unwrap_or_default()),
        State::Reclaimable | State::Corrupt | State::Unknown => Kept::Unknown,
    })
}

/// How many claims may be pinned at once: a quarter of what is left stays with the application.
fn room() -> usize {
    sys::fd::left() / 4 * 3
}

/// Whether it failed because the process has no descriptor left. The writer probe says that as unknown.
fn is_starved(advanced: &Advanced) -> bool {
    let Advanced::Ended(SweepOutcome::Kept { why }) = advanced else { return false };
    match why {
        Kept::Unknown => sys::fd::left() < FEW,
        Kept::Failed(error) => match &**error {
            LockError::System(SystemError { cause, .. }) => {
                matches!(Errno::from_io_error(cause), Some(Errno::MFILE | Errno::NFILE))
            }
            _ => false,
        },
        _ => false,
    }
}

fn kept(why: Kept) -> SweepOutcome {
    SweepOutcome::Kept { why }
}

fn swept(name: &str, outcome: SweepOutcome) -> SweptClaim {
    SweptClaim { name: name.to_owned(), outcome }
}
