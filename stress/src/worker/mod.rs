//! One worker process, and the workers that live in it: one, or several threads or tasks.
//!
//! It ends in good order when the supervisor closes its standard input. If the supervisor dies, the kernel kills it
//! (`PR_SET_PDEATHSIG`). And it never outlives its bound.
//!
//! | Descriptor | What it is in a worker process |
//! |---|---|
//! | standard input | a pipe: its end is the word to end |
//! | standard output | the `alive` file, which the group process has locked (shared): the lock lasts until all who share it are gone |
//! | standard error | `workers.log` |
//!
//! `alive` is standard output because that stays open over an exec, without a moment in which it is not locked, and is among
//! the last that the kernel closes at death. A forked child closes it.
//!
//! Not here: what a worker does (`section`), and what it does to itself (`deed`).

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::Signal;

use crate::history::Journal;
use crate::options::{LockChoice, Pause};
use crate::peers::{Implementation, Peer};
use crate::run_dir::{Control, Counters};
use crate::telemetry;
use crate::topology::Topology;

mod deed;
mod section;
mod task;

use section::Worker;

/// How long a worker may need to end in good order.
pub(crate) const ENDING: Duration = Duration::from_secs(5);
/// The exit code of a worker that had to cut itself short.
const CUT_SHORT: i32 = 3;

/// What the supervisor tells a worker process it starts.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerOptions {
    /// Where it lives: threads and tasks share a process
    #[arg(long, value_enum)]
    pub(crate) topology: Topology,
    /// The first worker of this process
    #[arg(long)]
    pub(crate) worker: u16,
    /// The first worker's incarnation; the others' are those that follow
    #[arg(long)]
    pub(crate) incarnation: u32,
    /// So many workers are in this process
    #[arg(long, default_value_t = 1)]
    pub(crate) count: u16,
    #[arg(long)]
    pub(crate) locks: u16,
    #[arg(long, value_enum, default_value_t = LockChoice::Random)]
    pub(crate) spread: LockChoice,
    #[arg(long, value_enum)]
    pub(crate) lock: Implementation,
    #[arg(long)]
    pub(crate) hold: Pause,
    #[arg(long)]
    pub(crate) think: Pause,
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
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

/// What the workers of a process share.
struct Host {
    options: WorkerOptions,
    peer: Box<dyn Peer>,
    journal: Journal,
    counters: Counters,
    control: Control,
    ending: Arc<AtomicBool>,
}

impl Host {
    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    fn workers(self: &Arc<Self>) -> impl Iterator<Item = Worker> {
        (0..self.options.count).map(|place| Worker::new(Arc::clone(self), place))
    }

    /// Tells the others to end too.
    fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }
}

/// The whole life of a worker process.
pub(crate) fn work(options: &WorkerOptions) -> anyhow::Result<()> {
    // Started through /proc/self/exe, it would be called "exe".
    set_name(c"stress-worker")?;
    set_pdeathsig(Signal::SIGKILL)?;
    let ending = end_of_input(options.bound);
    let _spans = telemetry::start("session-lock-stress-worker")?;
    let host = Arc::new(Host {
        peer: options.lock.open(&options.sessions, options.grace, None).context("cannot open the lock directory")?,
        journal: Journal::open(&options.history)?,
        counters: Counters::open(&options.counters)?,
        control: Control::open(&options.control)?,
        ending,
        options: options.clone(),
    });
    match options.topology {
        Topology::Tasks if !options.lock.is_older() => task::run(&host),
        Topology::Threads => run_threads(&host),
        _ => host.workers().try_for_each(Worker::run),
    }
}

/// One thread for each worker. The first failure ends them all, and is the process's.
fn run_threads(host: &Arc<Host>) -> anyhow::Result<()> {
    let live = |worker: Worker| {
        let host = Arc::clone(&worker.host);
        thread::spawn(move || worker.run().inspect_err(|_| host.end()))
    };
    let threads: Vec<_> = host.workers().map(live).collect();
    let ended = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a worker panicked")));
    ended.fold(Ok(()), anyhow::Result::and)
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
