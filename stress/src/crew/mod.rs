//! The crew of a run: who is where, in which state, and what is done to whom.
//!
//! The deeds themselves are the group processes' ([`crate::groups`]), each in the order in which it is told. What is done to
//! a whole group is in [`upheaval`]. Nothing here waits: [`Crew::tick`] goes on with whatever is under way.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::clock::monotonic_us;
use crate::fault::Fault;
use crate::groups::Said;
use crate::groups::land::{Begin, Land, SETTLING};
use crate::groups::protocol::{Answer, By, Command, Exited, Start};
use crate::history::{Event, Journal, Record};
use crate::options::RunOptions;
use crate::peers::Implementation;
use crate::run_dir::{Ask, Control, RunDir};
use crate::worker::ENDING;

mod drift;
mod place;
mod upheaval;

pub(crate) use drift::Drift;
use place::{Hunger, Place, State, places};
pub(crate) use upheaval::Blow;
use upheaval::{Camp, Condition};

/// The crew of one run.
pub(crate) struct Crew<'a> {
    options: &'a RunOptions,
    seed: u64,
    journal: Journal,
    control: Control,
    land: Land,
    camps: Vec<Camp>,
    places: Vec<Place>,
    next_incarnation: u32,
    dismissed: bool,
    drift: Drift,
    turnover: Turnover,
}

/// How often groups came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Turnover {
    /// Groups started, also again.
    pub(crate) started: u64,
    /// Killed from outside.
    pub(crate) killed: u64,
    /// Restarted by the engine.
    pub(crate) restarted: u64,
    /// Made to stand still: frozen, or paused by the engine.
    pub(crate) paused: u64,
}

/// Somebody who has ended without having been killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Worker(Exited),
    Group(u16),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(Exited { worker, code, .. }) if *code < 0 => {
                write!(f, "worker {worker} ended on its own, by signal {}; see workers.log", -code)
            }
            Self::Worker(Exited { worker, code, .. }) => {
                write!(f, "worker {worker} ended on its own, with exit code {code}; see workers.log")
            }
            Self::Group(group) => write!(f, "group {group} ended on its own; see workers.log"),
        }
    }
}

impl<'a> Crew<'a> {
    /// Starts the groups, which then get their workers.
    pub(crate) fn start(options: &'a RunOptions, seed: u64, dir: &RunDir, land: Land) -> anyhow::Result<Self> {
        let groups = land.groups();
        let camps = (0..groups).map(|group| {
            let (started, alive) = (land.start(group, Begin::First)?, land.alive(group)?);
            Ok(Camp::new(started, alive))
        });
        Ok(Self {
            options,
            seed,
            journal: Journal::open(&dir.history())?,
            control: Control::open(&dir.control())?,
            camps: camps.collect::<anyhow::Result<_>>()?,
            places: places(options.workers, options.older_peers, groups, options.topology.is_threaded()),
            land,
            next_incarnation: 1,
            dismissed: false,
            drift: Drift::default(),
            turnover: Turnover::default(),
        })
    }

    /// Whether every place is taken.
    pub(crate) fn is_complete(&self) -> bool {
        self.places.iter().all(|place| place.state != State::Vacant)
    }

    pub(crate) fn grace(&self) -> Duration {
        self.options.grace
    }

    /// What has happened to the groups, and whether the workers grew.
    pub(crate) fn account(mut self) -> (Turnover, Drift) {
        self.drift.finish();
        (self.turnover, self.drift.clone())
    }

    fn hire(&mut self, at: usize, pid: Option<i32>) -> anyhow::Result<()> {
        let place = &mut self.places[at];
        place.workers().try_for_each(|worker| self.control.ask(worker, Ask::Begin))?;
        place.incarnation = self.next_incarnation;
        self.next_incarnation += u32::from(place.count);
        place.state = State::Running;
        place.starving = None;
        let lock = Implementation::of(self.options, place.first).name();
        let start = Start {
            worker: place.first,
            incarnation: place.incarnation,
            count: place.count,
            seed: self.seed.wrapping_add(place.incarnation.into()),
            lock,
            pid,
        };
        self.tell(at, &Command::Start(start))
    }

    fn tell(&mut self, at: usize, command: &Command) -> anyhow::Result<()> {
        self.camps[usize::from(self.places[at].group)].group.tell(command)
    }

