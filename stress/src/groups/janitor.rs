//! The janitor: a process that undoes what would outlive the supervisor, as soon as that ends, in whatever way.
//!
//! It is told of each duty before there is anything to undo, over a pipe that only the supervisor holds. The pipe's end is
//! the sign to begin. So the clean-up of a run that ends in good order and of one whose supervisor is killed is the same
//! code in the same process. A session of its own keeps it from the signals of the terminal. Until it is done, no other run
//! can use the run directory: it would lose its mounts to the janitor of the run before.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::prctl::set_name;
use nix::unistd::setsid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::{cgroup, docker};
use crate::sabotage::{undo_clock, undo_mount};

/// Something to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Duty {
    /// The containers with this label are removed, also paused ones.
    Containers(String),
    /// The images with this label are removed.
    Images(String),
    /// The cgroup is thawed and removed.
    Cgroup(PathBuf),
    /// What is mounted there is unmounted.
    Mount(PathBuf),
    /// The wall clock is set right: so many nanoseconds ahead of the time since the boot.
    Clock(i64),
}

impl Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Containers(label) => write!(f, "containers {label}"),
            Self::Images(label) => write!(f, "images {label}"),
            Self::Cgroup(path) => write!(f, "cgroup {}", path.display()),
            Self::Mount(path) => write!(f, "mount {}", path.display()),
            Self::Clock(truth_ns) => write!(f, "clock {truth_ns}"),
        }
    }
}

impl FromStr for Duty {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unknown = || format!("not a duty: {line:?}");
        let (kind, what) = line.split_once(' ').ok_or_else(unknown)?;
        Ok(match kind {
            "containers" => Self::Containers(what.into()),
            "images" => Self::Images(what.into()),
            "cgroup" => Self::Cgroup(what.into()),
            "mount" => Self::Mount(what.into()),
            "clock" => Self::Clock(what.parse().map_err(|_| unknown())?),
            _ => return Err(unknown()),
        })
    }
}

impl Duty {
    fn undo(&self, late: Duration) -> anyhow::Result<()> {
        match self {
            Self::Containers(label) => docker::remove_containers(label, late),
            Self::Images(label) => docker::remove_images(label, late),
            Self::Cgroup(path) => cgroup::remove(path),
            Self::Mount(path) => undo_mount(path),
            Self::Clock(truth_ns) => undo_clock(*truth_ns),
        }
    }

    /// A clock first, since the whole machine has it; else the last that was told of comes first.
    fn order(duties: Vec<Self>) -> impl Iterator<Item = Self> {
        let (clocks, others): (Vec<_>, Vec<_>) = duties.into_iter().partition(|duty| matches!(duty, Self::Clock(_)));
        clocks.into_iter().chain(others.into_iter().rev())
    }
}

/// The supervisor's last word, if nothing is under way any more.
const ORDERLY: &str = "orderly";

/// The whole life of the janitor.
pub(crate) fn sweep() -> anyhow::Result<()> {
    set_name(c"stress-janitor")?;
    setsid().context("cannot begin a session")?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // A handler that does nothing of note, so that the signal does not end the process.
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let mut duties = Vec::new();
    let mut failed = Vec::new();
    // What the supervisor has asked the engine for may still come, unless that says that it waited for all of it.
    let mut late = Duration::from_secs(3);
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            ORDERLY => late = Duration::ZERO,
            line => match line.parse() {
                Ok(duty) => duties.push(duty),
                Err(error) => failed.push(error),
            },
        }
    }
    let (duties, began): (Vec<_>, _) = (Duty::order(duties).collect(), Instant::now());
    for duty in &duties {
        if let Err(error) = duty.undo(late) {
            failed.push(format!("{error:#}"));
        }
    }
    let mounts: Vec<_> = duties.iter().filter(|duty| matches!(duty, Duty::Mount(_))).collect();
    if !mounts.is_empty() {
        // A command that mounts outlives the supervisor for a moment.
        thread::sleep(late.saturating_sub(began.elapsed()));
        failed.extend(mounts.iter().filter_map(|mount| mount.undo(late).err()).map(|error| format!("{error:#}")));
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("; ")) }
}

/// The supervisor's side. When it is dropped, everything is undone.
#[derive(Debug)]
pub(crate) struct Janitor {
    child: Child,
    input: Option<ChildStdin>,
}

/// Longer than all that has a bound of its own.
const BOUND: Duration = Duration::from_mins(2);

impl Janitor {
    /// Starts it. What it has to say goes to the log. The lock on the run directory is its standard output, and so is held
    /// for as long as it lives.
    pub(crate) fn hire(log: File, lock: File) -> anyhow::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("stress").arg("janitor").stdin(Stdio::piped()).stdout(lock).stderr(log);
        let mut child = command.spawn().context("cannot start the janitor")?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    /// Has this undone when the supervisor ends. To be told before it is done.
    pub(crate) fn tell(&mut self, duty: &Duty) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("the janitor is gone")?;
        writeln!(input, "{duty}").context("cannot tell the janitor")
    }

    /// Undoes everything now, also what is still under way.
    pub(crate) fn give_up(mut self) -> anyhow::Result<()> {
        self.wait()
    }

    /// Undoes everything now, when nothing is under way any more. An error if something could not be undone, which then stands in the log.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        if let Some(input) = &mut self.input {
            writeln!(input, "{ORDERLY}").context("cannot tell the janitor")?;
        }
        self.wait()
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        if self.input.take().is_none() {
            return Ok(());
        }
        let began = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => bail!("not everything could be cleaned up; see workers.log"),
                None if began.elapsed() > BOUND => bail!("the clean-up does not end"),
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // On the way of another error, which is the one to tell.
        self.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duty_reads_back_as_it_is_told() {
        let duties = [
            Duty::Containers("session-lock-stress=a1".into()),
            Duty::Images("session-lock-stress=a1".into()),
            Duty::Cgroup("/sys/fs/cgroup/freezer/with a space".into()),
            Duty::Mount("/tmp/a".into()),
            Duty::Clock(-5),
        ];
        for duty in duties {
            assert_eq!(duty.to_string().parse(), Ok(duty));
        }
        assert!("".parse::<Duty>().is_err());
        assert!("clock soon".parse::<Duty>().is_err());
        assert!("house /".parse::<Duty>().is_err());
    }

    #[test]
    fn a_clock_is_set_first_and_the_rest_undone_backwards() {
        let [images, containers, clock] = [Duty::Images("i".into()), Duty::Containers("c".into()), Duty::Clock(1)];
        let order: Vec<_> = Duty::order(vec![images.clone(), clock.clone(), containers.clone()]).collect();
        assert_eq!(order, [clock, containers, images]);
    }
}
