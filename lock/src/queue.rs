//! The process-local turn: first come, first served, per session.
//!
//! One OFD description does not exclude itself, so within a process the turn does. Whoever has the turn runs the
//! protocol, holds, releases, and passes the turn on as the very last thing (seed thread 001: passing it on before the
//! file is gone lets the next holder's claim be deleted; 002: an acquire during a release waits here, not on the file).
//! Or it hands all that it has on to the next one, the file too.

use crate::attempt::Attempt;
use crate::error::{LockError, SystemError};
use crate::name::{Range, SHARDS};
use crate::request::Asked;
use crate::sys::sync::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

#[cfg(test)]
pub(crate) mod support;

/// The turns of one directory. A range without an entry is free.
#[derive(Debug)]
pub(crate) struct Queues {
    shards: Box<[Mutex<Shard>]>,
    /// How many wait in all queues.
    waiting: AtomicUsize,
}

/// The queues of a shard, in the order of their offsets. There are few at a time.
#[derive(Debug, Default)]
struct Shard(Vec<(u64, Queue)>);

#[derive(Debug, Default)]
struct Queue {
    waiters: VecDeque<Arc<Waiter>>,
    /// To whom something was delivered last. It may not have taken it yet.
    served: Option<Arc<Waiter>>,
    /// The waiter thread that has the turn now, while it waits for something that can be called off.
    parker: Option<Arc<Parker>>,
}

/// One acquire that waits for its turn.
#[derive(Debug)]
pub(crate) struct Waiter {
    state: Mutex<State>,
    asked: Asked,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Delivered(Delivery),
    Gone,
}

/// What a waiter is woken with. Everything but `Failed` carries the turn.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The turn.
    Turn,
    /// The turn, and an attempt that need not wait any more, or that a hold has handed on.
    Attempt(Box<Attempt>),
    /// The attempt made on its behalf failed. The turn goes to the next one.
    Failed(LockError),
}

/// What is left to do for a waiter that was taken out, once nothing is locked any more.
#[derive(Debug)]
pub(crate) enum Parting {
    Wake(Waker),
    /// It had been delivered to it already.
    PassOn(Delivery),
    Done,
}

impl Parting {
    /// Ends an attempt that has a claim, and keeps its turn.
    pub(crate) fn without_claim(self) -> (Self, Result<(), SystemError>) {
        match self {
            Self::PassOn(Delivery::Attempt(mut attempt)) if attempt.has_claim() => {
                (Self::PassOn(Delivery::Turn), attempt.withdraw().map(drop))
            }
            parting => (parting, Ok(())),
        }
    }
}

/// What a waiter had until now.
#[must_use = "a delivery carries the turn"]
pub(crate) struct Taken {
    pub(crate) delivery: Option<Delivery>,
    /// Not to be dropped under any lock: that may run anything.
    pub(crate) waker: Option<Waker>,
}

impl Default for Queues {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), waiting: AtomicUsize::new(0) }
    }
}

