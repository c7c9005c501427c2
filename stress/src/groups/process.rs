//! The group process: the parent of some workers, and the first process of its namespace or container if it has one.
//!
//! It does what it is told on standard input, line by line, and answers on standard output ([`protocol`](super::protocol)).
//! It writes the records about its workers itself, each right before the deed, and *exit* once it has reaped one: only a
//! parent knows that a pid is still its child's. When its input ends, or its bound is over, it kills them all and ends.
//!
//! Not here: what is done to whom and when, and whatever is done to the group as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdin, Command as Program, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid as Process;

use rustix::process::{Resource, Rlimit, prlimit};
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::pipe;

use super::cgroup;
use super::protocol::{Answer, By, Command, Exited, Pid, Start};
use super::usage::sample;
use crate::clock::monotonic_us;
use crate::fault::Fault;
use crate::history::{Event, Journal, Record};

/// What the supervisor tells a group process that it starts.
#[derive(Debug, Args)]
pub(crate) struct GroupOptions {
    #[arg(long)]
    history: PathBuf,
    #[arg(long)]
    log: PathBuf,
    /// Kept locked while this process or one of its workers lives
    #[arg(long)]
    alive: PathBuf,
    #[arg(long, value_parser = humantime::parse_duration)]
    bound: Duration,
    /// The cgroup to join
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// Where /proc shows another PID namespace
    #[arg(long)]
    own_proc: bool,
    /// What all workers are told
    #[arg(last = true)]
    worker: Vec<String>,
}

/// The whole life of a group process.
pub(crate) fn lead(options: &GroupOptions) -> anyhow::Result<()> {
    set_name(c"stress-group")?;
    set_pdeathsig(Signal::SIGKILL)?;
    let alive = File::open(&options.alive).context("cannot open the file that tells who is alive")?;
    let mut leader = match Leader::new(options, alive) {
        Ok(leader) => leader,
        Err(error) => return answer(&Answer::Failed(format!("{error:#}"))),
    };
    let served = leader.serve();
    leader.kill_all();
    match served {
        Ok(()) => Ok(()),
        Err(error) => answer(&Answer::Failed(format!("{error:#}"))),
    }
}

struct Leader<'a> {
    options: &'a GroupOptions,
    alive: File,
    log: File,
    journal: Journal,
    workers: BTreeMap<u16, Worker>,
    hushed: bool,
}

/// A worker process that has not been reaped.
struct Worker {
    incarnation: u32,
    count: u16,
    pid: Process,
    /// Its end tells the worker to end.
    input: Option<ChildStdin>,
    born: Instant,
    killed: bool,
    /// What it may have once it is fed again.
    descriptors: Option<Rlimit>,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    Ended,
}

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Standard input, output and error: with such a limit no further descriptor can be had. Not 0, since a poll of more
/// descriptors than the limit fails, and a worker polls its input.
const NO_MORE: u64 = 3;

impl<'a> Leader<'a> {
    fn new(options: &'a GroupOptions, alive: File) -> anyhow::Result<Self> {
        if let Some(path) = &options.cgroup {
            cgroup::join(path)?;
        }
        if options.own_proc {
            show_own_processes().context("cannot mount a /proc of its own")?;
        }
        let log = OpenOptions::new().append(true).open(&options.log).context("cannot open the workers' log")?;
        let journal = Journal::open(&options.history).context("cannot open the history")?;
        Ok(Self { options, alive, log, journal, workers: BTreeMap::new(), hushed: false })
    }

