//! Follows all threads of one victim through ptrace(2), and does one thing to one of its system calls.
//!
//! Only the calls between the victim's words `begin` and `end` count, and none that it makes to talk. It knows nothing of
//! locks: what a victim says is for the judge.
//!
//! Why not seccomp's user notification: it acts before a call only, so nothing could be killed after one, and installing
//! its filter takes calls that are not safe.

use std::collections::HashMap;
use std::io;
use std::process::Child;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::call::{Asked, Call, Place, Role, memory};
use super::registers::Registers;
use super::syscalls::Failures;

/// From the entry of a wait to its being a wait, usually.
const INSIDE: Duration = Duration::from_millis(1);

/// What is done to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    KillBefore,
    KillAfter,
    /// While it waits in the kernel.
    KillInside,
    /// It is not done.
    Fail(Errno),
    /// It is done, and says that it was not.
    FailDone(Errno),
}

/// Where, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) place: Place,
    pub(super) fault: Fault,
}

/// What the judge is told while the victim runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// From here on calls count.
    Begins,
    /// A thread goes to the kernel's queue.
    Parks,
    /// The victim says that it has acquired.
    Acquires,
    /// The section is over, or the victim is.
    Over,
}

/// How a victim ended, and what it did before.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) calls: Vec<Call>,
    /// Whether its section began.
    pub(super) began: bool,
    /// Whether the point was there.
    pub(super) reached: bool,
    pub(super) end: WaitStatus,
}

/// The moment of the kill, as soon as there is one.
pub(super) type Killed = Arc<Mutex<Option<Instant>>>;

#[derive(Debug)]
struct Thread {
    role: Role,
    /// The call it is in: where it stands in the list, if it counts, and what is to be done at its end.
    inside: Option<(Option<usize>, AtExit)>,
    /// It has waited, so its start is over.
    settled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtExit {
    Nothing,
    Kill,
    Fail(Errno),
    /// The victim has said that the section begins.
    Begin,
}

struct Tracer<'a> {
    leader: Pid,
    root: &'a str,
    point: Option<&'a Point>,
    progress: &'a Sender<Progress>,
    killed: &'a Killed,
    threads: HashMap<Pid, Thread>,
    created: usize,
    began: bool,
    counting: bool,
    /// Main, at the beginning of its section, until the other threads have settled.
    held_back: Option<Pid>,
    calls: Vec<Call>,
    said: HashMap<(Role, String), usize>,
    reached: bool,
}

/// Starts the victim, which asks to be traced and stops, and follows it to its end. The thread that calls this is the only
/// one that may wait for it, and has no other children.
pub(super) fn trace(
    spawn: impl FnOnce() -> io::Result<Child>,
    root: &str,
    point: Option<&Point>,
    progress: &Sender<Progress>,
    killed: &Killed,
) -> anyhow::Result<Traced> {
    let mut child = spawn().context("cannot start a victim")?;
    let leader = Pid::from_raw(i32::try_from(child.id())?);
    let threads = HashMap::from([(leader, Thread { role: Role::MAIN, inside: None, settled: true })]);
    let mut tracer = Tracer {
        leader,
        root,
        point,
        progress,
        killed,
        threads,
        created: 0,
        began: false,
        counting: false,
        held_back: None,
        calls: Vec::new(),
        said: HashMap::new(),
        reached: false,
    };
    let end = tracer.follow();
    progress.send(Progress::Over).ok();
    if end.is_err() {
        kill(leader, Signal::SIGKILL).ok();
        child.wait().ok();
    }
    Ok(Traced { calls: tracer.calls, began: tracer.began, reached: tracer.reached, end: end? })
}

impl Fault {
    /// Whether it ends the victim.
    pub(super) const fn is_kill(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillInside | Self::KillAfter)
    }
}

