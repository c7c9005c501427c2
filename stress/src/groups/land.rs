//! Where the groups of a run live, and what can be done to one as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::cgroup::Freezer;
use super::docker::Docker;
use super::errand::Errand;
use super::janitor::{Duty, Janitor};
use super::protocol::{Answer, Command as Order};
use super::{Group, Said, gate};
use crate::fault::Fault;
use crate::options::RunOptions;
use crate::run_dir::RunDir;
use crate::topology::Topology;
use crate::worker::ENDING;

/// Where the groups of one run live.
pub(crate) struct Land {
    topology: Topology,
    /// The command line of a group process, but for what is its own.
    words: Words,
    alive: Vec<PathBuf>,
    log: PathBuf,
    gates: PathBuf,
    freezers: Vec<Freezer>,
    docker: Docker,
    /// The first process of the PID namespace that groups share, and its pid.
    anchor: Option<(Group, Option<i32>)>,
}

struct Words {
    group: Vec<String>,
    worker: Vec<String>,
}

/// How a group comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    First,
    /// After it was killed.
    Again,
    /// After it was killed, with clocks that are so many seconds ahead.
    Elsewhen(i64),
    /// It has been restarted already.
    Restarted,
}

/// How long it may take until a group is there.
pub(crate) const SETTLING: Duration = Duration::from_mins(1);

const ANCHOR: &str = "anchor";

