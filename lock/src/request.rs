//! One acquire as its caller asked for it, and how far it has come.

use crate::arbiter::Arbiter;
use crate::attempt::{Attempt, Progress, Reclaimed, Waited};
use crate::directory::Directory;
use crate::error::{LockError, START_WAITER, SystemError};
use crate::event::{Event, HoldExceeded, NoSink, NotAcquired, Sink};
use crate::hold::Hold;
use crate::holder::{Holder, HolderKind};
use crate::look::Look;
use crate::name::{Range, Session};
use crate::payload::{OfHold, TraceParent};
use crate::protocol::Operation;
use crate::queue::{Asked, Delivery, Waiter};
use crate::spans::Spans;
use crate::sys;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) directory: Arc<Directory>,
    pub(crate) session: Arc<Session>,
    pub(crate) label: Option<String>,
    pub(crate) grace: Duration,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) reports: Reports,
    pub(crate) counters: Counters,
    pub(crate) started: Instant,
    pub(crate) max_hold: Option<(Duration, HoldExceeded)>,
    /// Which request of this process.
    pub(crate) number: u64,
    /// Of the process, when it began.
    pub(crate) instance: u64,
    /// What kind of holder was in the way.
    pub(crate) blocked_by: Option<HolderKind>,
    pub(crate) spans: Spans,
}

/// What is said of what happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reports {
    Everything,
    /// It takes locks over, but no application acquires anything.
    Reclaims,
}

/// Whether a directory's counters count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counters {
    Kept,
    Off,
}

impl Request {
    /// One that takes a dead owner's lock over to release it at once, for nobody in particular.
    pub(crate) fn reclaiming(
        directory: &Arc<Directory>,
        session: &Arc<Session>,
        sink: Arc<dyn Sink>,
        counters: Counters,
    ) -> Self {
        let process = directory.process;
        Self {
            directory: Arc::clone(directory),
            session: Arc::clone(session),
            label: None,
            grace: Duration::ZERO,
            sink,
            reports: Reports::Reclaims,
            counters,
            started: sys::clock::now(),
            max_hold: None,
            number: process.number(),
            instance: process.instance(),
            blocked_by: None,
            spans: Spans::default(),
        }
    }

    pub(crate) fn record(&self, event: &Event) {
        let is_reclaim = matches!(event, Event::Reclaimed { .. } | Event::ReclaimRefused { .. });
        if self.reports == Reports::Everything || is_reclaim {
            // Asked first, because the event may end the span.
            let is_observed = matches!(event, Event::Acquired { .. } | Event::Released { .. });
            let span = if is_observed { self.spans.observed() } else { None };
            self.spans.record(self, event);
            self.count(event, span);
            self.sink.record(&self.session.name, event);
        }
    }

    fn count(&self, event: &Event, span: Option<TraceParent>) {
        if self.counters == Counters::Off {
            return;
        }
        let recorded = self.directory.recorder.record(self, event, span);
        if recorded.flush_later {
            self.directory.process.watcher.flush_later(&self.directory);
        }
        if let Some(why) = recorded.failed {
            let why = std::io::Error::from(why).to_string();
            let event = Event::NotCounted { why };
            self.spans.record(self, &event);
            self.sink.record(&self.session.name, &event);
        }
    }

    /// What a claim for this request says, in at least `old_len` bytes.
    pub(crate) fn encode_claim(&self, arbiter: &Arbiter, token: u64, old_len: usize) -> Vec<u8> {
        let hold = OfHold {
            created_at: Some(sys::clock::wall()),
            token: Some(token),
            traceparent: self.spans.traceparent(),
            label: self.label.as_deref(),
        };
        arbiter.encode_claim(self.directory.process, &hold, old_len)
    }

    fn asked(&self) -> Asked {
        Asked { label: self.label.clone(), since: self.started }
    }

    fn waited(&self) -> Duration {
        sys::clock::now().saturating_duration_since(self.started)
    }

    fn not_acquired(&self, outcome: NotAcquired) {
        self.record(&Event::NotAcquired { outcome, waited: self.waited(), blocked_by: self.blocked_by });
    }
}

/// What a run of an attempt has come to.
pub(crate) enum Ran {
    Held(Arc<Hold>, Option<Reclaimed>),
    Blocked(Operation),
}

/// Runs the attempt on behalf of the request, unless the process has restarted since that began.
pub(crate) fn run(attempt: &mut Attempt, request: &Request) -> Result<Ran, LockError> {
    let ran = request.directory.process.in_instance(request.instance, || {
        Ok(match attempt.run(request)? {
            Progress::Held(mut held) => {
                let reclaimed = held.reclaimed.take();
                Ran::Held(Hold::begin(request, held), reclaimed)
            }
            Progress::Blocked(operation) => Ran::Blocked(operation),
        })
    });
    ran.unwrap_or(Err(LockError::Restarted))
}