    /// The workers that this fault can be done to.
    pub(crate) fn eligible(&self, fault: Fault) -> Vec<u16> {
        let by_its_lock = matches!(fault, Fault::Fork | Fault::Exec | Fault::NoDescriptors);
        // A worker is asked for one thing at a time, and needs descriptors to begin, also as another program.
        let by_asking =
            matches!(fault, Fault::KillInside | Fault::PidReuse | Fault::Fork | Fault::Exec | Fault::NoDescriptors);
        let asks_nothing = |worker| matches!(self.control.asked(worker), Ok(None));
        let fits = |place: &&Place| {
            place.state.allows(fault)
                && place.starving.is_none()
                && self.camps[usize::from(place.group)].condition == Condition::Running
                && !(by_its_lock && place.first >= self.options.workers)
        };
        let workers = self.places.iter().filter(fits).flat_map(Place::workers);
        workers.filter(|&worker| !by_asking || asks_nothing(worker)).collect()
    }

    /// Does this to a worker, and so to all that share its process.
    pub(crate) fn inflict(&mut self, fault: Fault, worker: u16, lasting: Duration) -> anyhow::Result<()> {
        let at = self.place_of(worker).context("there is no such worker")?;
        let first = self.places[at].first;
        let us = u64::try_from(lasting.as_micros()).unwrap_or(u64::MAX);
        match fault {
            Fault::KillInside | Fault::PidReuse => {
                self.places[at].state = State::Marked(fault);
                Ok(self.control.ask(worker, Ask::Wait)?)
            }
            Fault::Kill => self.kill(at, fault),
            Fault::Stop | Fault::LongStop => {
                self.places[at].state = State::Stopped(Instant::now() + lasting);
                self.tell(at, &Command::Stop(first, fault, us))
            }
            Fault::NoDescriptors => {
                self.places[at].starving = Some(Hunger::Until(Instant::now() + lasting));
                self.tell(at, &Command::Starve(first, us))
            }
            Fault::Fork => Ok(self.control.ask(worker, Ask::Fork)?),
            Fault::Exec => Ok(self.control.ask(worker, Ask::Exec)?),
            _ => bail!("{} is nothing that is done to a worker", fault.name()),
        }
    }

    fn place_of(&self, worker: u16) -> Option<usize> {
        self.places.iter().position(|place| place.workers().contains(&worker))
    }

    /// The history says that this worker waits for its kill: kill it, if it is still the one that was marked.
    pub(crate) fn caught(&mut self, worker: u16, incarnation: u32) {
        let Some(at) = self.place_of(worker) else { return };
        let place = &mut self.places[at];
        if let State::Marked(fault) = place.state
            && place.is(worker, incarnation)
        {
            place.state = State::Caught(fault);
        }
    }

    fn kill(&mut self, at: usize, fault: Fault) -> anyhow::Result<()> {
        self.places[at].state = State::Killed(fault);
        let first = self.places[at].first;
        self.tell(at, &Command::Kill(first, fault))
    }

    /// Hears what the groups say and goes on with what is under way. Who was killed is replaced; who was not is told of.
    pub(crate) fn tick(&mut self, now: Instant) -> anyhow::Result<Option<Ended>> {
        let mut ended = None;
        for group in 0..self.land.groups() {
            while let Some(said) = self.camps[usize::from(group)].group.heard() {
                ended = self.hear(group, said)?.or(ended);
            }
            self.go_on(group, now)?;
        }
        for at in 0..self.places.len() {
            if self.camps[usize::from(self.places[at].group)].condition == Condition::Running {
                self.resume(at, now)?;
            }
        }
        self.pass_on_dismissal()?;
        Ok(ended)
    }

    fn hear(&mut self, group: u16, said: Said) -> anyhow::Result<Option<Ended>> {
        let camp = &mut self.camps[usize::from(group)];
        match said {
            Said::Answer(Answer::Entered(pid)) => {
                camp.group.remember_first(pid)?;
                camp.group.tell(&Command::Hello)?;
            }
            Said::Answer(Answer::Hello) => self.settle(group)?,
            Said::Answer(Answer::Hush) => self.hushed(group)?,
            Said::Answer(Answer::Started(..)) => {}
            Said::Answer(Answer::Exited(exited)) => return self.exited(exited),
            Said::Answer(Answer::Usage(usage)) => self.drift.observe(usage),
            Said::Answer(Answer::Fed(worker)) => {
                let at = self.place_of(worker).context("a worker that there is not was fed")?;
                self.places[at].starving = None;
            }
            Said::Answer(Answer::Failed(why)) => bail!("group {group} failed: {why}"),
            Said::Garbage(line) => bail!("group {group} says {line:?}"),
            Said::End => {
                camp.silent = true;
                let expected = matches!(camp.condition, Condition::Dying { .. } | Condition::Ended);
                if !expected {
                    camp.condition = Condition::Ended;
                    self.members_of(group).into_iter().for_each(|at| self.places[at].state = State::Gone);
                    return Ok(Some(Ended::Group(group)));
                }
            }
        }
        Ok(None)
    }

