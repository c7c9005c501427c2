//! One run: the workers work, the nemesis strikes, the oracle reads along.

use std::fs::{File, OpenOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::uptime;
use crate::crew::{Blow, Crew, DISMISSAL, Drift, Turnover};
use crate::figures::Figures;
use crate::groups::janitor::{Duty, Janitor};
use crate::groups::land::{Land, SETTLING};
use crate::history::{Calm, Event, Retention, Tail};
use crate::nemesis::{Nemesis, Scope};
use crate::options::RunOptions;
use crate::oracle::{Findings, Oracle};
use crate::progress::Progress;
use crate::run_dir::{Counters, RunDir};
use crate::sabotage::{self, Saboteur};

/// How often the supervisor looks: a caught worker keeps the lock that long.
const TICK: Duration = Duration::from_micros(500);

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    Time,
    /// Or earlier, as soon as a violation is found.
    Violation,
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) findings: Findings,
    pub(crate) figures: Figures,
    /// From the start until the workers were told to end.
    pub(crate) elapsed: Duration,
    /// How often groups came and went.
    pub(crate) turnover: Turnover,
    /// Whether workers grew while they lived.
    pub(crate) drift: Drift,
    /// What went wrong besides.
    pub(crate) remarks: Vec<String>,
}

/// Runs the workers, with faults, and judges what they did.
pub(crate) fn supervise(
    options: &RunOptions,
    seed: u64,
    dir: &RunDir,
    until: Until,
    interrupted: &Arc<AtomicBool>,
    mut progress: Progress,
) -> anyhow::Result<Outcome> {
    let mut judge = Judge::open(options, dir)?;
    let log: File = OpenOptions::new().append(true).open(dir.log())?;
    let mut janitor = Janitor::hire(log, dir.lock()?)?;
    let mut saboteur = prepare_sabotage(options, seed, dir, &mut janitor)?;
    let mut remarks = Vec::new();
    let mut elapsed = Duration::ZERO;
    let (mut turnover, mut drift) = <(Turnover, Drift)>::default();
    let run = format!("{}-{:06x}", std::process::id(), fastrand::u32(..1 << 24));
    let land = Land::prepare(options, &run, dir, &mut janitor, interrupted)?;
    let is_settled = land.is_some();
    let ran = land.map_or(Ok(()), |land| -> anyhow::Result<()> {
        let mut crew = Crew::start(options, seed, dir, land)?;
        muster(&mut crew, interrupted, &mut remarks)?;
        let mut nemesis = Nemesis::new(seed, &options.rates());
        let started = Instant::now();
        while started.elapsed() < options.duration && remarks.is_empty() && !interrupted.load(Ordering::Relaxed) {
            judge.read_along(&mut crew)?;
            strike(&mut nemesis, &mut crew, &mut saboteur, started.elapsed(), options.locks)?;
            saboteur.relieve(Instant::now())?;
            remarks.extend(crew.tick(Instant::now())?.map(|ended| ended.to_string()));
            if until == Until::Violation && judge.oracle.findings().violations > 0 {
                break;
            }
            progress.show(started.elapsed(), judge.oracle.findings(), &judge.figures);
            thread::sleep(TICK);
        }
        elapsed = started.elapsed();
        saboteur.relieve_all()?;
        dismiss(&mut crew, &mut judge, &mut remarks)?;
        (turnover, drift) = crew.account();
        Ok(())
    });
    if let Err(error) = ran {
        // What was found before that outweighs it.
        while judge.read()? {}
        if judge.oracle.findings().violations == 0 {
            return Err(error);
        }
        remarks.push(format!("the tool itself failed: {error:#}"));
    }
    if interrupted.load(Ordering::Relaxed) {
        remarks.push("interrupted".into());
    }
    progress.finish();
    drop(saboteur);
    let (findings, figures) = judge.conclude(options, dir)?;
    let cleaned = if is_settled { janitor.finish() } else { janitor.give_up() };
    if let Err(error) = cleaned {
        remarks.push(format!("{error:#}"));
    }
    Ok(Outcome { findings, figures, elapsed, turnover, drift, remarks })
}

/// What sabotage changes outlives the supervisor, so the janitor hears of it first.
fn prepare_sabotage(options: &RunOptions, seed: u64, dir: &RunDir, janitor: &mut Janitor) -> anyhow::Result<Saboteur> {
    for path in sabotage::mounts(options, dir).into_iter().rev() {
        janitor.tell(&Duty::Mount(path))?;
    }
    let saboteur = Saboteur::prepare(options, dir, seed)?;
    if let Some(truth_ns) = saboteur.clock_truth_ns() {
        janitor.tell(&Duty::Clock(truth_ns))?;
    }
    Ok(saboteur)
}