/// A request on its way. It does nothing unless it is polled; dropping it takes it back.
pub(crate) struct Pending {
    request: Request,
    stage: Stage,
    waits: Waits,
}

/// Which thread waits in the kernel's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// One of this crate's: whoever asked can give up, and others go on with what it has waited for.
    Elsewhere,
    /// The one that asked, which gives up for nothing but a restart: nobody else has to be woken between it and the kernel.
    Here,
}

enum Stage {
    Start,
    Waiting(Arc<Waiter>),
    Ended,
}

/// How one poll ended.
pub(crate) enum Polled {
    Ready(Result<Arc<Hold>, LockError>),
    Waiting,
}

impl Pending {
    pub(crate) fn new(request: Request, waits: Waits) -> Self {
        Self { request, stage: Stage::Start, waits }
    }

    /// Goes on as far as it can without waiting.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Polled {
        if !self.request.directory.process.is_current() {
            self.stage = Stage::Ended;
            return Polled::Ready(Err(LockError::Forked));
        }
        if matches!(self.stage, Stage::Start) {
            self.request.spans = Spans::begin(&self.request);
        }
        let _entered = self.request.spans.enter();
        if self.request.directory.process.in_instance(self.request.instance, || ()).is_none() {
            self.give_up();
            return self.failed(LockError::Restarted);
        }
        loop {
            let delivery = match &self.stage {
                Stage::Ended => unreachable!("a request is not polled after its end"),
                Stage::Start => match self.take_or_wait() {
                    None => Delivery::Turn,
                    Some(waiter) => {
                        self.stage = Stage::Waiting(waiter);
                        self.report_contention(Holder::same_process);
                        continue;
                    }
                },
                Stage::Waiting(waiter) => match waiter.poll(waker) {
                    Some(delivery) => delivery,
                    None => return Polled::Waiting,
                },
            };
            self.stage = Stage::Ended;
            let attempt = match delivery {
                Delivery::Turn => Attempt::new(&self.request.directory, &self.request.session, self.request.grace),
                Delivery::Attempt(attempt) => *attempt,
                Delivery::Failed(error) => return self.failed(error),
            };
            if let Some(result) = self.advance(attempt) {
                return Polled::Ready(result);
            }
        }
    }

    fn take_or_wait(&self) -> Option<Arc<Waiter>> {
        let request = &self.request;
        request.directory.queues.take_or_wait(request.session.range, || request.asked())
    }

    /// Runs the attempt; if it has to wait, this becomes the first waiter for it, and a thread does the waiting.
    fn advance(&mut self, mut attempt: Attempt) -> Option<Result<Arc<Hold>, LockError>> {
        let range = self.request.session.range;
        let mut ran = run(&mut attempt, &self.request);
        if matches!(ran, Ok(Ran::Blocked(_))) && self.request.blocked_by.is_none() {
            let (directory, session) = (Arc::clone(&self.request.directory), Arc::clone(&self.request.session));
            self.report_contention(|| directory.holder(&session));
            if self.waits == Waits::Elsewhere {
                // Reading the holder's claim takes longer than most holds, and a thread costs more than another look.
                ran = run(&mut attempt, &self.request);
            }
        }
        match ran {
            Ok(Ran::Held(hold, _)) => Some(Ok(hold)),
            Ok(Ran::Blocked(operation)) => {
                let directory = Arc::clone(&self.request.directory);
                self.stage = Stage::Waiting(directory.queues.wait_first(range, attempt.parker(), self.request.asked()));
                if (self.waits, operation) == (Waits::Here, Operation::LockArbiter) {
                    self.wait_here(attempt, operation);
                } else if let Err(error) = wait_in_thread(attempt, operation) {
                    self.give_up();
                    return Some(Err(self.error(error.into())));
                }
                None
            }
            Err(error) => {
                abandon(attempt);
                Some(Err(self.error(error)))
            }
        }
    }

    fn wait_here(&self, attempt: Attempt, operation: Operation) {
        let Request { directory, instance, .. } = &self.request;
        let process = directory.process;
        let _waiting = process.waiting.enter(*instance);
        wait(Box::new(attempt), operation, || process.instance() == *instance);
    }

    /// One attempt that does not wait. `Ok(Err(holder))`: busy.
    pub(crate) fn try_now(mut self) -> Result<Result<Arc<Hold>, Holder>, LockError> {
        self.stage = Stage::Ended;
        if !self.request.directory.process.is_current() {
            return Err(LockError::Forked);
        }
        self.request.spans = Spans::begin(&self.request);
        let _entered = self.request.spans.enter();
        let request = &self.request;
        let (directory, session) = (&request.directory, &request.session);
        if !directory.queues.try_take(session.range) {
            return Ok(Err(self.busy()));
        }
        let mut attempt = Attempt::new(directory, session, request.grace);
        match run(&mut attempt, request) {
            Ok(Ran::Held(hold, _)) => Ok(Ok(hold)),
            Ok(Ran::Blocked(operation)) => {
                let busy = self.busy();
                if operation == Operation::AwaitGrace {
                    wait_in_thread(attempt, operation)?;
                } else {
                    abandon(attempt);
                }
                Ok(Err(busy))
            }
            Err(error) => {
                abandon(attempt);
                Err(self.error(error))
            }
        }
    }

    /// The deadline has passed: what the caller is told.
    pub(crate) fn timed_out(mut self) -> LockError {
        self.give_up();
        let request = &self.request;
        request.not_acquired(NotAcquired::Timeout);
        LockError::Timeout {
            path: request.directory.claim_path(&request.session),
            waited: request.waited(),
            found: Box::new(Look::short(&request.directory).at(&request.session)),
        }
    }

    fn busy(&mut self) -> Holder {
        let holder = self.request.directory.holder(&self.request.session);
        self.report_contention(|| holder.clone());
        self.request.not_acquired(NotAcquired::Busy);
        holder
    }

    fn report_contention(&mut self, holder: impl FnOnce() -> Holder) {
        if self.request.blocked_by.is_none() {
            let holder = holder();
            self.request.blocked_by = Some(holder.kind);
            self.request.record(&Event::Contended { by: holder.kind, holder: Some(Box::new(holder)) });
        }
    }

    fn failed(&self, error: LockError) -> Polled {
        Polled::Ready(Err(self.error(error)))
    }

    fn error(&self, error: LockError) -> LockError {
        self.request.spans.failed(&error);
        self.request.not_acquired(match error {
            LockError::Restarted => NotAcquired::Cancelled,
            _ => NotAcquired::Error,
        });
        error
    }

    /// Leaves the queue, and hands on what had been delivered already.
    fn give_up(&mut self) {
        let Stage::Waiting(waiter) = std::mem::replace(&mut self.stage, Stage::Ended) else { return };
        let Request { directory, session, .. } = &self.request;
        if let Some(delivered) = directory.queues.leave(session.range, &waiter) {
            pass_on(directory, session.range, delivered);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Waiting(_)) && self.request.directory.process.is_current() {
            self.give_up();
            self.request.not_acquired(NotAcquired::Cancelled);
        }
    }
}

