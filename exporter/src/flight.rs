//! One blocking call at a time, shared by all who ask meanwhile.
//!
//! A directory on a file system that hangs keeps one thread, however many requests come. The thread is its own and no
//! thread of the runtime's pool, so that the end of the runtime does not wait for it either.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use tokio::sync::watch;

type Answer<T> = watch::Receiver<Option<Arc<T>>>;

/// A call that is under way at most once.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    running: Arc<Mutex<Option<Answer<T>>>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    Late,
    Panicked,
    NoThread(io::Error),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Late => f.write_str("no answer in time"),
            Self::Panicked => f.write_str("panicked"),
            Self::NoThread(error) => write!(f, "no thread: {error}"),
        }
    }
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self { running: Arc::default() }
    }
}

impl<T: Send + Sync + 'static> Flight<T> {
    /// The answer of the call that is under way, or of `work`, started now; up to `deadline`. A call that is late, or
    /// whose askers are all gone, goes on.
    pub(crate) async fn join(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Arc<T>, NoAnswer> {
        let mut answer = self.under_way_or(work).map_err(NoAnswer::NoThread)?;
        let arrived = answer.wait_for(Option::is_some);
        match tokio::time::timeout_at(deadline.into(), arrived).await {
            Ok(Ok(answer)) => answer.clone().ok_or(NoAnswer::Panicked),
            // The sender went without a word.
            Ok(Err(_)) => Err(NoAnswer::Panicked),
            Err(_) => Err(NoAnswer::Late),
        }
    }

    fn under_way_or(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<Answer<T>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = running.as_ref() {
            return Ok(answer.clone());
        }
        let (sender, answer) = watch::channel(None);
        let place = Arc::clone(&self.running);
        let span = tracing::Span::current();
        thread::Builder::new().name("blocking-call".to_owned()).spawn(move || {
            let came = span.in_scope(|| catch_unwind(AssertUnwindSafe(work)));
            // First, so that whoever asks from now on does not get this answer, which may be old by then.
            *place.lock().unwrap_or_else(PoisonError::into_inner) = None;
            if let Ok(came) = came {
                sender.send_replace(Some(Arc::new(came)));
            }
        })?;
        *running = Some(answer.clone());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    fn in_a_while() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_call_that_hangs_is_made_once() {
        let flight = Flight::default();
        let (go, wait) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let hang = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            wait.recv().ok();
            7
        };
        assert!(matches!(flight.join(Instant::now(), hang).await, Err(NoAnswer::Late)));
        for _ in 0..100 {
            assert!(matches!(flight.join(Instant::now(), || unreachable!()).await, Err(NoAnswer::Late)));
        }
        go.send(()).expect("the call waits");
        // Either the answer of the first call, or that of a new one when the first is over.
        let answer = *flight.join(in_a_while(), || 8).await.expect("an answer");
        assert!(answer == 7 || answer == 8);
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert_eq!(*flight.join(in_a_while(), || 9).await.expect("an answer"), 9);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_panic_is_an_answer_that_the_next_call_does_not_inherit() {
        let flight = Flight::default();
        let panicking = flight.join(in_a_while(), || -> u8 { panic!("on purpose") }).await;
        assert!(matches!(panicking, Err(NoAnswer::Panicked)));
        assert_eq!(*flight.join(in_a_while(), || 1).await.expect("an answer"), 1);
    }
}
