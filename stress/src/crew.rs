//! The worker processes of a run: started, killed, stopped and reaped. Only ever the crew's own children, each while it
//! is not yet reaped, so that a recycled pid is never hit.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::monotonic_us;
use crate::history::{Event, Journal, Record};
use crate::nemesis::Fault;
use crate::options::RunOptions;
use crate::run_dir::{Control, RunDir};
use crate::worker::ENDING;

/// The crew of one run.
pub(crate) struct Crew<'a> {
    options: &'a RunOptions,
    seed: u64,
    dir: &'a RunDir,
    journal: Journal,
    control: Control,
    log: File,
    members: Vec<Member>,
    next_incarnation: u32,
}

/// One place in the crew. It is taken by one process after the other.
struct Member {
    worker: u16,
    incarnation: u32,
    child: Child,
    /// The thread that is the child's parent, where that is not the supervisor's own: it ends when this is dropped.
    _parent: Option<mpsc::Sender<()>>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// Its next hold waits for the kill.
    Marked,
    Stopped(Instant),
    Killed,
    Gone,
}

/// A worker that has ended without having been killed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) worker: u16,
    pub(crate) status: ExitStatus,
}

impl<'a> Crew<'a> {
    /// Starts all workers.
    pub(crate) fn start(options: &'a RunOptions, seed: u64, dir: &'a RunDir) -> anyhow::Result<Self> {
        let mut crew = Self {
            options,
            seed,
            dir,
            journal: Journal::open(&dir.history())?,
            control: Control::open(&dir.control())?,
            log: OpenOptions::new().append(true).open(dir.log())?,
            members: Vec::with_capacity(options.workers.into()),
            next_incarnation: 1,
        };
        for worker in 0..options.workers {
            let member = crew.hire(worker)?;
            crew.members.push(member);
        }
        Ok(crew)
    }

    fn hire(&mut self, worker: u16) -> anyhow::Result<Member> {
        let incarnation = self.next_incarnation;
        self.next_incarnation += 1;
        self.control.clear(worker)?;
        let mut command = self.command(worker, incarnation)?;
        let (child, parent) = if self.options.pidns {
            let (child, parent) = spawn_in_own_pid_namespace(command)?;
            (child, Some(parent))
        } else {
            (command.spawn().context("cannot start a worker")?, None)
        };
        Ok(Member { worker, incarnation, child, _parent: parent, state: State::Running })
    }

    fn command(&self, worker: u16, incarnation: u32) -> anyhow::Result<Command> {
        let options = self.options;
        // This very binary, even if another has taken its path meanwhile.
        let mut command = Command::new("/proc/self/exe");
        let time = |time| humantime::format_duration(time).to_string();
        let words = [
            ("--worker", worker.to_string()),
            ("--incarnation", incarnation.to_string()),
            ("--locks", options.locks.to_string()),
            ("--lock", options.lock.name()),
            ("--hold", options.hold.to_string()),
            ("--think", options.think.to_string()),
            ("--timeout", time(options.timeout)),
            ("--bound", time(options.duration + 4 * ENDING)),
            ("--seed", self.seed.wrapping_add(u64::from(incarnation)).to_string()),
        ];
        let dir = self.dir;
        let files = [("--history", dir.history()), ("--counters", dir.counters()), ("--control", dir.control())];
        command.arg0("stress").arg("worker");
        for (name, word) in words {
            command.arg(name).arg(word);
        }
        for (name, file) in files.into_iter().chain([("--sessions", dir.sessions())]) {
            command.arg(name).arg(file);
        }
        // A process group of its own: ^C is for the supervisor.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(self.log.try_clone()?).process_group(0);
        Ok(command)
    }

    /// The workers that this fault can be done to.
    pub(crate) fn eligible(&self, fault: Fault) -> Vec<u16> {
        let fits = |state| match fault {
            Fault::KillInside | Fault::Stop(_) => state == State::Running,
            Fault::KillAnywhere => matches!(state, State::Running | State::Stopped(_)),
        };
        self.members.iter().filter(|member| fits(member.state)).map(|member| member.worker).collect()
    }

    pub(crate) fn inflict(&mut self, fault: Fault, worker: u16) -> anyhow::Result<()> {
        match fault {
            Fault::KillInside => {
                self.members[usize::from(worker)].state = State::Marked;
                Ok(self.control.mark(worker)?)
            }
            Fault::KillAnywhere => self.kill(worker),
            Fault::Stop(time) => {
                self.note(Event::Stop, worker, i32::try_from(time.as_micros()).unwrap_or(i32::MAX))?;
                self.members[usize::from(worker)].state = State::Stopped(Instant::now() + time);
                self.signal(worker, Signal::SIGSTOP)
            }
        }
    }

    /// The history says that this worker waits for its kill: kill it, if it is still the one that was marked.
    pub(crate) fn caught(&mut self, worker: u16, incarnation: u32) -> anyhow::Result<()> {
        match self.members.get(usize::from(worker)) {
            Some(member) if member.incarnation == incarnation && member.state == State::Marked => self.kill(worker),
            _ => Ok(()),
        }
    }

