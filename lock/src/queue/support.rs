//! What tests of the turns need: one session, and a thread that waits for what is delivered to it.

use super::{Delivery, Parker, Waiter};
use crate::name::{Range, Session};
use crate::request::Asked;
use crate::spans::WeakSpans;
use crate::sys;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

/// Not `thread::park`, which may wake for nothing: under a checker there would be no end of schedules.
#[derive(Default)]
struct Unpark(Parker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn range() -> Range {
    Session::new("s").expect("valid").range
}

pub(crate) fn asked() -> Asked {
    Asked { label: None, since: sys::clock::now(), number: 0, spans: WeakSpans::default() }
}

/// Waits until something is delivered, for at most so long.
pub(crate) fn await_delivery(waiter: &Waiter, longest: Duration) -> Delivery {
    let unpark: Arc<Unpark> = Arc::default();
    let waker = Waker::from(Arc::clone(&unpark));
    loop {
        if let Some(delivery) = waiter.take(&waker).delivery {
            return delivery;
        }
        assert!(unpark.0.park(longest), "nobody passed the turn on");
    }
}
