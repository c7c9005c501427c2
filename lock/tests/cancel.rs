//! Cancellation: a future dropped at each place where it can wait leaves nothing behind, and the next one is served, in
//! this process and in another. Polled by hand, so the futures also show that they need no runtime.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::event::{Event, NotAcquired, ReleaseOutcome};
use session_lock::{Acquire, Guard, LockDir, LockError, TryAcquire};
use std::fs::File;
use std::future::{Future, IntoFuture};
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use support::process::OtherProcess;
use support::{GRACE, LONG, Recorder, wait_until};

/// What an acquire waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// A guard of this process: it is queued.
    Guard,
    /// A holder in another process: it is parked in the kernel.
    Process,
    /// An older peer that lives: it waits for the foreign claim.
    Living,
    /// An older peer that died: it waits out the grace.
    Dead,
}

const OBSTACLES: [Obstacle; 4] = [Obstacle::Guard, Obstacle::Process, Obstacle::Living, Obstacle::Dead];

/// An obstacle that stands.
enum InTheWay {
    Guard(Guard),
    Process(OtherProcess),
    Living(File, std::path::PathBuf),
    Dead,
}

impl InTheWay {
    fn stand(obstacle: Obstacle, locks: &LockDir) -> Self {
        let dir = locks.path();
        match obstacle {
            Obstacle::Guard => Self::Guard(locks.lock("s").blocking().expect("free")),
            Obstacle::Process => Self::Process(OtherProcess::hold(dir, "s")),
            Obstacle::Living => Self::Living(older_claim(&dir.join("s.lock")), dir.join("s.lock")),
            Obstacle::Dead => {
                drop(older_claim(&dir.join("s.lock")));
                Self::Dead
            }
        }
    }

    /// Goes away in good order. The dead cannot: its grace has to pass.
    fn go(self) {
        match self {
            Self::Guard(guard) => guard.release().expect("released"),
            Self::Process(process) => drop(process.release()),
            Self::Living(file, path) => {
                drop(file);
                std::fs::remove_file(path).expect("an older peer unlinks its path");
            }
            Self::Dead => {}
        }
    }
}

fn older_claim(path: &Path) -> File {
    let mut file = File::create_new(path).expect("the older peer gets the lock");
    file.write_all(b"{\"pid\":1}").expect("written");
    file
}

/// A future, and whether it was woken.
struct Waiting {
    future: Pin<Box<Acquire>>,
    woken: Arc<Woken>,
}

#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Waiting {
    fn on(locks: &LockDir) -> Self {
        Self { future: Box::pin(locks.lock("s").into_future()), woken: Arc::default() }
    }

    fn poll(&mut self) -> Poll<Result<Guard, LockError>> {
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.woken))))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }
}

/// Nothing is left behind: the lock is free for this process and for another, and no claim stays.
fn assert_free(locks: &LockDir) {
    // Not a try: the thread that waited for the dropped one may still be putting things back.
    drop(locks.lock("s").timeout(LONG).blocking().expect("free in this process"));
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Acquired(_))));
    OtherProcess::hold(locks.path(), "s").release();
    let left: Vec<_> =
        std::fs::read_dir(locks.path()).expect("readable").map(|entry| entry.expect("readable")).collect();
    assert!(left.iter().all(|entry| entry.file_name() == ".session-lock"), "{left:?}");
}

fn cancelled(recorder: &Recorder) -> usize {
    let is_cancelled = |event: &&Event| matches!(event, Event::NotAcquired { outcome: NotAcquired::Cancelled, .. });
    recorder.events().iter().filter(is_cancelled).count()
}

fn assert_busy(locks: &LockDir, what: &str) {
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))), "{what}");
}

#[test]
fn a_future_that_is_never_polled_does_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (recorder, locks) = Recorder::on(dir.path());
    drop(locks.lock("s").into_future());
    assert_eq!(recorder.events(), []);
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
    assert_free(&locks);
}