impl Tracer<'_> {
    fn follow(&mut self) -> anyhow::Result<WaitStatus> {
        match waitpid(self.leader, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))? {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            ended => return Ok(ended),
        }
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(self.leader, options).context("cannot trace the victim")?;
        resume(self.leader, None)?;
        loop {
            let status = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))?;
            match status {
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) => {
                    // It may have ended before its creator is seen to have made it.
                    self.thread(pid).settled = true;
                    if pid == self.leader {
                        return Ok(status);
                    }
                }
                WaitStatus::PtraceSyscall(pid) => self.at_call(pid)?,
                // A new thread stops at its beginning, maybe before its creator is seen to have made it.
                WaitStatus::Stopped(pid, Signal::SIGSTOP) => {
                    self.thread(pid);
                    resume(pid, None)?;
                }
                // Threads are numbered as they are made, whichever begins first.
                WaitStatus::PtraceEvent(pid, _, _) => {
                    if let Ok(made) = i32::try_from(ptrace::getevent(pid)?) {
                        self.thread(Pid::from_raw(made));
                    }
                    resume(pid, None)?;
                }
                WaitStatus::Stopped(pid, signal) => resume(pid, Some(signal))?,
                other => {
                    if let Some(pid) = other.pid() {
                        resume(pid, None)?;
                    }
                }
            }
            self.let_begin()?;
        }
    }

    fn thread(&mut self, pid: Pid) -> &mut Thread {
        let created = &mut self.created;
        self.threads.entry(pid).or_insert_with(|| {
            *created += 1;
            Thread { role: Role(*created), inside: None, settled: false }
        })
    }

    /// Main's section begins once the threads that there are have done all that they do at their start.
    fn let_begin(&mut self) -> anyhow::Result<()> {
        if self.held_back.is_some() && self.threads.values().all(|thread| thread.settled) {
            (self.began, self.counting) = (true, true);
            self.progress.send(Progress::Begins).ok();
            resume(self.held_back.take().unwrap_or(self.leader), None)?;
        }
        Ok(())
    }

    fn at_call(&mut self, pid: Pid) -> anyhow::Result<()> {
        let registers = match Registers::read(pid) {
            // Killed meanwhile: its end is still to come.
            Err(Errno::ESRCH) => return Ok(()),
            read => read?,
        };
        let go_on = match self.thread(pid).inside.take() {
            None => self.at_entry(pid, registers)?,
            Some((nth, then)) => self.at_exit(pid, registers, nth, then)?,
        };
        if go_on { resume(pid, None) } else { Ok(()) }
    }

    /// False if the thread does not go on.
    fn at_entry(&mut self, pid: Pid, registers: Registers) -> anyhow::Result<bool> {
        let asked = Asked::read(pid, &registers, self.root);
        let thread = self.thread(pid);
        thread.settled |= asked.waits();
        let role = thread.role;
        if let Some(then) = self.talk(pid, role, &asked) {
            self.thread(pid).inside = Some((None, then));
            return Ok(true);
        }
        if asked.parks() {
            self.progress.send(Progress::Parks).ok();
        }
        if !self.counting {
            self.thread(pid).inside = Some((None, AtExit::Nothing));
            return Ok(true);
        }
        let before = self.said.entry((role, asked.text.clone())).or_default();
        let place = Place { role, call: asked.text.clone(), before: *before };
        *before += 1;
        let fault = self.point.filter(|point| point.place == place).map(|point| point.fault);
        let failures = asked.failures();
        self.calls.push(Call { place, name: asked.name, failures, result: None });
        self.reached |= fault.is_some();
        let then = match fault {
            None => AtExit::Nothing,
            Some(Fault::KillBefore) => {
                self.kill()?;
                return Ok(true);
            }
            Some(Fault::KillInside) => {
                resume(pid, None)?;
                thread::sleep(INSIDE);
                self.kill()?;
                return Ok(false);
            }
            Some(Fault::KillAfter) => AtExit::Kill,
            Some(Fault::Fail(errno)) => {
                registers.skip(pid)?;
                AtExit::Fail(errno)
            }
            Some(Fault::FailDone(errno)) => AtExit::Fail(errno),
        };
        let nth = self.calls.len() - 1;
        self.thread(pid).inside = Some((Some(nth), then));
        Ok(true)
    }

    fn at_exit(&mut self, pid: Pid, registers: Registers, nth: Option<usize>, then: AtExit) -> anyhow::Result<bool> {
        let mut result = registers.result();
        match then {
            AtExit::Nothing => {}
            AtExit::Kill => self.kill()?,
            AtExit::Fail(errno) => {
                result = -i64::from(errno as i32);
                registers.fail(pid, errno)?;
            }
            AtExit::Begin => self.held_back = Some(pid),
        }
        if let Some(nth) = nth {
            self.calls[nth].result = Some(result);
        }
        Ok(then != AtExit::Begin)
    }

    /// What main says on standard output and hears on standard input is no call of the lock. The first word may begin or end
    /// the section.
    fn talk(&mut self, pid: Pid, role: Role, asked: &Asked) -> Option<AtExit> {
        let is_talk = role == Role::MAIN
            && (asked.name == "write" && asked.arguments[0] == 1 || asked.name == "read" && asked.arguments[0] == 0);
        if !is_talk {
            return None;
        }
        if asked.name == "write" {
            match &*memory(pid, asked.arguments[1], 4) {
                b"begi" => return Some(AtExit::Begin),
                b"acqu" => {
                    self.progress.send(Progress::Acquires).ok();
                }
                b"end\n" => {
                    self.counting = false;
                    self.progress.send(Progress::Over).ok();
                }
                _ => {}
            }
        }
        Some(AtExit::Nothing)
    }

    fn kill(&self) -> anyhow::Result<()> {
        *self.killed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(kill(self.leader, Signal::SIGKILL)?)
    }
}

/// To the next system call, with the signal that it stopped at.
fn resume(pid: Pid, signal: Option<Signal>) -> anyhow::Result<()> {
    match ptrace::syscall(pid, signal) {
        // Killed meanwhile: its end is still to come.
        Err(Errno::ESRCH) => Ok(()),
        resumed => Ok(resumed?),
    }
}

/// All faults of a call.
pub(super) fn faults(call: &Call) -> Vec<Fault> {
    let waits = call.place.call.contains("F_OFD_SETLKW").then_some(Fault::KillInside);
    let kills = [Fault::KillBefore, Fault::KillAfter].into_iter().chain(waits);
    let failed: Vec<Fault> = match call.failures {
        Some(Failures::Skipped(errnos)) => errnos.iter().map(|&errno| Fault::Fail(errno)).collect(),
        Some(Failures::Done(errnos)) => errnos.iter().map(|&errno| Fault::FailDone(errno)).collect(),
        Some(Failures::Never(_)) | None => Vec::new(),
    };
    // A thread's end never returns.
    let never_returns = ["exit", "exit_group"].contains(&&*call.name);
    kills.filter(|kill| !(never_returns && *kill == Fault::KillAfter)).chain(failed).collect()
}

/// Whether this process may trace its children.
pub(super) fn is_possible() -> Result<(), &'static str> {
    if !Registers::KNOWN {
        return Err("the registers of this architecture are not known to it");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let traced = status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"));
    if traced { Err("this process is traced itself") } else { Ok(()) }
}
