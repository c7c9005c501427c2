//! A hold: from acquire to release, with the healing in between.

use crate::arbiter::Arbiter;
use crate::attempt::{Attempt, Held};
use crate::claim::{self, Claim};
use crate::directory::Directory;
use crate::error::{ReleaseError, SystemError};
use crate::event::{Event, HoldExceeded, Loss, ReleaseOutcome};
use crate::payload::MAX_CLAIM_LEN;
use crate::protocol::{Completion, Heal, Healed, LossCause, Machine, Operation, Release, Released, Step};
use crate::queue::{Delivery, Waiter};
use crate::relay::queue_again;
use crate::request::{Asked, Claimant, Request};
use crate::sys;
use crate::sys::inotify::WatchId;
use crate::sys::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use crate::sys::sync::{Mutex, MutexGuard};
use crate::tenure::Tenure;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) struct Hold {
    pub(crate) request: Request,
    /// How many guards there are. Once it is 0 it stays 0.
    guards: AtomicUsize,
    arbiter: Arc<Arbiter>,
    pub(crate) token: u64,
    pub(crate) since: Instant,
    tenure: Tenure,
    /// `None` once it is released or handed on. Healing and releasing exclude each other here.
    claim: Mutex<Option<Claim>>,
    loss: OnceLock<Loss>,
    /// Who is to be told of the loss.
    wakers: Mutex<Vec<Waker>>,
    /// The watch on the claim, once the hold is old enough to have one.
    watch: AtomicI32,
}

/// No watch: the kernel's numbers begin at 1.
const UNWATCHED: WatchId = 0;

/// Takes one waker like this one out.
fn forget(wakers: &mut Vec<Waker>, waker: &Waker) {
    if let Some(at) = wakers.iter().position(|kept| kept.will_wake(waker)) {
        wakers.swap_remove(at);
    }
}

/// What a look at the hold's claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// It has to be watched on.
    Holding,
    /// It has ended, or is lost.
    Over,
}

/// A hold that has ended, until [`Hold::finish`].
#[must_use = "the turn is still to be passed on"]
pub(crate) struct Ended {
    result: Result<Option<LossCause>, SystemError>,
    turn: Turn,
}

/// Where the turn of a hold that has ended is.
enum Turn {
    /// It has it, for whoever is next.
    Here,
    /// As [`Here`](Self::Here), but other processes come first.
    OthersFirst,
    /// It went to the next hold, which is still to be woken.
    Gone(Option<Waker>),
}

impl Hold {
    pub(crate) fn begin(request: Request, new: Held) -> Arc<Self> {
        let hold = Arc::new(Self::new(request, new));
        let request = &hold.request;
        let waited = hold.since.saturating_duration_since(request.started);
        let process = request.directory.process;
        process.watcher.remember(&hold);
        request.record(&Event::Acquired { token: hold.token, waited, blocked_by: request.blocked_by });
        process.watcher.look_after(&hold);
        hold
    }

    /// With one guard. Nobody is told, and nobody looks after it.
    pub(crate) fn new(request: Request, new: Held) -> Self {
        let since = sys::clock::now();
        Self {
            request,
            guards: AtomicUsize::new(1),
            arbiter: new.arbiter,
            token: new.token,
            since,
            tenure: new.tenure.unwrap_or_else(|| Tenure::new(since)),
            claim: Mutex::new(Some(new.claim)),
            loss: OnceLock::new(),
            wakers: Mutex::default(),
            watch: AtomicI32::new(UNWATCHED),
        }
    }

