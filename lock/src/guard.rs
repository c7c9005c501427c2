//! What the holder has in hand.

use crate::error::{ReentryError, ReleaseError};
use crate::event::Loss;
use crate::hold::Hold;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// A held lock.
///
/// The lock is held until [`Guard::release`], the drop of the guard, or the end of the process in whatever way: after a
/// `SIGKILL` the kernel frees it at once. In a forked child the guard is inert: it holds nothing, and dropping it there
/// changes nothing for the parent.
///
/// It is lost earlier if the caller asked for that ([`crate::Lock::max_hold`], [`crate::release_all`]) or if somebody
/// takes the claim away; the guard is told, and is inert from then on.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard {
    hold: Arc<Hold>,
    released: bool,
}

impl Guard {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self { hold, released: false }
    }

    /// The fencing token: larger than that of every earlier hold of this session, as long as the state directory lives.
    /// Storage that remembers the largest token it has seen can refuse a writer that was overtaken.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.hold.token
    }

    /// The session's name.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.hold.request.session.name
    }

    /// Releases the lock: unlinks the claim, then unlocks; or leaves both to an acquire of this process that waits
    /// ([`Options::tenure`](crate::Options::tenure)). A few short system calls, no waiting. With other guards of the same hold
    /// ([`Guard::handle`]) nothing happens until the last one is released.
    ///
    /// # Errors
    ///
    /// - [`ReleaseError::Lost`]: the hold was lost before, or its claim turns out to be gone. Nothing is unlinked.
    /// - [`ReleaseError::System`]: the claim could not be unlinked. The lock is free all the same.
    /// - [`ReleaseError::Forked`]: this is a forked child.
    pub fn release(mut self) -> Result<(), ReleaseError> {
        self.released = true;
        self.hold.release()
    }

    /// A handle through which the holder can enter its own hold once more, in another task or in a function that is
    /// called by itself: the lock is held until the last guard is gone. It is the only way: acquiring the same session
    /// again waits, also in the process that holds it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { hold: Arc::downgrade(&self.hold) }
    }

    /// Whether the hold is lost, and how; [`Loss`] says who may hold the lock then.
    ///
    /// A claim that somebody deletes is put back and is not lost. One that somebody replaces is found within milliseconds
    /// for holds older than about 20 ms, else at the release.
    #[must_use]
    pub fn is_lost(&self) -> Option<Loss> {
        self.hold.lost()
    }

    /// Waits until the hold is lost; see [`Guard::is_lost`]. Never ends for a hold that is not. Dropping the future
    /// costs nothing. It works on any executor.
    pub fn lost(&self) -> Lost {
        Lost { hold: Arc::clone(&self.hold), waker: None }
    }
}

/// A failure here is an [`crate::event::Event::Released`] with the outcome `Error`.
impl Drop for Guard {
    fn drop(&mut self) {
        if !self.released {
            drop(self.hold.release());
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("session", &self.session()).field("token", &self.token()).finish_non_exhaustive()
    }
}

/// Enters a hold once more; made by [`Guard::handle`]. It does not keep the lock held by itself, and can be cloned and sent.
#[derive(Clone)]
pub struct Handle {
    hold: Weak<Hold>,
}

impl Handle {
    /// One more guard of the same hold, with the same token. No system call, no waiting.
    ///
    /// # Errors
    ///
    /// - [`ReentryError::Over`]: the last guard has been released.
    /// - [`ReentryError::Lost`]: the hold was lost.
    /// - [`ReentryError::Forked`]: this is a forked child.
    pub fn reenter(&self) -> Result<Guard, ReentryError> {
        let hold = self.hold.upgrade().ok_or(ReentryError::Over)?;
        if !hold.is_ours() {
            return Err(ReentryError::Forked);
        }
        if let Some(loss) = hold.lost() {
            return Err(ReentryError::Lost(loss));
        }
        if hold.enter() { Ok(Guard::new(hold)) } else { Err(ReentryError::Over) }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// The future of [`Guard::lost`].
#[must_use = "futures do nothing unless polled"]
pub struct Lost {
    hold: Arc<Hold>,
    waker: Option<Waker>,
}

impl Future for Lost {
    type Output = Loss;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Loss> {
        let before = self.waker.take();
        let polled = self.hold.poll_lost(context.waker(), before.as_ref());
        // One that is not kept there must not be taken out: it may be another future's of the same task.
        self.waker = polled.is_pending().then(|| context.waker().clone());
        polled
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        if let Some(waker) = &self.waker {
            self.hold.forget_waker(waker);
        }
    }
}

impl fmt::Debug for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lost").finish_non_exhaustive()
    }
}
