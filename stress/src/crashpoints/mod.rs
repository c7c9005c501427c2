//! `stress crashpoints`: every system call of a lock is a point at which its process can die or be refused. All of them are
//! walked, one victim for each: killed before the call, killed after it, and the call failed with each errno on a written
//! list.
//!
//! | Part | What it is |
//! |---|---|
//! | `scenario`, `setting` | what a victim is in the middle of, and how it is started |
//! | `victim` | the traced process |
//! | `tracer`, `registers` | ptrace: counts calls, and kills at one or makes it fail |
//! | `call`, `syscalls` | a call as people read it; the table of names, and the written list of errnos |
//! | `judge`, `holder`, `litter` | one victim's life and the rules; who is in its way; what was left |
//! | `walk`, `report` | all points of a scenario; the table and the verdict |
//!
//! Not here: chance. What a run of `stress run` finds by luck is found here by counting, and what needs two faults at once
//! is left to it.

use std::io::Write;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::outlet::Outlet;
use crate::peers::Implementation;
use crate::verdict::Verdict;

mod call;
mod holder;
mod judge;
mod litter;
mod registers;
mod report;
mod scenario;
mod setting;
mod syscalls;
mod tracer;
mod victim;
mod walk;

use scenario::Scenario;
use setting::Setting;
pub(crate) use victim::{VictimOptions, die};

/// The options of `stress crashpoints`.
#[derive(Debug, Args)]
pub(crate) struct CrashpointsOptions {
    /// Walk only this scenario; can be repeated [default: all]
    #[arg(long, value_enum, value_name = "NAME")]
    scenario: Vec<Scenario>,

    /// Only this point of the one scenario, with all that its victim does
    #[arg(long, value_name = "N", requires = "scenario")]
    point: Option<usize>,

    /// Print the points, and walk none
    #[arg(long)]
    list: bool,

    /// Victims at a time
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,

    /// The grace for older peers' claims
    #[arg(long, default_value = "20ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    grace: Duration,

    /// How long the next acquire may take beyond the grace, before that is a violation
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    within: Duration,

    /// The lock to use
    #[arg(long, value_enum, default_value_t = Implementation::SessionLock, value_name = "NAME")]
    lock: Implementation,
}

impl CrashpointsOptions {
    /// Those that are asked for, or all that the lock can play.
    fn scenarios(&self) -> anyhow::Result<Vec<Scenario>> {
        let plays = |scenario: &Scenario| !scenario.hands_on() || self.lock == Implementation::SessionLock;
        if self.scenario.is_empty() {
            return Ok(Scenario::value_variants().iter().copied().filter(plays).collect());
        }
        if let Some(scenario) = self.scenario.iter().find(|scenario| !plays(scenario)) {
            anyhow::bail!("only session-lock plays {}: say another --scenario, or none", scenario.name());
        }
        Ok(self.scenario.clone())
    }
}

/// Walks what is asked for, and prints it.
pub(crate) fn crashpoints(options: &CrashpointsOptions, interrupted: &AtomicBool) -> anyhow::Result<Verdict> {
    tracer::is_possible().map_err(|why| anyhow::anyhow!("victims cannot be traced here: {why}"))?;
    let parent = tempfile::Builder::new().prefix("session-lock-crashpoints-").tempdir()?;
    let setting = Setting {
        lock: options.lock,
        grace: options.grace,
        within: options.grace + options.within,
        parent: parent.path().to_owned(),
        spawning: RwLock::default(),
    };
    let scenarios = options.scenarios()?;
    let scenarios = scenarios.as_slice();
    match options.point {
        Some(nth) => {
            let [scenario] = scenarios else { anyhow::bail!("a point is one of one scenario: say which") };
            replay(&setting, *scenario, nth)
        }
        None if options.list => {
            for scenario in scenarios {
                report::list(&mut Outlet::open(), &walk::record(&setting, *scenario)?)?;
            }
            Ok(Verdict::Valid)
        }
        None => walk_all(&setting, scenarios, options.jobs.into(), interrupted),
    }
}

fn walk_all(
    setting: &Setting,
    scenarios: &[Scenario],
    jobs: usize,
    interrupted: &AtomicBool,
) -> anyhow::Result<Verdict> {
    let mut out = Outlet::open();
    report::head(&mut out)?;
    let (mut points, mut missed, mut found) = (0, Vec::new(), Vec::new());
    let (mut unlisted, mut by_chance) = (Vec::new(), Vec::new());
    for &scenario in scenarios {
        if interrupted.load(Ordering::Relaxed) {
            break;
        }
        let recorded = walk::record(setting, scenario)?;
        let tally = walk::walk(setting, &recorded, jobs, interrupted)?;
        report::row(&mut out, &recorded, &tally)?;
        points += tally.walked();
        missed.extend(tally.not_reached.into_iter().map(|missed| (scenario, missed)));
        found.extend(tally.violations.into_iter().map(|violation| (scenario, violation)));
        by_chance.push((scenario, recorded.by_chance));
        unlisted.extend(report::unlisted(&recorded.calls).into_iter().map(str::to_owned));
    }
    writeln!(out, "\n{}", report::LEGEND)?;
    for (scenario, (nth, point)) in &missed {
        writeln!(out, "missed: {} point {nth}, {point}", scenario.name())?;
    }
    for (scenario, places) in by_chance.iter().filter(|(_, places)| !places.is_empty()) {
        let name = scenario.name();
        writeln!(out, "not walked: {name}: {} calls that only some runs make; --list names them", places.len())?;
    }
    for (scenario, violation) in &found {
        report::violation(&mut out, setting, *scenario, violation)?;
    }
    let unlisted: Vec<&str> = unlisted.iter().map(String::as_str).collect();
    let (mut verdict, mut doubts) = report::verdict(points, found.len(), missed.len(), &unlisted);
    if interrupted.load(Ordering::Relaxed) {
        doubts.push("interrupted".to_owned());
        if verdict == Verdict::Valid {
            verdict = Verdict::Inconclusive;
        }
    }
    for doubt in &doubts {
        writeln!(out, "doubt: {doubt}")?;
    }
    writeln!(out, "{}: {points} points, {} missed, {} violations", verdict.name(), missed.len(), found.len())?;
    Ok(verdict)
}

/// One point, and all that its victim does.
fn replay(setting: &Setting, scenario: Scenario, nth: usize) -> anyhow::Result<Verdict> {
    let recorded = walk::record(setting, scenario)?;
    let all = recorded.points.len();
    let point = nth.checked_sub(1).and_then(|nth| recorded.points.get(nth));
    let Some(point) = point else { anyhow::bail!("{} has points 1 to {all}", scenario.name()) };
    let mut out = Outlet::open();
    writeln!(out, "{} point {nth} of {all}, {point}", scenario.name())?;
    let judged = walk::at_point(setting, scenario, point)?;
    report::story(&mut out, &judged.calls)?;
    for wrong in &judged.wrong {
        writeln!(out, "VIOLATION: {wrong}")?;
    }
    let missed = usize::from(!judged.reached);
    let (verdict, _) = report::verdict(1, judged.wrong.len(), missed, &[]);
    let recovery = judged.recovery.map(|time| format!("; recovered after {:.1} ms", time.as_secs_f64() * 1e3));
    writeln!(out, "{}: {}{}", verdict.name(), judged.ending, recovery.unwrap_or_default())?;
    Ok(verdict)
}