    /// One guard more. False if there is none any more, and the hold is over or about to be.
    pub(crate) fn enter(&self) -> bool {
        let entered =
            self.guards.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |guards| (guards > 0).then(|| guards + 1));
        if entered.is_ok() {
            self.request.record(&Event::Reentered { token: self.token });
        }
        entered.is_ok()
    }

    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.request.directory
    }

    /// Whether this process is the one that acquired it.
    pub(crate) fn is_ours(&self) -> bool {
        self.directory().process.is_current()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.claim().is_none()
    }

    pub(crate) fn age(&self) -> Duration {
        sys::clock::now().saturating_duration_since(self.since)
    }

    /// One guard less; with the last one the hold ends.
    pub(crate) fn release(self: &Arc<Self>) -> Result<(), ReleaseError> {
        if !self.is_ours() {
            return Err(ReleaseError::Forked);
        }
        if self.guards.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(ended) = self.end_for_next()
        {
            self.finish(ended)?;
        }
        self.lost()
            .map_or(Ok(()), |cause| Err(ReleaseError::Lost { session: self.request.session.name.clone(), cause }))
    }

    /// Ends the hold under its guards; they are told first. `None` if it has ended already. [`Hold::finish`] and
    /// [`Hold::wake_lost`] are to follow.
    pub(crate) fn take_away(self: &Arc<Self>, loss: Loss) -> Option<Ended> {
        self.end(Some(loss), None)
    }

    /// Ends the hold, and hands what it has on if somebody in this process waits for it and its tenure is not
    /// over.
    fn end_for_next(self: &Arc<Self>) -> Option<Ended> {
        let Request { directory, instance, tenure, .. } = &self.request;
        let next = self.next().filter(|_| !self.tenure.is_over(*tenure));
        let Some(next) = next else { return self.end(None, None) };
        // A restart finds a claim with its hold or with a waiter.
        let ended = directory.process.in_instance(*instance, || self.end(None, Some(next.asked())));
        ended.unwrap_or_else(|| self.end(None, None))
    }

    /// The acquire of this process that waits for its turn, if there is one.
    fn next(&self) -> Option<Arc<Waiter>> {
        let queues = &self.directory().queues;
        if queues.may_have_waiters() { queues.first(self.request.session.range) } else { None }
    }

    /// Whether its tenure ends with it, somebody waits in this process, and somebody in another one is to come first.
    fn lets_others_first(&self) -> bool {
        let is_last = self.next().is_some() && self.tenure.is_over(self.request.tenure);
        is_last && self.arbiter.is_awaited(self.request.session.range)
    }

    /// When it has lasted its maximum. `None`: never, or too far away for the clock.
    pub(crate) fn end_at(&self) -> Option<Instant> {
        self.since.checked_add(self.request.max_hold?.0)
    }

    /// The hold has lasted its maximum.
    pub(crate) fn exceed(self: &Arc<Self>) {
        let Some((_, action)) = self.request.max_hold else { return };
        match action {
            HoldExceeded::Report if self.is_over() => {}
            HoldExceeded::Report => self.request.record(&Event::HoldExceeded { action }),
            HoldExceeded::Release => {
                if let Some(ended) = self.take_away(Loss::HoldExceeded) {
                    // Whether that failed is in the event of the release.
                    drop(self.finish(ended));
                    self.wake_lost();
                }
            }
        }
    }

    /// Ends the hold, unless it has ended, and hands on what it has if there is somebody `next`. Whoever finds it ended
    /// also finds its claim gone, or handed on.
    fn end(self: &Arc<Self>, loss: Option<Loss>, next: Option<&Asked>) -> Option<Ended> {
        let mut slot = self.claim();
        let claim = slot.take()?;
        let process = self.directory().process;
        if let Some(loss) = loss {
            if loss == Loss::HoldExceeded {
                self.request.record(&Event::HoldExceeded { action: HoldExceeded::Release });
            }
            // One that came before is the one that counts.
            self.loss.set(loss).ok();
        }
        let releasing = self.request.spans.releasing(&self.request);
        process.watcher.stop_looking_after(self);
        let (result, turn) = if let Some(next) = next {
            self.hand_on(claim, next)
        } else {
            let turn = if self.lets_others_first() { Turn::OthersFirst } else { Turn::Here };
            (self.run_release(claim).map(Released::loss), turn)
        };
        if let Err(error) = &result {
            self.request.spans.failed(error);
        }
        drop(releasing);
        drop(slot);
        process.watcher.forget(self);
        Some(Ended { result, turn })
    }

    /// What goes on with the claim and the locks of this hold.
    pub(crate) fn handed_on(&self, claim: Claim) -> Attempt {
        Attempt::handed_on(&self.request, &self.arbiter, claim, &self.tenure)
    }

    /// Begins the `next` hold with the claim, whose look also tells what became of this one, and gives that, with the locks
    /// and the turn, to the first waiter of this process, which is still to be woken. If the next hold cannot be begun,
    /// or nobody wants it, the claim is released; whoever acquires then meets by itself what went wrong.
    fn hand_on(&self, claim: Claim, next: &Asked) -> (Result<Option<LossCause>, SystemError>, Turn) {
        let mut attempt = Box::new(self.handed_on(claim));
        if let Ok(true) = attempt.renew(next) {
            match self.directory().queues.place(self.request.session.range, Delivery::Attempt(attempt)) {
                Ok(waker) => return (Ok(None), Turn::Gone(waker)),
                Err(Delivery::Attempt(unwanted)) => attempt = unwanted,
                Err(delivery) => unreachable!("{delivery:?} was not placed"),
            }
        }
        (attempt.withdraw().map(Released::loss), Turn::Here)
    }

    /// Passes the turn of a hold that has ended on, as the last step of its release, and says what became of it. Whoever is
    /// woken may run on this thread.
    pub(crate) fn finish(&self, Ended { result, turn }: Ended) -> Result<(), SystemError> {
        match turn {
            Turn::Here => self.directory().queues.pass_on(self.request.session.range),
            Turn::OthersFirst => queue_again(&self.request, &self.arbiter),
            Turn::Gone(waker) => waker.into_iter().for_each(Waker::wake),
        }
        let outcome = match &result {
            Ok(None) => ReleaseOutcome::Released,
            Ok(Some(_)) => ReleaseOutcome::Lost,
            Err(_) => ReleaseOutcome::Error,
        };
        if let Ok(Some(cause)) = result {
            self.lose(cause);
        }
        self.request.record(&Event::Released { outcome, held: self.age() });
        result.map(drop)
    }

    fn run_release(&self, claim: Claim) -> Result<Released, SystemError> {
        let (mut machine, mut claim) = (Release::new(), Some(claim));
        let result = loop {
            let operation = match machine.poll() {
                Step::Done(released) => return Ok(released),
                Step::Do(operation) => operation,
            };
            match self.perform(operation, &mut claim) {
                Ok(completion) => machine.resume(completion),
                Err(error) => break Err(error),
            }
        };
        // The file may be left; the locks are not. The next acquire finds its owner gone.
        self.arbiter.unlock(self.request.session.range).ok();
        if let Some(claim) = claim.take() {
            let claim = Claim { reusable: false, ..claim };
            self.directory().spare.put_back(self.directory(), claim);
        }
        result
    }

    /// Does one operation of a release or of a healing.
    pub(crate) fn perform(&self, operation: Operation, claim: &mut Option<Claim>) -> Result<Completion, SystemError> {
        let Request { directory, session, .. } = &self.request;
        Ok(match (operation, &mut *claim) {
            (Operation::CheckClaim, Some(claim)) => claim::check(directory, session, claim)?,
            (Operation::UnlinkClaim, _) => claim::unlink(directory, session)?,
            (Operation::UnlockArbiter, _) => {
                self.arbiter
                    .unlock(session.range)
                    .map_err(|errno| directory.failed("unlock the arbiter of", session, errno))?;
                Completion::Done
            }
            (Operation::CloseClaim, _) => {
                if let Some(claim) = claim.take() {
                    directory.spare.put_back(directory, claim);
                }
                Completion::Done
            }
            (Operation::PublishClaim { token }, _) => {
                // The acquire asked as well, but the limit can have been lowered since, and SIGXFSZ kills.
                sys::file::may_grow_to(MAX_CLAIM_LEN as u64)
                    .map_err(|errno| directory.failed("put back the claim", session, errno))?;
                let encode =
                    |old_len| self.arbiter.encode_claim(directory.process, &self.request.of_hold(token), old_len);
                match claim::publish(directory, session, encode)? {
                    Some(fresh) => {
                        if let Some(deleted) = claim.replace(fresh) {
                            directory.spare.put_back(directory, deleted);
                        }
                        Completion::Done
                    }
                    None => Completion::Exists,
                }
            }
            (operation, _) => unreachable!("{operation:?} is no step of a hold"),
        })
    }

    /// Looks whether the claim is there, and puts it back if it was deleted.
    pub(crate) fn heal(&self) -> Result<Looked, SystemError> {
        let mut claim = self.claim();
        if claim.is_none() || self.loss.get().is_some() {
            return Ok(Looked::Over);
        }
        let mut machine = Heal::new(self.token);
        let healed = loop {
            match machine.poll() {
                Step::Done(healed) => break healed,
                Step::Do(operation) => machine.resume(self.perform(operation, &mut claim)?),
            }
        };
        drop(claim);
        match healed {
            Healed::Intact => Ok(Looked::Holding),
            Healed::Restored => {
                self.request.record(&Event::ClaimRestored);
                Ok(Looked::Holding)
            }
            Healed::Lost(cause) => {
                self.lose(cause);
                Ok(Looked::Over)
            }
        }
    }

    fn lose(&self, cause: LossCause) {
        if self.loss.set(cause.into()).is_err() {
            return;
        }
        self.request.record(&Event::Lost { cause });
        self.wake_lost();
    }

    /// Wakes those who wait for the loss that there is now.
    pub(crate) fn wake_lost(&self) {
        if self.loss.get().is_some() {
            let wakers = std::mem::take(&mut *self.wakers());
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Nothing is known in a forked child: the parent's threads may have had the mutex.
    pub(crate) fn lost(&self) -> Option<Loss> {
        if self.is_ours() { self.loss.get().copied() } else { None }
    }

    /// Keeps `waker` in place of the one that was kept `before` for the same future.
    pub(crate) fn poll_lost(&self, waker: &Waker, before: Option<&Waker>) -> Poll<Loss> {
        if !self.is_ours() {
            return Poll::Pending;
        }
        // Asked with the wakers locked: whoever sets it wakes them after that.
        let mut wakers = self.wakers();
        if let Some(loss) = self.loss.get() {
            return Poll::Ready(*loss);
        }
        if let Some(before) = before {
            forget(&mut wakers, before);
        }
        wakers.push(waker.clone());
        Poll::Pending
    }

    pub(crate) fn forget_waker(&self, waker: &Waker) {
        if self.is_ours() {
            forget(&mut self.wakers(), waker);
        }
    }

    /// Returns the watch that it had before.
    pub(crate) fn set_watch(&self, watch: WatchId) -> Option<WatchId> {
        Some(self.watch.swap(watch, Ordering::AcqRel)).filter(|before| *before != UNWATCHED)
    }

    pub(crate) fn take_watch(&self) -> Option<WatchId> {
        if self.watch.load(Ordering::Acquire) == UNWATCHED {
            return None;
        }
        Some(self.watch.swap(UNWATCHED, Ordering::AcqRel)).filter(|before| *before != UNWATCHED)
    }

    pub(crate) fn claim(&self) -> MutexGuard<'_, Option<Claim>> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("token", &self.token).finish_non_exhaustive()
    }
}
