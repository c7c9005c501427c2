//! What the holder has in hand.

use crate::error::ReleaseError;
use crate::hold::Hold;
use crate::protocol::LossCause;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A held lock.
///
/// The lock is held until [`Guard::release`], the drop of the guard, or the end of the process in whatever way: after a
/// `SIGKILL` the kernel frees it at once. In a forked child the guard is inert: it holds nothing, and dropping it there
/// changes nothing for the parent.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard {
    hold: Arc<Hold>,
}

impl Guard {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self { hold }
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

    /// Releases the lock: unlinks the claim, then unlocks. A few short system calls, no waiting.
    ///
    /// Somebody may have taken the claim away meanwhile; then nothing is unlinked, and the sink gets
    /// [`crate::event::Event::Lost`].
    ///
    /// # Errors
    ///
    /// [`ReleaseError::Forked`] in a forked child. [`ReleaseError::System`] if the claim could not be unlinked: the lock
    /// is free all the same.
    pub fn release(self) -> Result<(), ReleaseError> {
        self.hold.release()
    }

    /// Whether the claim was taken away by somebody who does not respect it, and how.
    ///
    /// Holders that use this crate still exclude each other; others may not be excluded any more. A deleted claim is put
    /// back and is not lost. Found within milliseconds for holds older than about 20 ms, else at the release.
    #[must_use]
    pub fn is_lost(&self) -> Option<LossCause> {
        self.hold.lost()
    }

    /// Waits until the claim is lost; see [`Guard::is_lost`]. Never ends for a claim that is not. Dropping the future
    /// costs nothing. It works on any executor.
    pub fn lost(&self) -> Lost {
        Lost { hold: Arc::clone(&self.hold), waker: None }
    }
}

/// A failure here is an [`crate::event::Event::Released`] with the outcome `Error`.
impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.hold.release());
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("session", &self.session()).field("token", &self.token()).finish_non_exhaustive()
    }
}

/// The future of [`Guard::lost`].
#[must_use = "futures do nothing unless polled"]
pub struct Lost {
    hold: Arc<Hold>,
    waker: Option<Waker>,
}

impl Future for Lost {
    type Output = LossCause;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<LossCause> {
        let before = self.waker.replace(context.waker().clone());
        self.hold.poll_lost(context.waker(), before.as_ref())
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
