//! One acquire as its caller asked for it, and how far it has come.

use crate::arbiter::Arbiter;
use crate::attempt::{Attempt, Progress, Reclaimed, Waited};
use crate::directory::Directory;
use crate::error::{LockError, START_WAITER, SystemError};
use crate::event::{Event, HoldExceeded, NotAcquired, Sink};
use crate::hold::Hold;
use crate::holder::{Holder, HolderKind};
use crate::look::Look;
use crate::name::{Range, Session};
use crate::payload::{OfHold, TraceParent};
use crate::protocol::Operation;
use crate::queue::{Asked, Delivery, Parting, Taken, Waiter};
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
    /// How long holds of this process may follow each other.
    pub(crate) tenure: Duration,
    pub(crate) sink: Option<Arc<dyn Sink>>,
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
        sink: Option<Arc<dyn Sink>>,
        counters: Counters,
    ) -> Self {
        let process = directory.process;
        Self {
            directory: Arc::clone(directory),
            session: Arc::clone(session),
            label: None,
            grace: Duration::ZERO,
            tenure: Duration::ZERO,
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
            self.tell(event);
        }
    }

    fn tell(&self, event: &Event) {
        if let Some(sink) = &self.sink {
            sink.record(&self.session.name, event);
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
            self.tell(&event);
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

/// How a look at a waiter ended.
enum Came {
    Nothing,
    Delivery(Delivery),
    /// An attempt, which has run already.
    Ran(Box<Attempt>, Result<Ran, LockError>),
    /// The instance is over.
    Over,
}

/// Runs the attempt on behalf of the request, unless the process has restarted since that began. A hold takes the request with
/// it.
pub(crate) fn run(attempt: &mut Attempt, request: &mut Option<Request>) -> Result<Ran, LockError> {
    let asked = request.as_ref().expect(NOT_HELD);
    let (process, instance) = (asked.directory.process, asked.instance);
    process.in_instance(instance, || run_in_instance(attempt, request)).unwrap_or(Err(LockError::Restarted))
}

fn run_in_instance(attempt: &mut Attempt, request: &mut Option<Request>) -> Result<Ran, LockError> {
    match attempt.run(request.as_ref().expect(NOT_HELD)) {
        Ok(Progress::Held(mut held)) => {
            let reclaimed = held.reclaimed.take();
            Ok(Ran::Held(Hold::begin(request.take().expect(NOT_HELD), held), reclaimed))
        }
        Ok(Progress::Blocked(operation)) => Ok(Ran::Blocked(operation)),
        Err(error) => {
            if attempt.has_claim() {
                // What failed first is what is told.
                drop(attempt.withdraw());
            }
            Err(error)
        }
    }
}

/// A request on its way. It does nothing unless it is polled; dropping it takes it back.
pub(crate) struct Pending {
    /// `None` once it is a hold's.
    request: Option<Request>,
    stage: Stage,
    waits: Waits,
}

const NOT_HELD: &str = "a request is not asked once it is a hold's";

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
        Self { request: Some(request), stage: Stage::Start, waits }
    }

    fn request(&self) -> &Request {
        self.request.as_ref().expect(NOT_HELD)
    }

    fn request_mut(&mut self) -> &mut Request {
        self.request.as_mut().expect(NOT_HELD)
    }

    /// Goes on as far as it can without waiting.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Polled {
        if !self.request().directory.process.is_current() {
            self.stage = Stage::Ended;
            return Polled::Ready(Err(LockError::Forked));
        }
        if matches!(self.stage, Stage::Start) {
            let request = self.request_mut();
            request.spans = Spans::begin(request);
        }
        let _entered = self.request().spans.enter();
        // Only so that one that waits ends; what a restart waits for asks again.
        if self.request().directory.process.instance() != self.request().instance {
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
                Stage::Waiting(waiter) => match came(&Arc::clone(waiter), waker, &mut self.request) {
                    Came::Nothing => return Polled::Waiting,
                    Came::Delivery(delivery) => delivery,
                    Came::Ran(attempt, ran) => {
                        self.stage = Stage::Ended;
                        match self.conclude(*attempt, ran) {
                            Some(result) => return Polled::Ready(result),
                            None => continue,
                        }
                    }
                    Came::Over => {
                        self.give_up();
                        return self.failed(LockError::Restarted);
                    }
                },
            };
            self.stage = Stage::Ended;
            let attempt = match delivery {
                Delivery::Turn => {
                    Attempt::new(&self.request().directory, &self.request().session, self.request().grace)
                }
                Delivery::Attempt(mut attempt) => {
                    attempt.serve(self.request());
                    *attempt
                }
                Delivery::Failed(error) => return self.failed(error),
            };
            if let Some(result) = self.advance(attempt) {
                return Polled::Ready(result);
            }
        }
    }

    fn take_or_wait(&self) -> Option<Arc<Waiter>> {
        let request = self.request();
        request.directory.queues.take_or_wait(request.session.range, || request.asked())
    }

    /// Runs the attempt; if it has to wait, this becomes the first waiter for it, and a thread does the waiting.
    fn advance(&mut self, mut attempt: Attempt) -> Option<Result<Arc<Hold>, LockError>> {
        let ran = run(&mut attempt, &mut self.request);
        self.conclude(attempt, ran)
    }

    fn conclude(
        &mut self,
        mut attempt: Attempt,
        mut ran: Result<Ran, LockError>,
    ) -> Option<Result<Arc<Hold>, LockError>> {
        if matches!(ran, Ok(Ran::Blocked(_))) && self.request().blocked_by.is_none() {
            let (directory, session) = (Arc::clone(&self.request().directory), Arc::clone(&self.request().session));
            self.report_contention(|| directory.holder(&session));
            if self.waits == Waits::Elsewhere {
                // Reading the holder's claim takes longer than most holds, and a thread costs more than another look.
                ran = run(&mut attempt, &mut self.request);
            }
        }
        match ran {
            Ok(Ran::Held(hold, _)) => Some(Ok(hold)),
            Ok(Ran::Blocked(operation)) => {
                let (directory, asked) = (Arc::clone(&self.request().directory), self.request().asked());
                let range = self.request().session.range;
                self.stage = Stage::Waiting(directory.queues.wait_first(range, attempt.parker(), asked));
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
        let Request { directory, instance, .. } = self.request();
        let process = directory.process;
        let _waiting = process.waiting.enter(*instance);
        wait(Box::new(attempt), operation, || process.instance() == *instance);
    }

    /// One attempt that does not wait. `Ok(Err(holder))`: busy.
    pub(crate) fn try_now(mut self) -> Result<Result<Arc<Hold>, Holder>, LockError> {
        self.stage = Stage::Ended;
        if !self.request().directory.process.is_current() {
            return Err(LockError::Forked);
        }
        let request = self.request_mut();
        request.spans = Spans::begin(request);
        let _entered = self.request().spans.enter();
        let request = self.request();
        let (directory, session) = (&request.directory, &request.session);
        if !directory.queues.try_take(session.range) {
            return Ok(Err(self.busy()));
        }
        let mut attempt = Attempt::new(directory, session, request.grace);
        match run(&mut attempt, &mut self.request) {
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
        let request = self.request();
        request.not_acquired(NotAcquired::Timeout);
        LockError::Timeout {
            path: request.directory.claim_path(&request.session),
            waited: request.waited(),
            found: Box::new(Look::short(&request.directory).at(&request.session)),
        }
    }

    fn busy(&mut self) -> Holder {
        let holder = self.request().directory.holder(&self.request().session);
        self.report_contention(|| holder.clone());
        self.request().not_acquired(NotAcquired::Busy);
        holder
    }

    fn report_contention(&mut self, holder: impl FnOnce() -> Holder) {
        if self.request().blocked_by.is_none() {
            let holder = holder();
            self.request_mut().blocked_by = Some(holder.kind);
            self.request().record(&Event::Contended { by: holder.kind, holder: Some(Box::new(holder)) });
        }
    }

    fn failed(&self, error: LockError) -> Polled {
        Polled::Ready(Err(self.error(error)))
    }

    fn error(&self, error: LockError) -> LockError {
        self.request().spans.failed(&error);
        self.request().not_acquired(match error {
            LockError::Restarted => NotAcquired::Cancelled,
            _ => NotAcquired::Error,
        });
        error
    }

    /// Leaves the queue, and hands on what had been delivered already.
    fn give_up(&mut self) {
        let Stage::Waiting(waiter) = std::mem::replace(&mut self.stage, Stage::Ended) else { return };
        let Request { directory, session, .. } = self.request();
        let range = session.range;
        // A restart finds a claim with its hold or with a waiter.
        let (parting, waker) = directory.process.between_restarts(|| {
            let Taken { delivery, waker } = directory.queues.leave(range, &waiter);
            let parting = match delivery {
                None => Parting::Done,
                Some(Delivery::Attempt(attempt)) if attempt.has_claim() => {
                    directory.queues.part_with(range, Delivery::Attempt(attempt))
                }
                Some(delivery) => Parting::PassOn(delivery),
            };
            (parting, waker)
        });
        drop(waker);
        part(directory, range, parting);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Waiting(_)) && self.request().directory.process.is_current() {
            self.give_up();
            self.request().not_acquired(NotAcquired::Cancelled);
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

/// Has a thread wait for the lock with the turn that a hold of this process has left, behind other processes, for whoever is next in this
/// one.
pub(crate) fn queue_again(left: &Request, arbiter: &Arc<Arbiter>) {
    // If there can be no thread the turn is passed on, and whoever is next waits by itself.
    wait_in_thread(Attempt::coming_last(left, arbiter), Operation::LockArbiter).ok();
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

/// Looks what has been delivered. An attempt that has a claim runs at once, because a restart finds claims with their holds and with
/// waiters.
fn came(waiter: &Waiter, waker: &Waker, request: &mut Option<Request>) -> Came {
    let asked = request.as_ref().expect(NOT_HELD);
    let (process, instance) = (asked.directory.process, asked.instance);
    let mut before = None;
    let came = process.in_instance(instance, || {
        let taken = waiter.take(waker);
        before = taken.waker;
        match taken.delivery {
            None => Came::Nothing,
            Some(Delivery::Attempt(mut attempt)) if attempt.has_claim() => {
                attempt.serve(request.as_ref().expect(NOT_HELD));
                let ran = run_in_instance(&mut attempt, request);
                Came::Ran(attempt, ran)
            }
            Some(delivery) => Came::Delivery(delivery),
        }
    });
    drop(before);
    came.unwrap_or(Came::Over)
}

/// Does what is left to do for a waiter that is none any more.
pub(crate) fn part(directory: &Directory, range: Range, parting: Parting) {
    match parting {
        Parting::Wake(waker) => waker.wake(),
        Parting::PassOn(delivered) => pass_on(directory, range, delivered),
        Parting::Done => {}
    }
}

/// Passes on what comes back from a waiter that does not want it any more.
fn pass_on(directory: &Directory, range: Range, delivered: Delivery) {
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
    let nobody = Request::reclaiming(&attempt.directory, &attempt.session, None, Counters::Kept);
    match run(&mut attempt, &mut Some(nobody)) {
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