    /// One that has ended by itself is not killed: its hold ended with it, and not at a *kill*.
    fn kill(&mut self, worker: u16) -> anyhow::Result<()> {
        if self.members[usize::from(worker)].child.try_wait()?.is_some() {
            return Ok(());
        }
        self.note(Event::Kill, worker, 0)?;
        let member = &mut self.members[usize::from(worker)];
        member.state = State::Killed;
        member.child.kill().context("cannot kill a worker")
    }

    /// Lets those continue whose stop is over.
    pub(crate) fn resume(&mut self, now: Instant) -> anyhow::Result<()> {
        for worker in 0..self.options.workers {
            if matches!(self.members[usize::from(worker)].state, State::Stopped(until) if until <= now) {
                self.members[usize::from(worker)].state = State::Running;
                self.note(Event::Continue, worker, 0)?;
                self.signal(worker, Signal::SIGCONT)?;
            }
        }
        Ok(())
    }

    /// Reaps who has ended. Who was killed is replaced; who was not is told of.
    pub(crate) fn reap(&mut self, replace: Replace) -> anyhow::Result<Option<Ended>> {
        let mut ended = None;
        for worker in 0..self.options.workers {
            let member = &mut self.members[usize::from(worker)];
            let (killed, gone) = (member.state == State::Killed, member.state == State::Gone);
            let Some(status) = (if gone { None } else { member.child.try_wait()? }) else { continue };
            member.state = State::Gone;
            let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
            self.note(Event::Exit, worker, code)?;
            if !killed {
                ended = Some(Ended { worker, status });
            } else if replace == Replace::Killed {
                self.members[usize::from(worker)] = self.hire(worker)?;
            }
        }
        Ok(ended)
    }

    /// Tells all to end: no more stops, no more kills, no more input.
    pub(crate) fn dismiss(&mut self) -> anyhow::Result<()> {
        for worker in 0..self.options.workers {
            self.control.clear(worker)?;
            let member = &mut self.members[usize::from(worker)];
            member.child.stdin = None;
            match member.state {
                State::Stopped(_) => member.state = State::Stopped(Instant::now()),
                State::Marked => member.state = State::Running,
                _ => {}
            }
        }
        self.resume(Instant::now())
    }

    /// Kills all that are left. How many those were.
    pub(crate) fn kill_all(&mut self) -> anyhow::Result<usize> {
        let left: Vec<_> = self.left().collect();
        for &worker in &left {
            self.kill(worker)?;
        }
        Ok(left.len())
    }

    /// The workers that have not been reaped.
    pub(crate) fn left(&self) -> impl Iterator<Item = u16> {
        self.members.iter().filter(|member| member.state != State::Gone).map(|member| member.worker)
    }

    fn signal(&self, worker: u16, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.members[usize::from(worker)].child.id())?);
        kill(pid, signal).with_context(|| format!("cannot send {signal} to a worker"))
    }

    fn note(&self, event: Event, worker: u16, detail: i32) -> anyhow::Result<()> {
        let incarnation = self.members[usize::from(worker)].incarnation;
        let record = Record { event, worker, incarnation, lock: 0, token: 0, at_us: monotonic_us(), detail };
        self.journal.append(&record).context("cannot append to the history")
    }
}

impl Drop for Crew<'_> {
    /// Leaves nobody behind when a run fails halfway.
    fn drop(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.state != State::Gone) {
            if member.child.kill().is_ok() {
                member.child.wait().ok();
            }
        }
    }
}

/// What becomes of the place of a worker that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    Killed,
    Nobody,
}

/// Whether PID namespaces can be had here, or why not.
pub(crate) fn pid_namespaces() -> anyhow::Result<()> {
    thread::spawn(|| unshare(CloneFlags::CLONE_NEWPID))
        .join()
        .map_err(|_| anyhow::anyhow!("the thread that tried has panicked"))?
        .context("--pidns is not possible here (it needs root, or CAP_SYS_ADMIN)")
}

/// Starts the command as PID 1 of a new PID namespace.
///
/// A thread that has unshared its namespace puts its children into the new one, but keeps its own. The thread then stays,
/// since the kernel takes its end for the death of the child's parent.
fn spawn_in_own_pid_namespace(mut command: Command) -> anyhow::Result<(Child, mpsc::Sender<()>)> {
    let (child_sender, child) = mpsc::channel();
    let (parent, parent_ends) = mpsc::channel();
    thread::spawn(move || {
        let unshared = unshare(CloneFlags::CLONE_NEWPID).map_err(io::Error::from);
        if child_sender.send(unshared.and_then(|()| command.spawn())).is_ok() {
            // An error is what is waited for: the sender was dropped.
            parent_ends.recv().ok();
        }
    });
    let child = child.recv().context("the thread that starts a worker has ended")?;
    Ok((child.context("cannot start a worker in a PID namespace")?, parent))
}

/// How long the crew may need to end after it was dismissed, before it is killed.
pub(crate) const DISMISSAL: Duration = Duration::from_secs(2 * ENDING.as_secs());
