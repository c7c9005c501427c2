//! The process-local turn: first come, first served, per session.
//!
//! One OFD description does not exclude itself, so within a process the turn does. Whoever has the turn runs the
//! protocol, holds, releases, and passes the turn on as the very last thing (seed thread 001: passing it on before the
//! file is gone lets the next holder's claim be deleted; 002: an acquire during a release waits here, not on the file).

use crate::attempt::Attempt;
use crate::error::LockError;
use crate::name::{Range, SHARDS};
use crate::sys::sync::{Condvar, Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

#[cfg(test)]
pub(crate) mod support;

/// The turns of one directory. A range without an entry is free.
#[derive(Debug)]
pub(crate) struct Queues(Box<[Mutex<BTreeMap<u64, Queue>>]>);

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

/// Who waits: what an acquire says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) label: Option<String>,
    pub(crate) since: Instant,
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
    /// The turn, and an attempt that need not wait any more.
    Attempt(Box<Attempt>),
    /// The attempt made on its behalf failed. The turn goes to the next one.
    Failed(LockError),
}

impl Default for Queues {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Queues {
    fn shard(&self, range: Range) -> MutexGuard<'_, BTreeMap<u64, Queue>> {
        self.0[range.shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn if it is free.
    pub(crate) fn try_take(&self, range: Range) -> bool {
        let mut shard = self.shard(range);
        if shard.contains_key(&range.offset) {
            return false;
        }
        shard.insert(range.offset, Queue::default());
        true
    }

    /// Takes the turn, or waits in the queue for it.
    pub(crate) fn take_or_wait(&self, range: Range, asked: impl FnOnce() -> Asked) -> Option<Arc<Waiter>> {
        let mut shard = self.shard(range);
        let Some(queue) = shard.get_mut(&range.offset) else {
            shard.insert(range.offset, Queue::default());
            return None;
        };
        let waiter = Waiter::new(asked());
        queue.waiters.push_back(Arc::clone(&waiter));
        Some(waiter)
    }

    /// The one who has the turn becomes the first waiter, while a thread waits for it with the turn.
    pub(crate) fn wait_first(&self, range: Range, parker: &Arc<Parker>, asked: Asked) -> Arc<Waiter> {
        let waiter = Waiter::new(asked);
        let mut shard = self.shard(range);
        let queue = shard.entry(range.offset).or_default();
        queue.waiters.push_front(Arc::clone(&waiter));
        queue.parker = Some(Arc::clone(parker));
        waiter
    }

    /// Gives something to the first waiter that still wants it; otherwise gives it back, and a turn becomes free.
    pub(crate) fn deliver(&self, range: Range, mut delivery: Delivery) -> Option<Delivery> {
        loop {
            let waiter = {
                let mut shard = self.shard(range);
                let queue = shard.get_mut(&range.offset)?;
                let waiter = queue.waiters.pop_front();
                queue.served.clone_from(&waiter);
                if waiter.is_none() && matches!(delivery, Delivery::Turn) {
                    shard.remove(&range.offset);
                    return None;
                }
                waiter
            };
            let Some(waiter) = waiter else { return Some(delivery) };
            match waiter.deliver(delivery) {
                None => return None,
                Some(refused) => delivery = refused,
            }
        }
    }

    /// Passes the turn on.
    pub(crate) fn pass_on(&self, range: Range) {
        let undelivered = self.deliver(range, Delivery::Turn);
        debug_assert!(undelivered.is_none(), "a turn nobody wants becomes free");
    }

    /// Takes a waiter out. What had been delivered to it already comes back, and must be passed on.
    pub(crate) fn leave(&self, range: Range, waiter: &Arc<Waiter>) -> Option<Delivery> {
        // Before the shard is locked, because dropping its waker may run anything.
        let delivered = waiter.leave();
        let mut shard = self.shard(range);
        if let Some(queue) = shard.get_mut(&range.offset) {
            queue.waiters.retain(|other| !Arc::ptr_eq(other, waiter));
            if let (true, Some(parker)) = (queue.waiters.is_empty(), &queue.parker) {
                parker.unpark();
            }
        }
        delivered
    }

    /// Takes everybody out who waits, or has not taken what was delivered yet. They are still to be [ended](Waiter::end).
    pub(crate) fn take_waiters(&self) -> Vec<(Range, Arc<Waiter>)> {
        let mut taken = Vec::new();
        for (shard, queues) in self.0.iter().enumerate() {
            for (&offset, queue) in queues.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
                let waiters = queue.served.take().into_iter().chain(queue.waiters.drain(..));
                taken.extend(waiters.map(|waiter| (Range { shard, offset }, waiter)));
                if let Some(parker) = &queue.parker {
                    parker.unpark();
                }
            }
        }
        taken
    }

    /// Whether anybody waits for the turn.
    pub(crate) fn has_waiters(&self, range: Range) -> bool {
        self.shard(range).get(&range.offset).is_some_and(|queue| !queue.waiters.is_empty())
    }

    /// Who waits for the turn, first come first.
    pub(crate) fn waiting(&self, range: Range) -> Vec<Asked> {
        let shard = self.shard(range);
        let waiters = shard.get(&range.offset).map(|queue| queue.waiters.iter());
        waiters.into_iter().flatten().map(|waiter| waiter.asked.clone()).collect()
    }
}

impl Waiter {
    fn new(asked: Asked) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Waiting(None)), asked })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was delivered; until then `waker` is kept.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<Delivery> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Gone) {
            State::Delivered(delivery) => Some(delivery),
            State::Waiting(before) => {
                *state = State::Waiting(Some(waker.clone()));
                drop(state);
                // Only now, because that may run anything.
                drop(before);
                None
            }
            State::Gone => None,
        }
    }

    fn deliver(&self, delivery: Delivery) -> Option<Delivery> {
        let mut state = self.state();
        let State::Waiting(waker) = &mut *state else { return Some(delivery) };
        let waker = waker.take();
        *state = State::Delivered(delivery);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }

    /// Wakes it to find that the process has restarted. What had been delivered to it comes back, and must be passed on.
    pub(crate) fn end(&self) -> Option<Delivery> {
        let mut state = self.state();
        if matches!(*state, State::Gone) {
            return None;
        }
        // It may be about to wait, and would not be woken again.
        let before = std::mem::replace(&mut *state, State::Delivered(Delivery::Failed(LockError::Restarted)));
        drop(state);
        match before {
            State::Delivered(delivery) => return Some(delivery),
            State::Waiting(Some(waker)) => waker.wake(),
            State::Waiting(None) | State::Gone => {}
        }
        None
    }

    fn leave(&self) -> Option<Delivery> {
        let before = std::mem::replace(&mut *self.state(), State::Gone);
        match before {
            State::Delivered(delivery) => Some(delivery),
            State::Waiting(_) | State::Gone => None,
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
