//! What is done to a group as a whole, step by step.
//!
//! | Condition | Until | Then |
//! |---|---|---|
//! | starting | it says hello | its workers are started: *running* |
//! | running | a blow is asked for | it is told to hush: *hushing* |
//! | hushing | it answers: who is alive is known, and does not change by its doing | a *stop* for each worker, and it is halted: *halting*; or a *kill* for each, and it is killed: *dying* |
//! | halting | the engine has paused it | *standing* |
//! | standing | its time is over | a *continue* for each worker, and it goes on: *rising* |
//! | rising | the engine has let it go on | *running* |
//! | dying | it is gone, all it said is heard, and the kernel says that none of its workers is left | an *exit* for each; it is started again: *starting* |
//!
//! A worker that was stopped when its group was halted has its own *stop* already, and its own *continue* to come.

use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::place::{Place, State};
use super::{Crew, Turnover};
use crate::fault::Fault;
use crate::groups::Group;
use crate::groups::errand::Errand;
use crate::groups::land::{Begin, SETTLING};
use crate::groups::protocol::Command;
use crate::history::Event;

/// A group with what it is in the midst of.
pub(super) struct Camp {
    pub(super) group: Group,
    pub(super) condition: Condition,
    /// What the engine is doing.
    errand: Option<Errand>,
    /// The group and its workers keep it locked (shared) while one of them lives.
    alive: File,
    /// All that it will say has been heard.
    pub(super) silent: bool,
    /// It has been told that the run is over.
    dismissed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Starting(Instant),
    Running,
    Hushing(Blow),
    /// For so long, once it stands.
    Halting(Vec<usize>, Duration),
    Standing(Vec<usize>, Instant),
    Rising,
    Dying {
        begin: Begin,
        since: Instant,
    },
    Ended,
}

/// What is done to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blow {
    pub(crate) fault: Fault,
    /// For how long, if it is not over at once.
    pub(crate) lasting: Duration,
    /// How far ahead its clocks will be, of a time namespace.
    pub(crate) ahead_s: i64,
}

impl Camp {
    pub(super) fn new(group: Group, alive: File) -> Self {
        let condition = Condition::Starting(Instant::now());
        Self { group, condition, errand: None, alive, silent: false, dismissed: false }
    }

    /// Whether the engine has done what it was asked for.
    fn is_served(&mut self) -> anyhow::Result<bool> {
        let done = match &mut self.errand {
            Some(errand) => errand.is_done()?,
            None => true,
        };
        if done {
            self.errand = None;
        }
        Ok(done)
    }

