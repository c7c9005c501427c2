//! One worker process: acquire, write down, count, release, again and again.
//!
//! It ends in good order when the supervisor closes its standard input. If the supervisor dies, the kernel kills it
//! (`PR_SET_PDEATHSIG`). And it never outlives its bound.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::Signal;

use crate::clock::monotonic_us;
use crate::history::{Event, Journal, Record};
use crate::options::Pause;
use crate::peers::{Held, Implementation, Peer};
use crate::run_dir::{Control, Counters};
use crate::telemetry;

/// How long a worker may need to end in good order.
pub(crate) const ENDING: Duration = Duration::from_secs(5);
/// How long a worker waits inside its hold for the kill that was announced to it.
const CAUGHT: Duration = Duration::from_secs(2);
/// The exit code of a worker that had to cut itself short.
const CUT_SHORT: i32 = 3;

/// What the supervisor tells a worker it starts.
#[derive(Debug, Args)]
pub(crate) struct WorkerOptions {
    #[arg(long)]
    pub(crate) worker: u16,
    #[arg(long)]
    pub(crate) incarnation: u32,
    #[arg(long)]
    pub(crate) locks: u16,
    #[arg(long, value_enum)]
    pub(crate) lock: Implementation,
    #[arg(long)]
    pub(crate) hold: Pause,
    #[arg(long)]
    pub(crate) think: Pause,
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) bound: Duration,
    #[arg(long)]
    pub(crate) seed: u64,
    #[arg(long)]
    pub(crate) sessions: PathBuf,
    #[arg(long)]
    pub(crate) history: PathBuf,
    #[arg(long)]
    pub(crate) counters: PathBuf,
    #[arg(long)]
    pub(crate) control: PathBuf,
}

/// The whole life of a worker process.
pub(crate) fn work(options: &WorkerOptions) -> anyhow::Result<()> {
    // Started through /proc/self/exe, it would be called "exe".
    set_name(c"stress-worker")?;
    set_pdeathsig(Signal::SIGKILL)?;
    let ending = end_of_input(options.bound);
    let _spans = telemetry::start("session-lock-stress-worker")?;
    let mut worker = Worker {
        peer: options.lock.open(&options.sessions, options.worker).context("cannot open the lock directory")?,
        journal: Journal::open(&options.history)?,
        counters: Counters::open(&options.counters)?,
        control: Control::open(&options.control)?,
        random: fastrand::Rng::with_seed(options.seed),
        ending,
        options,
    };
    worker.note(Event::Start, 0, 0, 0)?;
    while !worker.is_ending() {
        worker.section()?;
        let think = options.think.draw(&mut worker.random);
        worker.nap(think);
    }
    worker.note(Event::Done, 0, 0, 0)
}

struct Worker<'a> {
    options: &'a WorkerOptions,
    peer: Box<dyn Peer>,
    journal: Journal,
    counters: Counters,
    control: Control,
    random: fastrand::Rng,
    ending: Arc<AtomicBool>,
}

impl Worker<'_> {
    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// One acquisition from beginning to end.
    fn section(&mut self) -> anyhow::Result<()> {
        let lock = self.random.u16(..self.options.locks);
        let WorkerOptions { worker, incarnation, .. } = self.options;
        let _span = tracing::info_span!("section", worker, incarnation, lock).entered();
        let asked_us = monotonic_us();
        match self.peer.acquire(lock, self.options.timeout) {
            Ok(Some(held)) => self.inside(lock, held, asked_us),
            Ok(None) => self.note(Event::Timeout, lock, 0, monotonic_us() - asked_us),
            Err(error) => self.failed(lock, "acquire", &error),
        }
    }

    fn inside(&mut self, lock: u16, held: Box<dyn Held>, asked_us: u64) -> anyhow::Result<()> {
        let token = held.token();
        self.note(Event::Acquired, lock, token, monotonic_us() - asked_us)?;
        let count = self.counters.read(lock)?;
        if self.control.is_marked(self.options.worker)? {
            self.note(Event::Caught, lock, token, 0)?;
            self.nap(CAUGHT);
        }
        let time = self.options.hold.draw(&mut self.random);
        self.nap(time);
        self.counters.write(lock, count + 1)?;
        self.note(Event::Releasing, lock, token, 0)?;
        match held.release() {
            Ok(()) => Ok(()),
            Err(error) => self.failed(lock, "release", &error),
        }
    }

    fn failed(&self, lock: u16, what: &str, error: &anyhow::Error) -> anyhow::Result<()> {
        let WorkerOptions { worker, incarnation, .. } = self.options;
        eprintln!("worker {worker}, incarnation {incarnation}: cannot {what} lock {lock}: {error:#}");
        self.note(Event::Error, lock, 0, 0)?;
        self.nap(Duration::from_millis(10));
        Ok(())
    }

    /// Sleeps, in slices so that the end of the run is noticed.
    fn nap(&self, time: Duration) {
        const SLICE: Duration = Duration::from_millis(50);
        if time <= SLICE {
            if !time.is_zero() {
                thread::sleep(time);
            }
            return;
        }
        let until = Instant::now() + time;
        while !self.is_ending() {
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => break,
                left => thread::sleep(left.min(SLICE)),
            }
        }
    }

    fn note(&self, event: Event, lock: u16, token: u64, took_us: u64) -> anyhow::Result<()> {
        let WorkerOptions { worker, incarnation, .. } = *self.options;
        let detail = i32::try_from(took_us).unwrap_or(i32::MAX);
        let record = Record { event, worker, incarnation, lock, token, at_us: monotonic_us(), detail };
        self.journal.append(&record).context("cannot append to the history")
    }
}

/// Raises the flag when standard input ends or the bound is over, and cuts the process short if that does not help.
#[expect(clippy::disallowed_methods, reason = "a worker that hangs in its lock cannot return")]
fn end_of_input(bound: Duration) -> Arc<AtomicBool> {
    let ending = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ending);
    thread::spawn(move || {
        let bound = PollTimeout::try_from(bound).unwrap_or(PollTimeout::MAX);
        let input = std::io::stdin();
        // Nothing is ever written to it, so whatever else the poll says, it is time to end.
        while poll(&mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)], bound) == Err(Errno::EINTR) {}
        flag.store(true, Ordering::Relaxed);
        thread::sleep(ENDING);
        std::process::exit(CUT_SHORT);
    });
    ending
}