impl Land {
    /// Makes ready what the groups need. `None`: interrupted.
    pub(crate) fn prepare(
        options: &RunOptions,
        run: &str,
        dir: &RunDir,
        janitor: &mut Janitor,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<Option<Self>> {
        let groups = options.groups.min(options.crew());
        let freeze = options.rates().iter().any(|(fault, _)| *fault == Fault::Freeze);
        let mut freezers = Vec::new();
        for group in (0..groups).filter(|_| freeze) {
            let path = Freezer::place(&format!("session-lock-stress-{run}-{group}"))?;
            janitor.tell(&Duty::Cgroup(path.clone()))?;
            freezers.push(Freezer::make(&path)?);
        }
        let alive: Vec<_> = (0..groups).map(|group| dir.alive(&group.to_string())).collect();
        for path in alive.iter().chain([&dir.alive(ANCHOR)]) {
            File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let mut land = Self {
            topology: options.topology,
            words: Words { group: group_words(options, dir), worker: worker_words(options, dir) },
            alive,
            log: dir.log(),
            gates: gate::gates(dir.path()),
            freezers,
            docker: Docker::of(run, dir.path()),
            anchor: None,
        };
        if options.topology.is_joined() {
            land.open_gates()?;
        }
        if options.topology.is_docker() {
            janitor.tell(&Duty::Images(land.docker.label()))?;
            janitor.tell(&Duty::Containers(land.docker.label()))?;
            let mut build = land.docker.build()?;
            while !build.is_done()? {
                if interrupted.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                thread::sleep(Duration::from_millis(5));
            }
            land.docker.built();
        }
        let shared = (0..groups).any(|group| land.shares_pids(group));
        if shared && !land.set_anchor(dir, interrupted)? {
            return Ok(None);
        }
        Ok(Some(land))
    }

    pub(crate) fn groups(&self) -> u16 {
        u16::try_from(self.alive.len()).expect("there are at most 64 groups")
    }

    /// Whether a group has the PID namespace that others have too.
    fn shares_pids(&self, group: u16) -> bool {
        match self.topology {
            Topology::PidnsShared | Topology::DockerShared => true,
            Topology::DockerMixed => group.is_multiple_of(2),
            _ => false,
        }
    }

    /// `false`: interrupted.
    fn set_anchor(&mut self, dir: &RunDir, interrupted: &AtomicBool) -> anyhow::Result<bool> {
        let words = self.words_of(&dir.alive(ANCHOR));
        let command =
            if self.topology.is_docker() { self.docker.run(ANCHOR, None, &words) } else { stage(&words, &[]) };
        let mut anchor = Group::start(command, self.log()?)?;
        let began = Instant::now();
        let mut pid = None;
        anchor.tell(&Order::Hello)?;
        while !interrupted.load(Ordering::Relaxed) {
            match anchor.heard() {
                Some(Said::Answer(Answer::Entered(entered))) => pid = Some(entered),
                Some(Said::Answer(Answer::Hello)) if pid.is_some() || self.topology.is_docker() => {
                    self.anchor = Some((anchor, pid));
                    return Ok(true);
                }
                // The stage and the process behind it do not wait for each other.
                Some(Said::Answer(Answer::Hello)) => anchor.tell(&Order::Hello)?,
                Some(Said::Answer(Answer::Failed(why))) => bail!("the anchor of a PID namespace failed: {why}"),
                Some(said) => bail!("the anchor of a PID namespace does not come up ({said:?}); see workers.log"),
                None if began.elapsed() > SETTLING => bail!("the anchor of a PID namespace does not come up"),
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
        Ok(false)
    }

    /// Without those that an earlier run has left, at which nobody waits.
    fn open_gates(&self) -> anyhow::Result<()> {
        let gates = self.gates.display();
        match fs::remove_dir_all(&self.gates) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => fs::create_dir(&self.gates),
        }
        .with_context(|| format!("cannot make the gates {gates}"))
    }

    fn log(&self) -> anyhow::Result<File> {
        OpenOptions::new().append(true).open(&self.log).context("cannot open the workers' log")
    }

    /// Starts a group. It then has to be greeted: at once, or when it was *entered*.
    pub(crate) fn start(&self, group: u16, begin: Begin) -> anyhow::Result<Group> {
        let name = group.to_string();
        let mut words = self.words_of(&self.alive[usize::from(group)]);
        let cgroup = self.freezers.get(usize::from(group)).map(|freezer| freezer.path().display().to_string());
        let command = if self.topology.is_docker() {
            let anchor = self.shares_pids(group).then_some(ANCHOR);
            match begin {
                Begin::First => self.docker.run(&name, anchor, &words),
                Begin::Again | Begin::Elsewhen(_) => self.docker.start_again(&name),
                Begin::Restarted => self.docker.attach(&name),
            }
        } else if self.topology.is_pidns() {
            let mut own = Vec::new();
            own.extend(cgroup.map(|path| format!("--cgroup={path}")));
            if let Some((_, Some(pid))) = self.anchor.as_ref().filter(|_| self.shares_pids(group)) {
                own.push(format!("--join={pid}"));
            }
            if let Begin::Elsewhen(ahead_s) = begin {
                own.push(format!("--ahead-s={ahead_s}"));
            }
            stage(&words, &own)
        } else if self.topology.is_joined() {
            gate::porter(&self.gates.join(&name), &words)
        } else {
            if let Some(path) = cgroup {
                words.insert(1, format!("--cgroup={path}"));
            }
            let mut command = Command::new("/proc/self/exe");
            command.arg0("stress").args(&words);
            command
        };
        let mut started = Group::start(command, self.log()?)?;
        if !self.topology.is_pidns() {
            started.tell(&Order::Hello)?;
        }
        Ok(started)
    }

    fn words_of(&self, alive: &std::path::Path) -> Vec<String> {
        let mut words = self.words.group.clone();
        words.extend(["--alive".into(), alive.display().to_string(), "--".into()]);
        words.extend(self.words.worker.iter().cloned());
        words
    }

    /// What to do if a group does not come up.
    pub(crate) fn remedy(&self) -> &'static str {
        if self.topology.is_joined() {
            "start as many `stress join` as there are groups, with this run directory at the same path"
        } else {
            "see workers.log"
        }
    }

    /// Opens the file on which a group and its workers keep a lock while one of them lives.
    pub(crate) fn alive(&self, group: u16) -> anyhow::Result<File> {
        File::open(&self.alive[usize::from(group)]).context("cannot open the file that tells who is alive")
    }

    /// Makes a group stand still: now, or when the errand is done.
    pub(crate) fn halt(&self, group: u16) -> anyhow::Result<Option<Errand>> {
        if self.topology.is_docker() {
            return self.docker.pause(&group.to_string()).map(Some);
        }
        self.freezer(group)?.freeze().map(|()| None)
    }

    /// Lets it go on: now, or when the errand is done.
    pub(crate) fn go_on(&self, group: u16) -> anyhow::Result<Option<Errand>> {
        if self.topology.is_docker() {
            return self.docker.unpause(&group.to_string()).map(Some);
        }
        self.freezer(group)?.thaw().map(|()| None)
    }

    fn freezer(&self, group: u16) -> anyhow::Result<&Freezer> {
        self.freezers.get(usize::from(group)).context("a group has no cgroup")
    }

    /// Kills a group as a whole: now, or when the errand is done.
    pub(crate) fn kill(&self, number: u16, group: &mut Group, fault: Fault) -> anyhow::Result<Option<Errand>> {
        let name = number.to_string();
        match (self.topology.is_docker(), fault) {
            (true, Fault::Restart) => self.docker.restart(&name).map(Some),
            (true, _) => self.docker.kill(&name).map(Some),
            (false, _) => group.kill_first().map(|()| None),
        }
    }

    /// Ends the anchor, once all groups have ended.
    pub(crate) fn close(&mut self) {
        if let Some((anchor, _)) = &mut self.anchor {
            anchor.close();
        }
    }
}

/// The command line of a stage with a group process behind it.
fn stage(words: &[String], own: &[String]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("stress").arg("enter").args(own).arg("--").arg(&words[0]).arg("--own-proc").args(&words[1..]);
    command
}

fn group_words(options: &RunOptions, dir: &RunDir) -> Vec<String> {
    // Longer than any run, so that it ends by itself only if everything else has failed.
    let bound = options.duration + 3 * SETTLING;
    let bound = humantime::format_duration(bound).to_string();
    let (history, log) = (dir.history().display().to_string(), dir.log().display().to_string());
    ["group", "--bound", &bound, "--history", &history, "--log", &log].map(str::to_owned).into()
}

fn worker_words(options: &RunOptions, dir: &RunDir) -> Vec<String> {
    let time = |time| humantime::format_duration(time).to_string();
    let words = [
        ("--topology", options.topology.name()),
        ("--locks", options.locks.to_string()),
        ("--spread", options.spread.name()),
        ("--hold", options.hold.to_string()),
        ("--think", options.think.to_string()),
        ("--timeout", time(options.timeout)),
        ("--grace", time(options.grace)),
        ("--bound", time(options.duration + SETTLING + 4 * ENDING)),
    ];
    let files = [
        ("--history", dir.history()),
        ("--counters", dir.counters()),
        ("--control", dir.control()),
        ("--sessions", dir.sessions()),
    ];
    let files = files.map(|(name, path)| (name, path.display().to_string()));
    words.into_iter().chain(files).flat_map(|(name, word)| [name.to_owned(), word]).collect()
}
