//! Groups of workers: how they come to be where the topology wants them, and how one talks to them.
//!
//! Every topology is the same picture. The supervisor has some groups; each is a process of ours ([`process`]) that is the
//! parent of its workers. What differs is what stands between the supervisor and that process:
//!
//! | Topology | Between |
//! |---|---|
//! | processes, threads, tasks | nothing |
//! | pidns | a stage ([`enter`]) that enters the namespaces |
//! | docker | the engine ([`docker`]) |
//! | joined | a porter ([`gate`]) that lets in whom somebody else has started |
//!
//! Where groups share a PID namespace, its first process is an anchor: a group without workers that nobody kills, and that
//! reaps whom the others leave behind. [`janitor`] undoes what would outlive the supervisor.
//!
//! Not here: what is done to whom and when, which is the crew's.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use anyhow::Context;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::fault::Fault;
use crate::options::RunOptions;

pub(crate) mod cgroup;
pub(crate) mod docker;
pub(crate) mod enter;
pub(crate) mod errand;
pub(crate) mod gate;
pub(crate) mod janitor;
pub(crate) mod land;
pub(crate) mod process;
pub(crate) mod protocol;
pub(crate) mod tether;
mod usage;

use errand::Errand;
use protocol::{Answer, Command as Order};

/// The supervisor's end of a group.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<Said>,
    first: Option<OwnedFd>,
}

/// What comes from a group.
#[derive(Debug)]
pub(crate) enum Said {
    Answer(Answer),
    /// A line that is no answer.
    Garbage(String),
    /// Nothing more will come.
    End,
}

impl Group {
    /// Starts the program that is the group, or stands between. Its errors go to the log.
    pub(crate) fn start(mut command: Command, log: File) -> anyhow::Result<Self> {
        // A process group of its own: ^C is for the supervisor.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut child = command.spawn().context("cannot start a group")?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("a group has no output")?;
        let (sender, said) = mpsc::channel();
        // It ends with the group: at the end of what that says.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let said = line.parse().map_or(Said::Garbage(line), Said::Answer);
                if sender.send(said).is_err() {
                    return;
                }
            }
            sender.send(Said::End).ok();
        });
        Ok(Self { child, input, said, first: None })
    }

    /// The next that it has said. `None`: nothing yet.
    pub(crate) fn heard(&self) -> Option<Said> {
        self.said.try_recv().ok()
    }

    /// Tells it something. One that is gone does not hear, and will be found gone.
    pub(crate) fn tell(&mut self, order: &Order) -> anyhow::Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        match input.write_all(format!("{order}\n").as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot talk to a group"),
            _ => Ok(()),
        }
    }

    /// Remembers the first process of its namespace, known to be alive, so that no other is ever hit in its place.
    pub(crate) fn remember_first(&mut self, pid: i32) -> anyhow::Result<()> {
        let pid = Pid::from_raw(pid).context("a group's first process has no pid")?;
        self.first = Some(pidfd_open(pid, PidfdFlags::empty()).context("cannot open a group's first process")?);
        Ok(())
    }

    /// Kills the group process, from outside of its namespace.
    pub(crate) fn kill_first(&mut self) -> anyhow::Result<()> {
        match &self.first {
            Some(first) => match pidfd_send_signal(first, Signal::KILL) {
                Err(error) if error != rustix::io::Errno::SRCH => Err(error).context("cannot kill a group"),
                _ => Ok(()),
            },
            None => self.child.kill().context("cannot kill a group"),
        }
    }

    /// Whether the program that was started is gone.
    pub(crate) fn is_gone(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends its input, which ends it.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }
}

impl Drop for Group {
    /// Leaves nobody behind: the death of a group process is the death of its workers. Of a container, the janitor's work.
    fn drop(&mut self) {
        self.input = None;
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Fails where this topology, or one of these faults, cannot be had here, and says what to do.
pub(crate) fn check(options: &RunOptions) -> anyhow::Result<()> {
    let topology = options.topology;
    let faults: Vec<Fault> = options.rates().into_iter().map(|(fault, _)| fault).collect();
    if topology.is_docker() {
        docker::check()?;
    }
    if topology.is_pidns() {
        pid_namespaces()?;
        if faults.contains(&Fault::TimeNamespace) {
            probe(&["--ahead-s=3600"])?;
        }
    }
    if faults.contains(&Fault::Freeze) {
        cgroup::check()?;
    }
    Ok(())
}

/// Fails where PID namespaces cannot be had, and says why.
pub(crate) fn pid_namespaces() -> anyhow::Result<()> {
    probe(&[])
}

fn probe(words: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("stress").args(["enter", "--probe"]).args(words);
    Errand::start(command, "enter namespaces")?.finish()
}