/// Waits until all workers are there: a container takes half a second.
fn muster(crew: &mut Crew<'_>, interrupted: &AtomicBool, remarks: &mut Vec<String>) -> anyhow::Result<()> {
    let began = Instant::now();
    while !crew.is_complete() && remarks.is_empty() && !interrupted.load(Ordering::Relaxed) {
        remarks.extend(crew.tick(Instant::now())?.map(|ended| ended.to_string()));
        anyhow::ensure!(began.elapsed() < 2 * SETTLING, "the workers do not come up");
        thread::sleep(TICK);
    }
    Ok(())
}

fn strike(
    nemesis: &mut Nemesis,
    crew: &mut Crew<'_>,
    saboteur: &mut Saboteur,
    elapsed: Duration,
    locks: u16,
) -> anyhow::Result<()> {
    for fault in nemesis.all_due(elapsed) {
        match Scope::of(fault) {
            Scope::Worker => match nemesis.choose(&crew.eligible(fault)) {
                Some(worker) => crew.inflict(fault, worker, nemesis.lasting(fault, crew.grace()))?,
                None => nemesis.owe(fault),
            },
            Scope::Group => match nemesis.choose(&crew.eligible_groups(fault)) {
                Some(group) => {
                    let lasting = nemesis.lasting(fault, crew.grace());
                    crew.strike(group, Blow { fault, lasting, ahead_s: nemesis.ahead_s(uptime()) })?;
                }
                None => nemesis.owe(fault),
            },
            Scope::Ground => saboteur.strike(fault, nemesis.lock(locks), nemesis.lasting(fault, crew.grace()))?,
        }
    }
    Ok(())
}

fn dismiss(crew: &mut Crew<'_>, judge: &mut Judge, remarks: &mut Vec<String>) -> anyhow::Result<()> {
    crew.dismiss()?;
    let dismissed = Instant::now();
    let mut killed = false;
    while crew.is_busy() {
        judge.read_along(crew)?;
        crew.tick(Instant::now())?;
        if !killed && dismissed.elapsed() > DISMISSAL {
            killed = true;
            remarks.push(format!("{} workers did not end when they were told to and were killed", crew.kill_all()?));
        }
        if dismissed.elapsed() > 2 * DISMISSAL + SETTLING {
            anyhow::bail!("workers cannot be killed");
        }
        thread::sleep(TICK);
    }
    crew.close()
}

/// Reads the history while it is written.
struct Judge {
    tail: Tail,
    retention: Retention,
    oracle: Oracle,
    figures: Figures,
    /// Who waits for its kill.
    caught: Vec<(u16, u32)>,
}

impl Judge {
    fn open(options: &RunOptions, dir: &RunDir) -> anyhow::Result<Self> {
        Ok(Self {
            tail: Tail::open(&dir.history())?,
            retention: Retention::open(&dir.history(), options.keep_history)?,
            oracle: Oracle::new(options.setup()),
            figures: Figures::new(options.crew()),
            caught: Vec::new(),
        })
    }

    /// Reads what is new, and has those killed that wait for it.
    fn read_along(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        self.read()?;
        for (worker, incarnation) in self.caught.drain(..) {
            crew.caught(worker, incarnation);
        }
        Ok(())
    }

    fn read(&mut self) -> anyhow::Result<bool> {
        let Self { tail, retention, oracle, figures, caught } = self;
        let any = tail.read(|record| {
            let succession = oracle.observe(record);
            if let Ok(record) = record {
                figures.observe(&record, succession, oracle.findings());
                if record.event == Event::Caught {
                    caught.push((record.worker, record.incarnation));
                }
            }
        })?;
        let calm = if oracle.findings().violations == 0 { Calm::Undisturbed } else { Calm::Violated };
        retention.follow(tail.offset(), calm);
        Ok(any)
    }

    /// Reads the rest, now that nobody writes any more, and hands over what was found.
    fn conclude(mut self, options: &RunOptions, dir: &RunDir) -> anyhow::Result<(Findings, Figures)> {
        while self.read()? {}
        if self.tail.is_torn()? {
            self.oracle.observe(Err(crate::history::Undecodable));
        }
        let counters = Counters::open(&dir.counters())?;
        let counters = (0..options.locks).map(|lock| counters.read(lock)).collect::<Result<Vec<_>, _>>()?;
        Ok((self.oracle.finish(&counters), self.figures))
    }
}
