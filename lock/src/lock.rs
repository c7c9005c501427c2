//! Asking for a lock: as a future, blocking, or as a try.

use crate::dir::{LockDir, TryAcquire};
use crate::error::LockError;
use crate::event::HoldExceeded;
use crate::guard::Guard;
use crate::name::{NameError, Session};
use crate::payload::MAX_LABEL_LEN;
use crate::pending::{Pending, Polled, Waits};
use crate::request::{Reports, Request};
use crate::spans::Spans;
use crate::sys;
use crate::sys::sync::thread::{self, Thread};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// An acquire that has not begun.
///
/// `.await` it in a tokio runtime, or call [`Lock::blocking`]. Both wait in order of arrival, by event and without
/// polling, until the deadline if there is one.
#[must_use = "nothing is acquired until this is awaited or told to block"]
#[derive(Clone, Debug)]
pub struct Lock<'a> {
    dir: &'a LockDir,
    session: Result<Arc<Session>, (String, NameError)>,
    label: Option<String>,
    deadline: Deadline,
    max_hold: Option<(Duration, HoldExceeded)>,
}

/// When an acquire gives up.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    Never,
    In(Duration),
    At(Instant),
}

impl<'a> Lock<'a> {
    pub(crate) fn new(dir: &'a LockDir, name: &str) -> Self {
        let session = Session::new(name).map(Arc::new).map_err(|cause| (name.to_owned(), cause));
        Self { dir, session, label: None, deadline: Deadline::Never, max_hold: None }
    }

    /// Gives up this long after the acquire began. Zero tries once. Default: never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Deadline::In(timeout);
        self
    }

    /// Gives up at this instant. One that has passed tries once. Default: never.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Deadline::At(deadline);
        self
    }

    /// Text of at most 128 bytes for people, written into the claim: which run, which job.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// How long the lock may be held, and what happens then. Default: without end.
    ///
    /// After a release ([`HoldExceeded::Release`]) somebody else may hold the lock while this process still writes: it has
    /// to watch [`crate::Guard::lost`], or the storage has to check the [token](crate::Guard::token). The time runs on a
    /// monotonic clock that stands still while the machine is suspended, and is kept to some 10 ms; a stopped process
    /// (`SIGSTOP`) releases when it goes on.
    pub fn max_hold(mut self, max_hold: Duration, exceeded: HoldExceeded) -> Self {
        self.max_hold = Some((max_hold, exceeded));
        self
    }

    /// Acquires the lock and blocks this thread until it has it.
    ///
    /// # Errors
    ///
    /// - [`LockError::Timeout`]: the deadline passed; it names the holder.
    /// - [`LockError::Name`], [`LockError::Label`]: they are not valid.
    /// - [`LockError::NotAClaim`]: something else is at the claim's path. It was not touched.
    /// - [`LockError::State`]: something else is in the state directory.
    /// - [`LockError::Forked`]: the directory was opened before a fork.
    /// - [`LockError::Restarted`]: [`crate::release_all`] was called meanwhile.
    /// - [`LockError::System`]: a system call failed.
    pub fn blocking(self) -> Result<Guard, LockError> {
        let (request, deadline) = self.begin()?;
        let waits = if deadline.is_none() { Waits::Here } else { Waits::Elsewhere };
        let mut pending = Pending::new(request, waits);
        // Most acquires have nothing to wait for, and need no waker.
        if let Polled::Ready(result) = pending.poll(Waker::noop()) {
            return result.map(Guard::new);
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Polled::Ready(result) = pending.poll(&waker) {
                return result.map(Guard::new);
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(sys::clock::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return Err(pending.timed_out()),
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// Takes the lock if that needs no waiting. The deadline does not matter.
    ///
    /// # Errors
    ///
    /// As [`Lock::blocking`], without the timeout.
    pub fn try_now(self) -> Result<TryAcquire, LockError> {
        let (request, _) = self.begin()?;
        Ok(match Pending::new(request, Waits::Elsewhere).try_now()? {
            Ok(hold) => TryAcquire::Acquired(Guard::new(hold)),
            Err(holder) => TryAcquire::Busy(Box::new(holder)),
        })
    }

    fn begin(self) -> Result<(Request, Option<Instant>), LockError> {
        let session = self.session.map_err(|(name, cause)| LockError::Name { name, cause })?;
        if let Some(len) = self.label.as_ref().map(String::len).filter(|len| *len > MAX_LABEL_LEN) {
            return Err(LockError::Label { len });
        }
        let started = sys::clock::now();
        let deadline = match self.deadline {
            Deadline::Never => None,
            // Too far away for the clock is never.
            Deadline::In(timeout) => started.checked_add(timeout),
            Deadline::At(deadline) => Some(deadline),
        };
        let LockDir { directory, grace, tenure, sink, counters } = self.dir;
        let request = Request {
            directory: Arc::clone(directory),
            session,
            label: self.label,
            grace: *grace,
            tenure: *tenure,
            sink: sink.clone(),
            reports: Reports::Everything,
            counters: *counters,
            started,
            max_hold: self.max_hold,
            number: directory.process.number(),
            blocked_by: None,
            instance: directory.process.instance(),
            spans: Spans::default(),
        };
        Ok((request, deadline))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl IntoFuture for Lock<'_> {
    type Output = Result<Guard, LockError>;
    type IntoFuture = Acquire;

    fn into_future(self) -> Acquire {
        let state = match self.begin() {
            Ok((request, deadline)) => {
                State::Pending { pending: Pending::new(request, Waits::Elsewhere), deadline, timer: None }
            }
            Err(error) => State::Failed(error),
        };
        Acquire { state }
    }
}

/// The future of a [`Lock`].
///
/// An uncontended acquire happens in the first poll: eight short system calls. Dropping the future takes the acquire
/// back and leaves nothing behind; whoever is next gets its place.
///
/// One that waits is given its turn, and mostly the lock with it, when that is free, whether it is polled or not. So
/// poll it or drop it: one that is only kept keeps the lock from all others.
///
/// # Panics
///
/// If it has to wait for a deadline that has not passed, and is not polled in a tokio runtime with time enabled. Without a
/// deadline, or with one that has passed (a timeout of zero), it works on any executor.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire {
    state: State,
}

enum State {
    Pending { pending: Pending, deadline: Option<Instant>, timer: Option<Pin<Box<Sleep>>> },
    Failed(LockError),
    Ended,
}

impl Future for Acquire {
    type Output = Result<Guard, LockError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &mut self.state;
        if let State::Pending { pending, deadline, timer } = state {
            match (pending.poll(context.waker()), deadline) {
                (Polled::Ready(result), _) => {
                    *state = State::Ended;
                    return Poll::Ready(result.map(Guard::new));
                }
                (Polled::Waiting, None) => return Poll::Pending,
                // A deadline that has passed needs no timer, and so no runtime.
                (Polled::Waiting, Some(deadline)) if *deadline <= sys::clock::now() => {}
                (Polled::Waiting, Some(deadline)) => {
                    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until((*deadline).into())));
                    if timer.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Ready(Err(match std::mem::replace(state, State::Ended) {
            State::Pending { pending, .. } => pending.timed_out(),
            State::Failed(error) => error,
            State::Ended => panic!("the future is polled after its end"),
        }))
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").finish_non_exhaustive()
    }
}
