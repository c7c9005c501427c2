//! From one recorded run of a scenario to all of its points, and one victim for each.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::call::{Call, Place, Role};
use super::judge::{Ending, Judged, judge};
use super::scenario::Scenario;
use super::setting::Setting;
use super::tracer::{Point, faults};

/// A thread of the lock's own looks again and again; from its third time on, what it says is no point of its own.
const TIMES: usize = 2;
/// How often a scenario is recorded.
const RECORDINGS: usize = 3;
/// How often a point is tried that was not there.
const TRIES: u32 = 6;

/// A scenario, and all that can go wrong within it.
pub(super) struct Recorded {
    pub(super) scenario: Scenario,
    pub(super) calls: Vec<Call>,
    pub(super) points: Vec<Point>,
    /// Calls that only some runs make.
    pub(super) by_chance: Vec<Place>,
    /// What was wrong without any fault.
    pub(super) wrong: Vec<String>,
}

/// Something that broke a rule.
#[derive(Debug)]
pub(super) struct Violation {
    /// From 1 on. `None`: without any fault.
    pub(super) point: Option<(usize, Point)>,
    pub(super) wrong: Vec<String>,
    pub(super) calls: Vec<Call>,
}

/// What the victims of a scenario came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) kills: usize,
    pub(super) errnos: usize,
    pub(super) held: usize,
    pub(super) failed: usize,
    pub(super) timed_out: usize,
    /// Victims after which something was left that the lock removes later.
    pub(super) left: usize,
    pub(super) longest: Duration,
    pub(super) not_reached: Vec<(usize, Point)>,
    pub(super) violations: Vec<Violation>,
}

/// Runs the scenario without a fault, some times, and lists its points. What only some runs do depends on how the threads
/// happen to run, and is no point.
pub(super) fn record(setting: &Setting, scenario: Scenario) -> anyhow::Result<Recorded> {
    let Judged { calls, mut wrong, ending, .. } = judge(setting, scenario, None)?;
    let expected = if scenario == Scenario::Lost { Ending::Failed } else { Ending::Held };
    if ending != expected {
        wrong.push(format!("without any fault it ended as {ending:?}"));
    }
    let mut always: HashSet<Place> = calls.iter().map(|call| call.place.clone()).collect();
    let mut seen = always.clone();
    for _ in 1..RECORDINGS {
        let again = judge(setting, scenario, None)?;
        wrong.extend(again.wrong);
        let places: HashSet<Place> = again.calls.into_iter().map(|call| call.place).collect();
        always.retain(|place| places.contains(place));
        seen.extend(places);
    }
    let is_new = |place: &Place| place.role == Role::MAIN || place.before < TIMES;
    let by_chance = seen.into_iter().filter(|place| is_new(place) && !always.contains(place)).collect();
    let mut points = Vec::new();
    for call in in_order(&calls).into_iter().filter(|call| is_new(&call.place) && always.contains(&call.place)) {
        points.extend(faults(call).into_iter().map(|fault| Point { place: call.place.clone(), fault }));
    }
    Ok(Recorded { scenario, calls, points, by_chance, wrong })
}

/// Main's first, then each thread's, so that the numbers of points change little from run to run.
fn in_order(calls: &[Call]) -> Vec<&Call> {
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by_key(|call| call.place.role);
    calls
}

/// One victim for each point of these, `jobs` at a time.
pub(super) fn walk(
    setting: &Setting,
    recorded: &Recorded,
    jobs: usize,
    interrupted: &AtomicBool,
) -> anyhow::Result<Tally> {
    let tally = Mutex::new(Tally::default());
    let next: Mutex<VecDeque<_>> = Mutex::new(recorded.points.iter().enumerate().collect());
    let work = || -> anyhow::Result<()> {
        while !interrupted.load(Ordering::Relaxed) {
            let Some((nth, point)) = lock(&next).pop_front() else { break };
            let judged = at_point(setting, recorded.scenario, point)?;
            lock(&tally).count(nth + 1, point, judged);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(worked) => worked,
            Err(_) => Err(anyhow::anyhow!("a judge has panicked")),
        })
    })?;
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.violations.sort_by_key(|violation| violation.point.as_ref().map(|(nth, _)| *nth));
    tally.not_reached.sort_by_key(|(nth, _)| *nth);
    if !recorded.wrong.is_empty() {
        let (wrong, calls) = (recorded.wrong.clone(), recorded.calls.clone());
        tally.violations.push(Violation { point: None, wrong, calls });
    }
    Ok(tally)
}

/// A victim that gets to the point, if one does.
pub(super) fn at_point(setting: &Setting, scenario: Scenario, point: &Point) -> anyhow::Result<Judged> {
    let mut judged = judge(setting, scenario, Some(point))?;
    for _ in 1..TRIES {
        if judged.reached || !judged.wrong.is_empty() {
            break;
        }
        judged = judge(setting, scenario, Some(point))?;
    }
    Ok(judged)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// The points that there was a victim for: all, unless the walk was interrupted.
    pub(super) fn walked(&self) -> usize {
        let violated = self.violations.iter().filter(|violation| violation.point.is_some()).count();
        self.kills + self.errnos + self.not_reached.len() + violated
    }

    fn count(&mut self, nth: usize, point: &Point, judged: Judged) {
        if !judged.wrong.is_empty() {
            let Judged { wrong, calls, .. } = judged;
            self.violations.push(Violation { point: Some((nth, point.clone())), wrong, calls });
            return;
        }
        if !judged.reached {
            self.not_reached.push((nth, point.clone()));
            return;
        }
        if point.fault.is_kill() {
            self.kills += 1;
        } else {
            self.errnos += 1;
        }
        match judged.ending {
            Ending::Killed => {}
            Ending::Held => self.held += 1,
            Ending::Failed => self.failed += 1,
            Ending::TimedOut => self.timed_out += 1,
        }
        self.left += usize::from(judged.left > 0);
        self.longest = self.longest.max(judged.recovery.unwrap_or_default());
    }
}