    fn exited(&mut self, exited: Exited) -> anyhow::Result<Option<Ended>> {
        let at = self.place_of(exited.worker).context("a worker that there is not has ended")?;
        let place = &mut self.places[at];
        let state = std::mem::replace(&mut place.state, State::Gone);
        place.starving = None;
        self.drift.end(place.incarnation);
        match (exited.by, state) {
            (By::Kill, _) if self.dismissed => Ok(None),
            (By::Kill, State::Killed(Fault::PidReuse)) => self.hire(at, Some(exited.pid)).map(|()| None),
            (By::Kill, _) => self.hire(at, None).map(|()| None),
            (By::Itself, _) => Ok(Some(Ended::Worker(exited)).filter(|_| !self.dismissed)),
        }
    }

    /// Ends what is over for one process, and kills it if it waits for that.
    fn resume(&mut self, at: usize, now: Instant) -> anyhow::Result<()> {
        let Place { first, state, starving, .. } = self.places[at];
        if matches!(starving, Some(Hunger::Until(until)) if until <= now) {
            self.places[at].starving = Some(Hunger::Ending);
            self.tell(at, &Command::Feed(first))?;
        }
        match state {
            State::Stopped(until) if until <= now => {
                self.places[at].state = State::Running;
                self.tell(at, &Command::Continue(first))
            }
            State::Caught(fault) => self.kill(at, fault),
            _ => Ok(()),
        }
    }

    /// Tells all to end: no more stops, no more kills, no more input.
    pub(crate) fn dismiss(&mut self) -> anyhow::Result<()> {
        self.dismissed = true;
        let now = Instant::now();
        for place in &mut self.places {
            place.workers().try_for_each(|worker| self.control.clear(worker))?;
            if let Some(Hunger::Until(until)) = &mut place.starving {
                *until = now;
            }
            place.state = match place.state {
                State::Stopped(_) => State::Stopped(now),
                State::Marked(_) | State::Caught(_) => State::Running,
                State::Vacant => State::Gone,
                other => other,
            };
        }
        self.tick(now).map(drop)
    }

    /// Kills all that are left, where that can be done. How many those were.
    pub(crate) fn kill_all(&mut self) -> anyhow::Result<usize> {
        let alive = |at: &usize| self.places[*at].state.is_alive();
        let left: Vec<usize> = (0..self.places.len()).filter(alive).collect();
        for &at in &left {
            self.kill(at, Fault::Kill)?;
        }
        Ok(left.len())
    }

    /// Whether somebody is left, or something under way.
    pub(crate) fn is_busy(&self) -> bool {
        let at_rest =
            |camp: &Camp| matches!(camp.condition, Condition::Starting(_) | Condition::Running | Condition::Ended);
        self.places.iter().any(|place| place.state != State::Gone) || !self.camps.iter().all(at_rest)
    }

    /// Ends the groups, whose workers are gone.
    pub(crate) fn close(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        self.camps.iter_mut().for_each(|camp| camp.group.close());
        for camp in &mut self.camps {
            while !camp.group.is_gone()? {
                if began.elapsed() > SETTLING {
                    bail!("a group does not end");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.land.close();
        Ok(())
    }

    /// One record for each worker of the place.
    fn note(&self, event: Event, fault: Option<Fault>, at: usize, detail: i32) -> anyhow::Result<()> {
        let place = &self.places[at];
        for (worker, incarnation) in place.workers().zip(place.incarnation..) {
            let record = Record { event, fault, worker, incarnation, lock: 0, token: 0, at_us: monotonic_us(), detail };
            self.journal.append(&record).context("cannot append to the history")?;
        }
        Ok(())
    }
}

/// How long the crew may need to end after it was dismissed, before it is killed.
pub(crate) const DISMISSAL: Duration = Duration::from_secs(2 * ENDING.as_secs());
