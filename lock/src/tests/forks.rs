//! fork: the child owns nothing of what it inherits, and keeps nobody's lock alive.

use super::{LONG, exit_code, kill, stranger, strangers, wait_until};
use crate::sys::fork::{in_child, in_child_as_it_is};
use crate::{LockDir, LockError, ReleaseError, TryAcquire};
use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use tracing::{Subscriber, span::Id};
use tracing_subscriber::layer::{self, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

#[test]
fn a_child_that_drops_its_copy_of_a_guard_changes_nothing() {
    let (dir, one, other) = strangers();
    let claim = dir.path().join("s.lock");
    let mut guard = Some(one.lock("s").blocking().expect("free"));
    let child = in_child(|| {
        drop(guard.take());
        i32::from(!claim.exists())
    });
    assert_eq!(exit_code(child), Some(0), "the child removed the claim");
    assert!(matches!(other.try_lock("s"), Ok(TryAcquire::Busy(_))), "the child unlocked");
    drop(guard);
    drop(other.lock("s").timeout(LONG).blocking().expect("free"));
}

#[test]
fn a_guard_in_a_child_says_forked_and_the_parent_still_holds() {
    let (dir, one, other) = strangers();
    let mut guard = Some(one.lock("s").blocking().expect("free"));
    let child = in_child(|| match guard.take().map(crate::Guard::release) {
        Some(Err(ReleaseError::Forked)) => 0,
        _ => 1,
    });
    assert_eq!(exit_code(child), Some(0));
    assert!(dir.path().join("s.lock").exists());
    assert!(matches!(other.try_lock("s"), Ok(TryAcquire::Busy(_))));
    guard.take().map(crate::Guard::release).expect("the parent's").expect("released");
    drop(other.lock("s").timeout(LONG).blocking().expect("free after an ordinary release"));
}

#[test]
fn an_inherited_directory_says_forked_and_a_fresh_one_works() {
    let (dir, one, _) = strangers();
    let guard = one.lock("held").blocking().expect("free");
    let path = dir.path();
    let child = in_child(|| {
        let forked = matches!(one.try_lock("s"), Err(LockError::Forked))
            && matches!(one.lock("s").blocking(), Err(LockError::Forked));
        let Ok(fresh) = LockDir::open(path) else { return 2 };
        let works = matches!(fresh.try_lock("s"), Ok(TryAcquire::Acquired(_)));
        let excluded = matches!(fresh.try_lock("held"), Ok(TryAcquire::Busy(_)));
        i32::from(!(forked && works && excluded))
    });
    assert_eq!(exit_code(child), Some(0));
    drop(guard);
}

/// Counts the spans that end.
struct Ended(Arc<AtomicUsize>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ended {
    fn on_close(&self, _: Id, _: layer::Context<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// They would be exported twice, by a subscriber whose threads the child does not have.
#[test]
fn a_child_ends_no_span_of_its_parent() {
    let (_dir, one, other) = strangers();
    let ended = Arc::new(AtomicUsize::default());
    let subscriber = tracing_subscriber::registry().with(Ended(Arc::clone(&ended)));
    let _listening = tracing::subscriber::set_default(subscriber);
    let ended = || ended.load(Ordering::Relaxed);
    let mut guard = Some(one.lock("s").blocking().expect("free"));
    let mut waiting = Some(Box::pin(other.lock("s").into_future()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().is_some_and(|waiting| waiting.as_mut().poll(&mut context).is_pending()));
    assert_eq!(ended(), 1, "the acquire of what is held");
    let child = in_child(|| {
        drop(guard.take());
        drop(waiting.take());
        i32::from(ended() != 1)
    });
    assert_eq!(exit_code(child), Some(0), "the child ended a span");
    drop(waiting);
    assert_eq!(ended(), 2, "the acquire that was given up");
    drop(guard);
    assert_eq!(ended(), 4, "the hold and its release");
}

/// The parent holds, forks, and is killed; the child lives on. The child closed its copies, so the lock is free.
#[test]
fn a_child_does_not_keep_its_dead_parents_lock() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let parent = in_child(|| {
        let Ok(locks) = LockDir::open(path) else { return 1 };
        let Ok(_guard) = locks.lock("s").blocking() else { return 1 };
        in_child_as_it_is(|| {
            std::thread::sleep(Duration::from_secs(30));
            0
        });
        std::fs::write(path.join("forked"), "").ok();
        std::thread::sleep(LONG);
        0
    });
    wait_until(|| path.join("forked").exists());
    let locks = stranger(path);
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))), "the parent holds");
    kill(parent);
    drop(locks.lock("s").timeout(Duration::from_secs(20)).blocking().expect("free while the child lives"));
}