    fn serve(&mut self) -> anyhow::Result<()> {
        let (mut deaths, announced) = UnixStream::pair()?;
        deaths.set_nonblocking(true)?;
        pipe::register(SIGCHLD, announced)?;
        let end = Instant::now() + self.options.bound;
        let mut next_sample = Instant::now() + SAMPLE_EVERY;
        let mut lines = Lines::default();
        loop {
            let now = Instant::now();
            if now >= end {
                bail!("a group process has outlived its bound");
            }
            if next_sample <= now {
                next_sample = now + SAMPLE_EVERY;
                self.sample()?;
            }
            let wait =
                PollTimeout::try_from(next_sample.min(end).saturating_duration_since(now) + Duration::from_millis(1));
            let input = io::stdin();
            let mut fds =
                [PollFd::new(input.as_fd(), PollFlags::POLLIN), PollFd::new(deaths.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, wait.unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("cannot wait for commands"),
            }
            let spoken_to = fds[0].any() == Some(true);
            while matches!(deaths.read(&mut [0; 64]), Ok(1..)) {}
            self.reap()?;
            if spoken_to && self.obey(&mut lines)? == Input::Ended {
                return Ok(());
            }
        }
    }

    fn obey(&mut self, lines: &mut Lines) -> anyhow::Result<Input> {
        if lines.read()? == Input::Ended {
            return Ok(Input::Ended);
        }
        while let Some(line) = lines.next() {
            let command = line.parse().map_err(|_| anyhow!("a command that cannot be read: {line:?}"))?;
            self.execute(command)?;
        }
        Ok(Input::Open)
    }

    fn execute(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Hello => {
                // Not earlier: whoever asks whether the group before this one is gone must not find this one.
                self.alive.lock_shared()?;
                answer(&Answer::Hello)
            }
            Command::Start(start) => self.start(&start),
            Command::Kill(worker, fault) => {
                // Who has ended by itself is not killed: its hold ended with it, and not at a *kill*.
                self.reap()?;
                self.signal(worker, Event::Kill, Some(fault), 0, Signal::SIGKILL)
            }
            Command::Stop(worker, fault, us) => {
                let us = i32::try_from(us).unwrap_or(i32::MAX);
                self.signal(worker, Event::Stop, Some(fault), us, Signal::SIGSTOP)
            }
            Command::Continue(worker) => self.signal(worker, Event::Continue, None, 0, Signal::SIGCONT),
            Command::Starve(worker, us) => self.starve(worker, us),
            Command::Feed(worker) => self.feed(worker),
            Command::Hush => {
                self.reap()?;
                self.hushed = true;
                answer(&Answer::Hush)
            }
            Command::Go => {
                self.hushed = false;
                self.reap()
            }
            Command::Dismiss => {
                self.workers.values_mut().for_each(|worker| worker.input = None);
                Ok(())
            }
        }
    }

    fn start(&mut self, start: &Start) -> anyhow::Result<()> {
        let Start { worker, incarnation, count, seed, lock, pid } = start;
        // This very binary, even if another has taken its path meanwhile.
        let mut program = Program::new("/proc/self/exe");
        program.arg0("stress").arg("worker").args(&self.options.worker).args(["--lock", lock]);
        let numbers: [(&str, u64); 4] = [
            ("--worker", (*worker).into()),
            ("--incarnation", (*incarnation).into()),
            ("--count", (*count).into()),
            ("--seed", *seed),
        ];
        for (name, number) in numbers {
            program.arg(name).arg(number.to_string());
        }
        // There is no moment at which a worker is alive without it.
        let alive = self.alive.try_clone()?;
        // A process group of its own: ^C is for the supervisor.
        program.stdin(Stdio::piped()).stdout(alive).stderr(self.log.try_clone()?).process_group(0);
        if let Some(pid) = pid {
            fs::write(LAST_PID, (pid - 1).to_string()).context("cannot choose the next pid")?;
        }
        let child = program.spawn().context("cannot start a worker")?;
        let process = Process::from_raw(i32::try_from(child.id())?);
        let (incarnation, count, born) = (*incarnation, *count, Instant::now());
        let hired =
            Worker { incarnation, count, pid: process, input: child.stdin, born, killed: false, descriptors: None };
        let reused = if *pid == Some(process.as_raw()) { Pid::Reused } else { Pid::Fresh };
        if reused == Pid::Reused {
            self.note(Event::Strike, Some(Fault::PidReuse), *worker, &hired, 0)?;
        }
        self.workers.insert(*worker, hired);
        answer(&Answer::Started(*worker, process.as_raw(), reused))
    }

    /// Writes the record, then sends the signal. One that is gone is left in peace: the supervisor will hear of it.
    fn signal(
        &mut self,
        worker: u16,
        event: Event,
        fault: Option<Fault>,
        detail: i32,
        signal: Signal,
    ) -> anyhow::Result<()> {
        let Some(it) = self.workers.get(&worker).filter(|it| !it.killed) else { return Ok(()) };
        self.note(event, fault, worker, it, detail)?;
        kill(it.pid, signal).with_context(|| format!("cannot send {signal} to a worker"))?;
        if let Some(it) = self.workers.get_mut(&worker).filter(|_| signal == Signal::SIGKILL) {
            it.killed = true;
        }
        Ok(())
    }

