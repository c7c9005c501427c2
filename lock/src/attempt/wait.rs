//! The waiting of an attempt: in the kernel's queue for the arbiter, by inotify for a claim.

use super::Attempt;
use crate::error::LockError;
use crate::protocol::{Completion, Machine, Operation, Refusal, Step};
use crate::sys::{self, file::Access};
use crate::verdict::Probe;
use std::sync::Arc;
use std::time::Duration;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The attempt can go on.
    Ready,
    /// Nobody wants it any more.
    Abandoned,
}

/// How often a wait looks by itself, in case no event comes: a file that may not be watched, or too many watches.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// `IN_CLOSE_WRITE` arrives before the kernel has dropped the writer, so looks follow one another for a moment.
const LOOK_SOON: Duration = Duration::from_micros(100);
const SOON_LOOKS: u32 = 100;
/// How often one looks whether another process has come to the lock that it was let have.
const COME_LOOKS: u32 = 20;

impl Attempt {
    /// Waits for what [`Progress::Blocked`] named, and tells the machine. Of a wait in the kernel's queue a signal may end it
    /// if it is not `wanted` any more.
    pub(crate) fn wait(&mut self, operation: Operation, wanted: impl Fn() -> bool) -> Result<Waited, LockError> {
        let completion = match operation {
            Operation::LockArbiter => {
                let range = self.session.range;
                if std::mem::take(&mut self.comes_last) {
                    self.let_others_first();
                }
                let locked = self.arbiter().lock(range, wanted);
                self.locked = locked.map_err(|errno| self.failed("wait for the arbiter of", errno))?;
                self.locked.then_some(Completion::Done)
            }
            Operation::AwaitGrace => Some(self.await_grace()),
            Operation::AwaitClaim(refusal) => self.await_claim(refusal).then_some(Completion::Woken),
            operation => unreachable!("{operation:?} does not wait"),
        };
        match completion {
            Some(completion) => {
                self.machine.resume(completion);
                Ok(Waited::Ready)
            }
            None => Ok(Waited::Abandoned),
        }
    }

    /// Until one of those who wait in other processes has the lock, or has had it. One that does not come is stopped, or its
    /// processor is busy.
    fn let_others_first(&mut self) {
        let range = self.session.range;
        for _ in 0..COME_LOOKS {
            let arbiter = self.arbiter();
            if arbiter.is_taken(range) || !arbiter.is_awaited(range) {
                return;
            }
            sys::clock::pause(LOOK_SOON);
        }
    }

    /// Tells the machine that the whole grace has passed since it was [`Progress::Blocked`] on it. For somebody who waits
    /// one grace for many attempts.
    ///
    /// [`Progress::Blocked`]: super::Progress::Blocked
    pub(crate) fn end_grace(&mut self) {
        debug_assert!(matches!(self.machine.poll(), Step::Do(Operation::AwaitGrace)), "it waits for its grace");
        let completion = if self.claim_changed() { Completion::Woken } else { Completion::GraceElapsed };
        self.machine.resume(completion);
    }

    /// Also when nobody waits any more: short deadlines would make no progress otherwise.
    fn await_grace(&mut self) -> Completion {
        let parker = Arc::clone(self.parker());
        let _watch = self.directory.process.watcher.watch_claim(&self.directory, &self.session, &parker);
        // A grace too long for the clock never passes.
        let end = sys::clock::now().checked_add(self.grace);
        loop {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(sys::clock::now()));
            if self.claim_changed() {
                return Completion::Woken;
            }
            if left.is_zero() {
                return Completion::GraceElapsed;
            }
            parker.park(left.min(LOOK_AGAIN));
        }
    }

    /// False if nobody waits any more.
    fn await_claim(&mut self, refusal: Refusal) -> bool {
        let parker = Arc::clone(self.parker());
        let _watch = self.directory.process.watcher.watch_claim(&self.directory, &self.session, &parker);
        if refusal == Refusal::Unknown {
            // Nothing can be asked without trying again.
            parker.park(LOOK_AGAIN);
            return self.is_wanted();
        }
        let mut soon = SOON_LOOKS;
        while !self.claim_changed() && self.is_in_the_way(refusal) {
            if !self.is_wanted() {
                return false;
            }
            let pause = if soon > 0 { LOOK_SOON } else { LOOK_AGAIN };
            soon = if parker.park(pause) { SOON_LOOKS } else { soon.saturating_sub(1) };
        }
        true
    }

    fn is_wanted(&self) -> bool {
        self.directory.queues.has_waiters(self.session.range)
    }

    fn claim_changed(&self) -> bool {
        let found = self.directory.claim_inode(&self.session);
        self.examined.is_some() && found.is_ok_and(|found| found != self.examined)
    }

    /// Whether what refused the claim still does, asked on a read-only descriptor, which disturbs nobody. What cannot be
    /// asked is taken to be so: the lock of another user's claim.
    fn is_in_the_way(&self, refusal: Refusal) -> bool {
        match refusal {
            Refusal::ForeignArbiter => sys::file::open_regular(&self.directory.fd, &self.session.claim, Access::Read)
                .and_then(|claim| sys::ofd::is_locked(claim, sys::ofd::Range::All))
                .unwrap_or(true),
            _ => matches!(self.writers(), Ok(Some(Probe::Writer))),
        }
    }
}
