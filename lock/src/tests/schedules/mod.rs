//! The process-local part in many orders of its threads: the real code over a real directory, run by a checker that decides
//! at each mutex, atomic and visible system call who goes on (`crate::sys::sync`).
//!
//! ```sh
//! RUSTFLAGS="--cfg session_lock_shuttle" cargo test -p session-lock --lib --release --target-dir target/shuttle schedules
//! ```
//!
//! Small scenarios are walked through completely, the others by chance: uniformly, and with few preemptions (PCT), which
//! finds what needs a thread to stop at one certain place. `SCHEDULES` is how many of these, in percent [default: 100]. The
//! checker knows sequentially consistent memory only; the weaker orders are for Miri and `ThreadSanitizer`.
//!
//! A failure prints its schedule: `SCHEDULE=<that> … cargo test … -- --exact <the test>` runs it once more.

#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod acquires;
mod ends;
mod holds;
mod turns;

use crate::dir::LockDir;
use crate::directory::Directory;
use crate::event::{Event, Sink};
use crate::lock::Acquire;
use crate::process::Process;
use crate::request::Counters;
use crate::sys;
use crate::sys::sync::thread;
use crate::{Guard, LockError};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};
use std::future::{Future, IntoFuture};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn config() -> Config {
    let mut config = Config::new();
    // The protocol reads claims into its stack.
    config.stack_size = 512 * 1024;
    config.silence_warnings = true;
    config
}

/// Runs the schedule that the environment names. False if it names none.
fn replayed(scenario: &Arc<impl Fn() + Send + Sync + 'static>) -> bool {
    let Ok(schedule) = std::env::var("SCHEDULE") else { return false };
    let scenario = Arc::clone(scenario);
    shuttle::replay(move || scenario(), &schedule);
    true
}

/// Every schedule there is. More than `most` so many fail the test: it would not be all of them.
fn every_schedule(most: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    if !replayed(&scenario) {
        let ran = Runner::new(DfsScheduler::new(Some(most), false), config()).run(move || scenario());
        eprintln!("{ran} schedules, all there are");
        assert!(ran < most, "more schedules than {most}");
    }
}

/// So many schedules by chance, and as many of each kind with 1 to 3 preemptions.
fn many_schedules(count: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    if replayed(&scenario) {
        return;
    }
    let percent = std::env::var("SCHEDULES").map_or(100, |percent| percent.parse().expect("a whole number"));
    let count = (count * percent / 100).max(1);
    let again = Arc::clone(&scenario);
    let mut ran = Runner::new(RandomScheduler::new(count), config()).run(move || again());
    for preemptions in 1..=3 {
        let again = Arc::clone(&scenario);
        ran += Runner::new(PctScheduler::new(preemptions + 1, count), config()).run(move || again());
    }
    eprintln!("{ran} schedules");
    assert_eq!(ran, 4 * count);
}

/// Some looks at the clock.
const TENURE: Duration = Duration::from_millis(200);

/// One process and what it sees of a directory. Each schedule begins with a new one.
struct Party {
    process: &'static Process,
    locks: LockDir,
    seen: Arc<Seen>,
}

impl Party {
    fn new(path: &Path) -> Arc<Self> {
        Self::with_grace(path, Duration::ZERO)
    }

    fn with_grace(path: &Path, grace: Duration) -> Arc<Self> {
        let process = Process::apart().expect("/proc is there");
        let fd = sys::file::open_directory(path).expect("open");
        let stat = sys::file::stat(&fd).expect("stat");
        let directory = process.directory(stat.inode, || Directory::new(fd, path, stat, process));
        let seen = Arc::new(Seen::default());
        let sink: Arc<dyn Sink> = seen.clone();
        // The counters have locks of the standard library.
        let locks = LockDir { directory, grace, tenure: TENURE, sink: Some(sink), counters: Counters::Off };
        Arc::new(Self { process, locks, seen })
    }

    fn acquire(&self) -> Result<Guard, LockError> {
        self.locks.lock("s").blocking()
    }

    /// Whether the turn is free. Leaves it free.
    fn is_idle(&self) -> bool {
        let range = crate::name::Session::new("s").expect("valid").range;
        let queues = &self.locks.directory.queues;
        let free = queues.try_take(range);
        if free {
            queues.pass_on(range);
        }
        free
    }
}

/// What was said of holds.
#[derive(Default)]
struct Seen(Mutex<Vec<Event>>);

impl Sink for Seen {
    fn record(&self, _session: &str, event: &Event) {
        self.0.lock().expect("no panic").push(event.clone());
    }
}

impl Seen {
    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().expect("no panic").iter().filter(|event| wanted(event)).count()
    }
}

/// How many are inside. Not the checker's, so that it adds no order.
#[derive(Default)]
struct Inside(AtomicU32);

impl Inside {
    /// The others may run meanwhile, and must not come in.
    fn visit(&self) {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "two are inside");
        thread::yield_now();
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A directory for all schedules of a test, and where the claim of `s` would be.
fn directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let claim = dir.path().join("s.lock");
    (dir, claim)
}

/// Polls an acquire once; dropping it takes it back.
fn polled(locks: &LockDir) -> (Pin<Box<Acquire>>, Option<Result<Guard, LockError>>) {
    let mut acquire = Box::pin(locks.lock("s").into_future());
    let first = poll(&mut acquire);
    (acquire, first)
}

fn poll(acquire: &mut Pin<Box<Acquire>>) -> Option<Result<Guard, LockError>> {
    match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}