    /// Whether the kernel says that none of it is left.
    fn is_deserted(&self) -> anyhow::Result<bool> {
        match self.alive.try_lock() {
            Ok(()) => Ok(self.alive.unlock().map(|()| true)?),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Crew<'_> {
    /// The groups that this can be done to.
    pub(crate) fn eligible_groups(&self, fault: Fault) -> Vec<u16> {
        let standing = matches!(fault, Fault::Freeze | Fault::Pause);
        let fits = |group: &u16| {
            let somebody = |place: &Place| place.group == *group && place.state == State::Running;
            self.camps[usize::from(*group)].condition == Condition::Running
                && (!standing || self.places.iter().any(somebody))
        };
        (0..self.land.groups()).filter(fits).collect()
    }

    /// Does this to a group, as soon as it is known who is alive there.
    pub(crate) fn strike(&mut self, group: u16, blow: Blow) -> anyhow::Result<()> {
        let camp = &mut self.camps[usize::from(group)];
        camp.condition = Condition::Hushing(blow);
        camp.group.tell(&Command::Hush)
    }

    pub(super) fn members_of(&self, group: u16) -> Vec<usize> {
        (0..self.places.len()).filter(|&at| self.places[at].group == group).collect()
    }

    /// A group is there: its workers follow.
    pub(super) fn settle(&mut self, group: u16) -> anyhow::Result<()> {
        self.camps[usize::from(group)].condition = Condition::Running;
        self.turnover.started += 1;
        for at in self.members_of(group) {
            if self.dismissed {
                self.places[at].state = State::Gone;
            } else {
                self.hire(at, None)?;
            }
        }
        Ok(())
    }

    /// Everything that a group did before is known now, and it does nothing more.
    pub(super) fn hushed(&mut self, group: u16) -> anyhow::Result<()> {
        let Condition::Hushing(blow) = self.camps[usize::from(group)].condition else { return Ok(()) };
        if self.dismissed {
            return self.rise(group);
        }
        match blow.fault {
            Fault::Freeze | Fault::Pause => self.halt(group, blow),
            Fault::GroupKill | Fault::Restart | Fault::TimeNamespace => self.fell(group, blow),
            other => bail!("{} is nothing that is done to a group", other.name()),
        }
    }

    fn halt(&mut self, group: u16, blow: Blow) -> anyhow::Result<()> {
        let halted: Vec<usize> = (self.members_of(group).into_iter())
            .filter(|&at| matches!(self.places[at].state, State::Running | State::Marked(_) | State::Caught(_)))
            .collect();
        let us = i32::try_from(blow.lasting.as_micros()).unwrap_or(i32::MAX);
        for &at in &halted {
            self.note(Event::Stop, Some(blow.fault), at, us)?;
        }
        let camp = &mut self.camps[usize::from(group)];
        camp.errand = self.land.halt(group)?;
        camp.condition = Condition::Halting(halted, blow.lasting);
        self.turnover.paused += 1;
        Ok(())
    }

    fn fell(&mut self, group: u16, blow: Blow) -> anyhow::Result<()> {
        for at in self.members_of(group) {
            if self.places[at].state.is_alive() {
                self.note(Event::Kill, Some(blow.fault), at, 0)?;
                self.places[at].state = State::Killed(blow.fault);
            }
        }
        let camp = &mut self.camps[usize::from(group)];
        camp.errand = self.land.kill(group, &mut camp.group, blow.fault)?;
        let begin = match blow.fault {
            Fault::Restart => Begin::Restarted,
            Fault::TimeNamespace => Begin::Elsewhen(blow.ahead_s),
            _ => Begin::Again,
        };
        camp.condition = Condition::Dying { begin, since: Instant::now() };
        let Turnover { killed, restarted, .. } = &mut self.turnover;
        *if blow.fault == Fault::Restart { restarted } else { killed } += 1;
        Ok(())
    }

    /// Goes on with what is under way for one group.
    pub(super) fn go_on(&mut self, group: u16, now: Instant) -> anyhow::Result<()> {
        let camp = &mut self.camps[usize::from(group)];
        match camp.condition.clone() {
            Condition::Starting(since) if now.saturating_duration_since(since) > SETTLING => {
                bail!("group {group} does not come up; {}", self.land.remedy())
            }
            Condition::Halting(halted, lasting) if camp.is_served()? => {
                camp.condition = Condition::Standing(halted, now + lasting);
                Ok(())
            }
            Condition::Standing(halted, until) if until <= now || self.dismissed => {
                for at in halted {
                    self.note(Event::Continue, None, at, 0)?;
                }
                let camp = &mut self.camps[usize::from(group)];
                camp.errand = self.land.go_on(group)?;
                camp.condition = Condition::Rising;
                Ok(())
            }
            Condition::Rising if camp.is_served()? => self.rise(group),
            Condition::Dying { since, .. } if now.saturating_duration_since(since) > SETTLING => {
                bail!("group {group} was killed and does not end")
            }
            Condition::Dying { begin, .. }
                if camp.is_served()? && camp.silent && camp.group.is_gone()? && camp.is_deserted()? =>
            {
                self.raise(group, begin)
            }
            _ => Ok(()),
        }
    }

    fn rise(&mut self, group: u16) -> anyhow::Result<()> {
        let camp = &mut self.camps[usize::from(group)];
        camp.condition = Condition::Running;
        camp.group.tell(&Command::Go)
    }

    /// Nobody of it is left: writes that down, and starts it again.
    fn raise(&mut self, group: u16, begin: Begin) -> anyhow::Result<()> {
        for at in self.members_of(group) {
            if matches!(self.places[at].state, State::Killed(_)) {
                self.note(Event::Exit, None, at, -SIGKILL)?;
                self.drift.end(self.places[at].incarnation);
            }
            self.places[at].state = if self.dismissed { State::Gone } else { State::Vacant };
            self.places[at].starving = None;
        }
        let camp = &mut self.camps[usize::from(group)];
        if self.dismissed {
            camp.condition = Condition::Ended;
            return Ok(());
        }
        camp.group = self.land.start(group, begin)?;
        camp.silent = false;
        camp.condition = Condition::Starting(Instant::now());
        Ok(())
    }

    /// Tells those groups that can hear it that the run is over.
    pub(super) fn pass_on_dismissal(&mut self) -> anyhow::Result<()> {
        for camp in self.camps.iter_mut().filter(|camp| self.dismissed && !camp.dismissed) {
            if camp.condition == Condition::Running {
                camp.dismissed = true;
                camp.group.tell(&Command::Dismiss)?;
            }
        }
        Ok(())
    }
}

/// The number by which an *exit* says that its process died of the kill.
const SIGKILL: i32 = 9;