/// Starts a thread that waits for the attempt and then hands it on.
fn wait_in_thread(attempt: Attempt, operation: Operation) -> Result<(), SystemError> {
    let (directory, session) = (Arc::clone(&attempt.directory), Arc::clone(&attempt.session));
    let attempt = Box::new(attempt);
    directory.process.waiters.run(move || wait(attempt, operation, || true)).map_err(|cause| {
        directory.queues.pass_on(session.range);
        SystemError { operation: START_WAITER, path: directory.claim_path(&session), cause }
    })
}

fn wait(mut attempt: Box<Attempt>, operation: Operation, wanted: impl Fn() -> bool) {
    match attempt.wait(operation, wanted) {
        Ok(Waited::Ready) => hand_on(attempt),
        Ok(Waited::Abandoned) => abandon(*attempt),
        Err(error) => {
            let (directory, range) = (Arc::clone(&attempt.directory), attempt.session.range);
            drop(attempt);
            drop(directory.queues.deliver(range, Delivery::Failed(error)));
            directory.queues.pass_on(range);
        }
    }
}

/// Passes on what comes back from a waiter that does not want it any more.
pub(crate) fn pass_on(directory: &Directory, range: Range, delivered: Delivery) {
    match delivered {
        Delivery::Turn => directory.queues.pass_on(range),
        Delivery::Attempt(attempt) => hand_on(attempt),
        Delivery::Failed(_) => {}
    }
}

/// Gives an attempt to the first waiter. One that nobody wants is ended; a grace that it has waited out is used first,
/// so that acquires with short deadlines make progress.
fn hand_on(attempt: Box<Attempt>) {
    let (directory, range) = (Arc::clone(&attempt.directory), attempt.session.range);
    match directory.queues.deliver(range, Delivery::Attempt(attempt)) {
        Some(Delivery::Attempt(attempt)) if attempt.has_graced() => use_grace(attempt),
        Some(Delivery::Attempt(attempt)) => abandon(*attempt),
        Some(Delivery::Turn | Delivery::Failed(_)) | None => {}
    }
}

fn use_grace(mut attempt: Box<Attempt>) {
    let nobody = Request::reclaiming(&attempt.directory, &attempt.session, Arc::new(NoSink), Counters::Kept);
    match run(&mut attempt, &nobody) {
        // A failed unlink leaves a claim whose owner is gone, and the next acquire reclaims it.
        Ok(Ran::Held(hold, _)) => drop(hold.release()),
        Ok(Ran::Blocked(_)) | Err(_) => abandon(*attempt),
    }
}

/// Ends an attempt, and passes its turn on.
pub(crate) fn abandon(attempt: Attempt) {
    let (directory, range) = (Arc::clone(&attempt.directory), attempt.session.range);
    drop(attempt);
    directory.queues.pass_on(range);
}