    fn starve(&mut self, worker: u16, us: u64) -> anyhow::Result<()> {
        let Some(it) = self.workers.get(&worker).filter(|it| !it.killed) else { return Ok(()) };
        self.note(Event::Strike, Some(Fault::NoDescriptors), worker, it, i32::try_from(us).unwrap_or(i32::MAX))?;
        let pid = rustix::process::Pid::from_raw(it.pid.as_raw());
        let now = rustix::process::getrlimit(Resource::Nofile);
        let limit = Rlimit { current: Some(NO_MORE), maximum: now.maximum };
        let before = prlimit(pid, Resource::Nofile, limit).context("cannot take a worker's descriptors")?;
        if let Some(it) = self.workers.get_mut(&worker) {
            it.descriptors = Some(before);
        }
        Ok(())
    }

    fn feed(&mut self, worker: u16) -> anyhow::Result<()> {
        let Some(it) = self.workers.get_mut(&worker).filter(|it| !it.killed) else { return Ok(()) };
        let Some(limit) = it.descriptors.take() else { return Ok(()) };
        let pid = rustix::process::Pid::from_raw(it.pid.as_raw());
        // Undone first: until then the fault explains errors.
        prlimit(pid, Resource::Nofile, limit).context("cannot give a worker its descriptors back")?;
        let it = &self.workers[&worker];
        self.note(Event::Relieve, Some(Fault::NoDescriptors), worker, it, 0)?;
        answer(&Answer::Fed(worker))
    }

    /// Reaps who has ended, also those whom the first process of a namespace inherits.
    fn reap(&mut self) -> anyhow::Result<()> {
        while !self.hushed {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, -(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno).context("cannot reap"),
            };
            let worker = self.workers.iter().find(|(_, it)| it.pid == pid).map(|(&worker, _)| worker);
            let Some((worker, it)) = worker.and_then(|worker| self.workers.remove_entry(&worker)) else { continue };
            self.note(Event::Exit, None, worker, &it, code)?;
            let by = if it.killed { By::Kill } else { By::Itself };
            answer(&Answer::Exited(Exited { worker, code, pid: pid.as_raw(), by }))?;
        }
        Ok(())
    }

    fn sample(&self) -> anyhow::Result<()> {
        let living = self.workers.iter().filter(|(_, it)| !self.hushed && !it.killed);
        let usages = living.filter_map(|(&worker, it)| sample(worker, it.incarnation, it.pid, it.born.elapsed()));
        usages.map(Answer::Usage).try_for_each(|usage| answer(&usage))
    }

    /// One record for each worker that the process hosts.
    fn note(&self, event: Event, fault: Option<Fault>, first: u16, it: &Worker, detail: i32) -> anyhow::Result<()> {
        for (worker, incarnation) in (first..first + it.count).zip(it.incarnation..) {
            let record = Record { event, fault, worker, incarnation, lock: 0, token: 0, at_us: monotonic_us(), detail };
            self.journal.append(&record).context("cannot append to the history")?;
        }
        Ok(())
    }

    fn kill_all(&self) {
        for worker in self.workers.values() {
            // It may be a zombie, and still is this process's child.
            kill(worker.pid, Signal::SIGKILL).ok();
        }
    }
}

/// The last pid that the kernel has given in this PID namespace; the next is the next that is free.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

fn answer(answer: &Answer) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{answer}").and_then(|()| out.flush()).context("cannot answer the supervisor")
}

/// Shows this PID namespace under /proc, in a mount namespace of its own.
fn show_own_processes() -> nix::Result<()> {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, none)
}

/// Bytes that become lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn read(&mut self) -> io::Result<Input> {
        let mut buffer = [0; 4096];
        // Not through std's buffer, which a poll cannot see.
        match nix::unistd::read(io::stdin(), &mut buffer) {
            Ok(0) => return Ok(Input::Ended),
            Ok(read) => self.0.extend_from_slice(&buffer[..read]),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(Input::Open)
    }

    fn next(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&byte| byte == b'\n')?;
        let line = self.0.drain(..=end).collect::<Vec<_>>();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }
}
