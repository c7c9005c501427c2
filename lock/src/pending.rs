//! An acquire on its way, from the first poll to the hold: it takes the turn or waits for it, runs its attempt, and
//! gives up.

use crate::attempt::Attempt;
use crate::error::LockError;
use crate::event::{Event, NotAcquired};
use crate::hold::Hold;
use crate::holder::Holder;
use crate::look::Look;
use crate::protocol::Operation;
use crate::queue::{Delivery, Parting, Taken, Waiter};
use crate::relay::{NOT_HELD, Ran, abandon, part, run, run_in_instance, wait, wait_in_thread};
use crate::request::Request;
use crate::spans::Spans;
use std::sync::Arc;
use std::task::Waker;

/// A request on its way. It does nothing unless it is polled; dropping it takes it back.
pub(crate) struct Pending {
    /// `None` once it is a hold's.
    request: Option<Request>,
    stage: Stage,
    waits: Waits,
}

/// Which thread waits in the kernel's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// One of this crate's: whoever asked can give up, and others go on with what it has waited for.
    Elsewhere,
    /// The one that asked, which gives up for nothing but a restart: nobody else has to be woken between it and the
    /// kernel.
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

    /// Runs the attempt, and concludes.
    fn advance(&mut self, mut attempt: Attempt) -> Option<Result<Arc<Hold>, LockError>> {
        let ran = run(&mut attempt, &mut self.request);
        self.conclude(attempt, ran)
    }

    /// What follows from a run: the hold, or an error. If it has to wait, this becomes the first waiter for it, a thread
    /// does the waiting, and there is nothing yet.
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

    /// Leaves the queue, and passes on what had been delivered already.
    fn give_up(&mut self) {
        let Stage::Waiting(waiter) = std::mem::replace(&mut self.stage, Stage::Ended) else { return };
        let Request { directory, session, .. } = self.request();
        let range = session.range;
        // A restart finds a claim with its hold or with a waiter.
        let ((parting, withdrawn), waker) = directory.process.between_restarts(|| {
            let Taken { delivery, waker } = directory.queues.leave(range, &waiter);
            let parting = match delivery {
                None => (Parting::Done, Ok(())),
                Some(Delivery::Attempt(attempt)) if attempt.has_claim() => {
                    directory.queues.part_with(range, Delivery::Attempt(attempt))
                }
                Some(delivery) => (Parting::PassOn(delivery), Ok(())),
            };
            (parting, waker)
        });
        if let Err(error) = withdrawn {
            self.request().spans.failed(&error);
        }
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

/// How a look at a waiter ended.
enum Came {
    Nothing,
    Delivery(Delivery),
    /// An attempt, which has run already.
    Ran(Box<Attempt>, Result<Ran, LockError>),
    /// The instance is over.
    Over,
}

/// Looks what has been delivered. An attempt that has a claim runs at once, because a restart finds claims with their
/// holds and with waiters.
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