impl Queues {
    fn shard(&self, range: Range) -> MutexGuard<'_, Shard> {
        self.shards[range.shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn if it is free.
    pub(crate) fn try_take(&self, range: Range) -> bool {
        let mut shard = self.shard(range);
        if shard.get_mut(range.offset).is_some() {
            return false;
        }
        shard.add(range.offset);
        true
    }

    /// Takes the turn, or waits in the queue for it.
    pub(crate) fn take_or_wait(&self, range: Range, asked: impl FnOnce() -> Asked) -> Option<Arc<Waiter>> {
        let mut shard = self.shard(range);
        let Some(queue) = shard.get_mut(range.offset) else {
            shard.add(range.offset);
            return None;
        };
        let waiter = Waiter::new(asked());
        queue.waiters.push_back(Arc::clone(&waiter));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Some(waiter)
    }

    /// The one who has the turn becomes the first waiter, while a thread waits for it with the turn.
    pub(crate) fn wait_first(&self, range: Range, parker: &Arc<Parker>, asked: Asked) -> Arc<Waiter> {
        let waiter = Waiter::new(asked);
        let mut shard = self.shard(range);
        let queue = shard.add(range.offset);
        queue.waiters.push_front(Arc::clone(&waiter));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        queue.parker = Some(Arc::clone(parker));
        waiter
    }

    /// Gives something to the first waiter that still wants it; otherwise gives it back, and a turn becomes free.
    pub(crate) fn deliver(&self, range: Range, delivery: Delivery) -> Option<Delivery> {
        match self.place(range, delivery) {
            Ok(waker) => {
                waker.into_iter().for_each(Waker::wake);
                None
            }
            Err(delivery) => Some(delivery),
        }
    }

    /// As [`deliver`](Self::deliver), but leaves it to the caller to wake who gets it.
    pub(crate) fn place(&self, range: Range, mut delivery: Delivery) -> Result<Option<Waker>, Delivery> {
        loop {
            let waiter = {
                let mut shard = self.shard(range);
                let Some(queue) = shard.get_mut(range.offset) else { return Ok(None) };
                let waiter = queue.waiters.pop_front();
                queue.served.clone_from(&waiter);
                if waiter.is_some() {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                if waiter.is_none() && matches!(delivery, Delivery::Turn) {
                    shard.remove(range.offset);
                    return Ok(None);
                }
                waiter
            };
            let Some(waiter) = waiter else { return Err(delivery) };
            match waiter.place(delivery) {
                Ok(waker) => return Ok(waker),
                Err(refused) => delivery = refused,
            }
        }
    }

    /// Passes the turn on.
    pub(crate) fn pass_on(&self, range: Range) {
        let undelivered = self.deliver(range, Delivery::Turn);
        debug_assert!(undelivered.is_none(), "a turn nobody wants becomes free");
    }

    /// Takes a waiter out. What had been delivered to it already comes back, and must be passed on.
    pub(crate) fn leave(&self, range: Range, waiter: &Arc<Waiter>) -> Taken {
        let taken = waiter.leave();
        let mut shard = self.shard(range);
        if let Some(queue) = shard.get_mut(range.offset) {
            let before = queue.waiters.len();
            queue.waiters.retain(|other| !Arc::ptr_eq(other, waiter));
            self.waiting.fetch_sub(before - queue.waiters.len(), Ordering::Relaxed);
            if let (true, Some(parker)) = (queue.waiters.is_empty(), &queue.parker) {
                parker.unpark();
            }
        }
        taken
    }

    /// Gives an attempt that has a claim to the first waiter that still wants it. If nobody does its claim goes, as far
    /// as it can be removed, and the turn is left.
    pub(crate) fn part_with(&self, range: Range, delivery: Delivery) -> (Parting, Result<(), SystemError>) {
        match self.place(range, delivery) {
            Ok(Some(waker)) => (Parting::Wake(waker), Ok(())),
            Ok(None) => (Parting::Done, Ok(())),
            Err(unwanted) => Parting::PassOn(unwanted).without_claim(),
        }
    }

    /// Takes everybody out who waits, or has not taken what was delivered yet. They are still to be [ended](Waiter::end).
    pub(crate) fn take_waiters(&self) -> Vec<(Range, Arc<Waiter>)> {
        let mut taken = Vec::new();
        for (shard, queues) in self.shards.iter().enumerate() {
            for (offset, queue) in &mut queues.lock().unwrap_or_else(PoisonError::into_inner).0 {
                self.waiting.fetch_sub(queue.waiters.len(), Ordering::Relaxed);
                let waiters = queue.served.take().into_iter().chain(queue.waiters.drain(..));
                taken.extend(waiters.map(|waiter| (Range { shard, offset: *offset }, waiter)));
                if let Some(parker) = &queue.parker {
                    parker.unpark();
                }
            }
        }
        taken
    }

    /// Whether anybody may wait for any turn, without a look at the queues. One who has just come may be missed.
    pub(crate) fn may_have_waiters(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether anybody waits for the turn.
    pub(crate) fn has_waiters(&self, range: Range) -> bool {
        self.first(range).is_some()
    }

    /// Who is to have the turn next. It may leave.
    pub(crate) fn first(&self, range: Range) -> Option<Arc<Waiter>> {
        self.shard(range).get_mut(range.offset)?.waiters.front().cloned()
    }

    /// Who waits for the turn, first come first.
    pub(crate) fn waiting(&self, range: Range) -> Vec<Asked> {
        let mut shard = self.shard(range);
        let waiters = shard.get_mut(range.offset).map(|queue| queue.waiters.iter());
        waiters.into_iter().flatten().map(|waiter| waiter.asked.clone()).collect()
    }
}

impl Shard {
    fn position(&self, offset: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&offset, |(offset, _)| *offset)
    }

    fn get_mut(&mut self, offset: u64) -> Option<&mut Queue> {
        let at = self.position(offset).ok()?;
        Some(&mut self.0[at].1)
    }

    /// The queue, which there is from now on.
    fn add(&mut self, offset: u64) -> &mut Queue {
        let at = self.position(offset).unwrap_or_else(|at| {
            self.0.insert(at, (offset, Queue::default()));
            at
        });
        &mut self.0[at].1
    }

    fn remove(&mut self, offset: u64) {
        if let Ok(at) = self.position(offset) {
            self.0.remove(at);
        }
    }
}

impl Waiter {
    fn new(asked: Asked) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Waiting(None)), asked })
    }

    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was delivered; until then `waker` is kept, in place of the one that comes back.
    pub(crate) fn take(&self, waker: &Waker) -> Taken {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Gone) {
            State::Delivered(delivery) => Taken { delivery: Some(delivery), waker: None },
            State::Waiting(before) => {
                *state = State::Waiting(Some(waker.clone()));
                Taken { delivery: None, waker: before }
            }
            State::Gone => Taken { delivery: None, waker: None },
        }
    }

    fn place(&self, delivery: Delivery) -> Result<Option<Waker>, Delivery> {
        let mut state = self.state();
        let State::Waiting(waker) = &mut *state else { return Err(delivery) };
        let waker = waker.take();
        *state = State::Delivered(delivery);
        Ok(waker)
    }

    /// Has it find that the process has restarted.
    pub(crate) fn end(&self) -> Parting {
        let mut state = self.state();
        if matches!(*state, State::Gone) {
            return Parting::Done;
        }
        // It may be about to wait, and would not be woken again.
        match std::mem::replace(&mut *state, State::Delivered(Delivery::Failed(LockError::Restarted))) {
            State::Delivered(delivery) => Parting::PassOn(delivery),
            State::Waiting(Some(waker)) => Parting::Wake(waker),
            State::Waiting(None) | State::Gone => Parting::Done,
        }
    }

    fn leave(&self) -> Taken {
        match std::mem::replace(&mut *self.state(), State::Gone) {
            State::Delivered(delivery) => Taken { delivery: Some(delivery), waker: None },
            State::Waiting(waker) => Taken { delivery: None, waker },
            State::Gone => Taken { delivery: None, waker: None },
        }
    }
}

/// Where a waiter thread sleeps until it is told that something may have changed.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    told: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    pub(crate) fn unpark(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits at most this long; true if it was told.
    pub(crate) fn park(&self, timeout: Duration) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut told, _) =
            self.changed.wait_timeout_while(told, timeout, |told| !*told).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *told)
    }
}
