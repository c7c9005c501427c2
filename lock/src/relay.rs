//! How an attempt runs, and where it goes when whoever ran it waits, gives up or has released: to a thread that waits
//! for it, to the first waiter, or to its end.

use crate::arbiter::Arbiter;
use crate::attempt::{Attempt, Progress, Reclaimed, Waited};
use crate::directory::Directory;
use crate::error::{LockError, START_WAITER, SystemError};
use crate::hold::Hold;
use crate::name::Range;
use crate::protocol::Operation;
use crate::queue::{Delivery, Parting};
use crate::request::{Counters, Request};
use std::sync::Arc;

/// What a run of an attempt has come to.
pub(crate) enum Ran {
    Held(Arc<Hold>, Option<Reclaimed>),
    Blocked(Operation),
}

pub(crate) const NOT_HELD: &str = "a request is not asked once it is a hold's";

/// Runs the attempt on behalf of the request, unless the process has restarted since that began. A hold takes the
/// request with it.
pub(crate) fn run(attempt: &mut Attempt, request: &mut Option<Request>) -> Result<Ran, LockError> {
    let asked = request.as_ref().expect(NOT_HELD);
    let (process, instance) = (asked.directory.process, asked.instance);
    process.in_instance(instance, || run_in_instance(attempt, request)).unwrap_or(Err(LockError::Restarted))
}

/// As [`run`], inside the instance that the request began in.
pub(crate) fn run_in_instance(attempt: &mut Attempt, request: &mut Option<Request>) -> Result<Ran, LockError> {
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

/// Starts a thread that waits for the attempt and then hands it on.
pub(crate) fn wait_in_thread(attempt: Attempt, operation: Operation) -> Result<(), SystemError> {
    let (directory, session) = (Arc::clone(&attempt.directory), Arc::clone(&attempt.session));
    let attempt = Box::new(attempt);
    directory.process.waiters.run(move || wait(attempt, operation, || true)).map_err(|cause| {
        directory.queues.pass_on(session.range);
        SystemError { operation: START_WAITER, path: directory.claim_path(&session), cause }
    })
}

/// Has a thread wait for the lock with the turn that a hold of this process has left, behind other processes, for
/// whoever is next in this one.
pub(crate) fn queue_again(left: &Request, arbiter: &Arc<Arbiter>) {
    // If there can be no thread the turn is passed on, and whoever is next waits by itself.
    wait_in_thread(Attempt::coming_last(left, arbiter), Operation::LockArbiter).ok();
}

/// Waits, and hands the attempt on to the first waiter.
pub(crate) fn wait(mut attempt: Box<Attempt>, operation: Operation, wanted: impl Fn() -> bool) {
    match attempt.wait(operation, wanted) {
        Ok(Waited::Ready) => deliver(attempt),
        Ok(Waited::Abandoned) => abandon(*attempt),
        Err(error) => {
            let (directory, range) = (Arc::clone(&attempt.directory), attempt.session.range);
            drop(attempt);
            drop(directory.queues.deliver(range, Delivery::Failed(error)));
            directory.queues.pass_on(range);
        }
    }
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
        Delivery::Attempt(attempt) => deliver(attempt),
        Delivery::Failed(_) => {}
    }
}

/// Gives an attempt to the first waiter. One that nobody wants is ended; a grace that it has waited out is used first,
/// so that acquires with short deadlines make progress.
fn deliver(attempt: Box<Attempt>) {
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
