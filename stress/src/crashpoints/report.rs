//! How people see a walk: the list of points, the table, and what broke a rule.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};

use super::call::Call;
use super::judge::Ending;
use super::scenario::Scenario;
use super::setting::Setting;
use super::syscalls::Failures;
use super::tracer::{Fault, Point};
use super::walk::{Recorded, Tally, Violation};
use crate::verdict::Verdict;

/// Of 100 points so many may be missed before a walk means nothing.
const MISSED_PERCENT: usize = 2;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillBefore => f.write_str("killed before"),
            Self::KillInside => f.write_str("killed within"),
            Self::KillAfter => f.write_str("killed after"),
            Self::Fail(errno) => write!(f, "failed with {errno:?}"),
            Self::FailDone(errno) => write!(f, "done, and failed with {errno:?}"),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "the victim was killed",
            Self::Held => "the victim held the lock and released it",
            Self::Failed => "the victim was told that its acquire or its release had failed",
            Self::TimedOut => "the victim's acquire timed out",
        })
    }
}

/// All points of a scenario, and what is never failed.
pub(super) fn list(out: &mut impl Write, recorded: &Recorded) -> io::Result<()> {
    let Recorded { scenario, calls, points, .. } = recorded;
    writeln!(out, "{}: {} system calls, {} points", scenario.name(), calls.len(), points.len())?;
    for (nth, point) in points.iter().enumerate() {
        writeln!(out, "  {:>4}  {point}", nth + 1)?;
    }
    for place in &recorded.by_chance {
        writeln!(out, "  only in some runs: {place}")?;
    }
    for (name, why) in never(calls) {
        writeln!(out, "  never failed: {name}: {why}")?;
    }
    Ok(())
}

fn never(calls: &[Call]) -> BTreeSet<(&str, &str)> {
    let never = |call: &Call| match call.failures {
        Some(Failures::Never(why)) => Some(why),
        _ => None,
    };
    calls.iter().filter_map(|call| Some((&*call.name, never(call)?))).collect()
}

/// The calls that the written list does not know.
pub(super) fn unlisted(calls: &[Call]) -> BTreeSet<&str> {
    calls.iter().filter(|call| call.failures.is_none()).map(|call| &*call.name).collect()
}

pub(super) fn head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<13} {:>5} {:>6} {:>6} {:>6} {:>5} {:>6} {:>8} {:>5} {:>6} {:>11} {:>10}",
        "scenario",
        "calls",
        "points",
        "kills",
        "errnos",
        "held",
        "failed",
        "timeouts",
        "later",
        "missed",
        "recovery",
        "violations"
    )
}

pub(super) fn row(out: &mut impl Write, recorded: &Recorded, tally: &Tally) -> io::Result<()> {
    writeln!(
        out,
        "{:<13} {:>5} {:>6} {:>6} {:>6} {:>5} {:>6} {:>8} {:>5} {:>6} {:>8.1} ms {:>10}",
        recorded.scenario.name(),
        recorded.calls.len(),
        recorded.points.len(),
        tally.kills,
        tally.errnos,
        tally.held,
        tally.failed,
        tally.timed_out,
        tally.left,
        tally.not_reached.len(),
        tally.longest.as_secs_f64() * 1e3,
        tally.violations.len()
    )
}

/// What the columns mean.
pub(super) const LEGEND: &str = "\
points: a kill before and after each system call, and a failure of it with each errno on the list
held, failed, timeouts: how the sections of the failed calls ended; whatever they said, the next acquires succeeded
later: victims after which a spare or an unfinished state directory was left by the next acquire, removed by the ninth
missed: points that no victim came to; recovery: the longest time from a kill to the next acquire's return";

/// One violation, with all that the victim did.
pub(super) fn violation(
    out: &mut impl Write,
    setting: &Setting,
    scenario: Scenario,
    found: &Violation,
) -> io::Result<()> {
    let name = scenario.name();
    match &found.point {
        None => writeln!(out, "\nVIOLATION in {name}, without any fault")?,
        Some((nth, point)) => writeln!(out, "\nVIOLATION in {name} at point {nth}, {point}")?,
    }
    if let Some((nth, _)) = &found.point {
        let lock = setting.lock.name();
        writeln!(out, "  again: stress crashpoints --lock {lock} --scenario {name} --point {nth}")?;
    }
    for wrong in &found.wrong {
        writeln!(out, "  {wrong}")?;
    }
    story(out, &found.calls)
}

/// The calls of a victim, in the order of their beginnings.
pub(super) fn story(out: &mut impl Write, calls: &[Call]) -> io::Result<()> {
    writeln!(out, "  what the victim did:")?;
    for call in calls {
        writeln!(out, "    {call}")?;
    }
    Ok(())
}

/// The verdict on a walk, and why it is not *valid* if it is not.
pub(super) fn verdict(points: usize, violations: usize, missed: usize, unlisted: &[&str]) -> (Verdict, Vec<String>) {
    let mut doubts = Vec::new();
    if missed * 100 > points * MISSED_PERCENT {
        doubts.push(format!("{missed} of {points} points were missed"));
    }
    if points == 0 {
        doubts.push("there was nothing to walk".into());
    }
    if !unlisted.is_empty() {
        doubts.push(format!("the list of errnos does not know {}", unlisted.join(", ")));
    }
    let verdict = match (violations, doubts.is_empty()) {
        (1.., _) => Verdict::Violation,
        (0, true) => Verdict::Valid,
        (0, false) => Verdict::Inconclusive,
    };
    (verdict, doubts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_walked_is_not_passed() {
        assert_eq!(verdict(100, 0, 2, &[]).0, Verdict::Valid);
        assert_eq!(verdict(100, 0, 3, &[]).0, Verdict::Inconclusive);
        assert_eq!(verdict(0, 0, 0, &[]).0, Verdict::Inconclusive);
        assert_eq!(verdict(100, 0, 0, &["bpf"]).0, Verdict::Inconclusive);
        assert_eq!(verdict(100, 1, 50, &["bpf"]).0, Verdict::Violation);
    }
}
