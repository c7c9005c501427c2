//! A tenure: from having a lock from the kernel to giving it back. Mostly one hold; where acquires of one process wait for each
//! other it is several, one after the other: each hands its claim and its locks on to the next, so that nothing is unlinked,
//! unlocked, locked and linked in between.
//!
//! Other processes wait meanwhile, so a tenure ends: a hold that ends [later](crate::Options::tenure) hands nothing on.
//! Since the kernel wakes who waits and does not keep the lock for them, this process then lets them go first, if there
//! are any: whoever waits in the kernel says so with a [lock of its own](crate::arbiter::Arbiter::is_awaited).

use crate::sys;
use std::ops::Range;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub(crate) struct Tenure {
    began: Instant,
    /// Of its arbiter, taken with one append and not used yet.
    tokens: Range<u64>,
}

impl Tenure {
    pub(crate) fn new(began: Instant) -> Self {
        Self { began, tokens: 0..0 }
    }

    pub(crate) fn age(&self) -> Duration {
        sys::clock::now().saturating_duration_since(self.began)
    }

    /// Whether it has lasted as long as it may.
    pub(crate) fn is_over(&self, longest: Duration) -> bool {
        self.age() >= longest
    }

    /// One of the tokens that were taken before.
    pub(crate) fn next_token(&mut self) -> Option<u64> {
        self.tokens.next()
    }

    /// Keeps tokens for the acquires to come.
    pub(crate) fn keep_tokens(&mut self, tokens: Range<u64>) {
        self.tokens = tokens;
    }
}