/// With and without tries in between, which must neither get the lock nor disturb the wait.
#[test]
fn a_future_that_is_dropped_while_it_waits_leaves_nothing_behind() {
    for (obstacle, tries) in OBSTACLES.into_iter().flat_map(|obstacle| [(obstacle, false), (obstacle, true)]) {
        let what = format!("{obstacle:?}, tries: {tries}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (recorder, locks) = Recorder::on(dir.path());
        let in_the_way = InTheWay::stand(obstacle, &locks);
        let mut waiting = Waiting::on(&locks);
        assert!(waiting.poll().is_pending(), "{what}");
        if tries {
            assert_busy(&locks, &what);
            // A grace may be over by now.
            assert!(obstacle == Obstacle::Dead || waiting.poll().is_pending(), "{what}");
        }
        // Until the thread that waits for it does.
        std::thread::sleep(GRACE / 10);
        drop(waiting);
        assert_eq!(cancelled(&recorder), 1, "{what}: {:?}", recorder.events());
        if tries && obstacle != Obstacle::Dead {
            assert_busy(&locks, &what);
        }
        in_the_way.go();
        assert_free(&locks);
        assert_eq!(cancelled(&recorder), 1, "{what}: {:?}", recorder.events());
    }
}

#[test]
fn a_future_that_is_dropped_with_the_lock_in_its_hands_hands_it_on() {
    for (obstacle, next) in OBSTACLES.into_iter().flat_map(|obstacle| [(obstacle, false), (obstacle, true)]) {
        let what = format!("{obstacle:?}, somebody is next: {next}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (recorder, locks) = Recorder::on(dir.path());
        let in_the_way = InTheWay::stand(obstacle, &locks);
        let mut waiting = Waiting::on(&locks);
        assert!(waiting.poll().is_pending(), "{what}");
        let mut second = next.then(|| Waiting::on(&locks));
        assert!(second.as_mut().is_none_or(|second| second.poll().is_pending()), "{what}");
        in_the_way.go();
        wait_until(|| waiting.is_woken());
        assert_busy(&locks, &what);
        drop(waiting);
        assert_eq!(cancelled(&recorder), 1, "{what}: {:?}", recorder.events());
        if let Some(mut second) = second {
            let mut guard = None;
            wait_until(|| {
                if let Poll::Ready(result) = second.poll() {
                    guard = Some(result.expect("its turn"));
                }
                guard.is_some()
            });
            drop(guard);
        }
        assert_free(&locks);
        assert_eq!(cancelled(&recorder), 1, "{what}: {:?}", recorder.events());
    }
}

/// A process that waits behind the dropped future in the kernel's queue is served.
#[test]
fn a_dropped_future_does_not_keep_its_place_from_another_process() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (recorder, locks) = Recorder::on(dir.path());
    let first = OtherProcess::hold(dir.path(), "s");
    let mut waiting = Waiting::on(&locks);
    assert!(waiting.poll().is_pending());
    std::thread::sleep(GRACE / 10);
    let behind = OtherProcess::begin(dir.path(), "s");
    std::thread::sleep(GRACE / 10);
    drop(waiting);
    first.release();
    behind.wait_for("held");
    assert_busy(&locks, "the other process holds");
    behind.release();
    assert_free(&locks);
    assert_eq!(cancelled(&recorder), 1);
}

/// The future has the guard; dropping the guard is a release, and no cancellation.
#[test]
fn a_future_that_has_ended_cancels_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (recorder, locks) = Recorder::on(dir.path());
    let mut waiting = Waiting::on(&locks);
    let Poll::Ready(Ok(guard)) = waiting.poll() else { panic!("free") };
    drop(waiting);
    assert_eq!(cancelled(&recorder), 0);
    assert_busy(&locks, "the guard lives on");
    drop(guard);
    let released = |event: &Event| matches!(event, Event::Released { outcome: ReleaseOutcome::Released, .. });
    assert!(recorder.events().iter().any(released));
    assert_free(&locks);
}

/// A waker that has something to do when it is dropped: a task that ends, and releases a lock of its own.
struct Releases(#[expect(dead_code, reason = "it is only dropped")] Guard);

impl Wake for Releases {
    fn wake(self: Arc<Self>) {}
}

/// The last copy of a waker can be the one that the queue keeps, so it is dropped while nothing is locked.
#[test]
fn a_waker_that_releases_the_lock_when_it_is_dropped_stops_nobody() {
    let (ended, all_ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for is_polled_again in [true, false] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let locks = LockDir::open(dir.path()).expect("open");
            let waker = Waker::from(Arc::new(Releases(locks.lock("s").blocking().expect("free"))));
            let mut waiting = Box::pin(locks.lock("s").into_future());
            assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            if is_polled_again {
                // The second waker takes the place of the first.
                assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
            }
            drop(waiting);
            assert_free(&locks);
        }
        ended.send(()).expect("the test waits");
    });
    all_ended.recv_timeout(LONG).expect("dropping a waker locked the queue against itself");
}
