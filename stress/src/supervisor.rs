//! One run: the workers work, the nemesis strikes, the oracle reads along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::crew::{Crew, DISMISSAL, Replace};
use crate::figures::Figures;
use crate::history::{Event, Tail};
use crate::nemesis::Nemesis;
use crate::options::RunOptions;
use crate::oracle::{Findings, Oracle};
use crate::progress::Progress;
use crate::run_dir::{Counters, RunDir};

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
    let mut nemesis = Nemesis::new(seed, options.kill_rate, options.stop_rate);
    let mut crew = Crew::start(options, seed, dir)?;
    let mut remarks = Vec::new();
    let started = Instant::now();
    while started.elapsed() < options.duration {
        judge.read_along(&mut crew)?;
        strike(&mut nemesis, &mut crew, started.elapsed())?;
        crew.resume(Instant::now())?;
        if let Some(ended) = crew.reap(Replace::Killed)? {
            remarks.push(format!("worker {} ended on its own: {}; see workers.log", ended.worker, ended.status));
            break;
        }
        if until == Until::Violation && judge.oracle.findings().violations > 0 {
            break;
        }
        if interrupted.load(Ordering::Relaxed) {
            remarks.push("interrupted".into());
            break;
        }
        progress.show(started.elapsed(), judge.oracle.findings(), &judge.figures);
        thread::sleep(TICK);
    }
    let elapsed = started.elapsed();
    dismiss(&mut crew, &mut judge, &mut remarks)?;
    progress.finish();
    let (findings, figures) = judge.conclude(options, dir)?;
    Ok(Outcome { findings, figures, elapsed, remarks })
}

fn strike(nemesis: &mut Nemesis, crew: &mut Crew<'_>, elapsed: Duration) -> anyhow::Result<()> {
    while let Some(fault) = nemesis.due(elapsed) {
        if let Some(worker) = nemesis.choose(&crew.eligible(fault)) {
            crew.inflict(fault, worker)?;
        }
    }
    Ok(())
}

fn dismiss(crew: &mut Crew<'_>, judge: &mut Judge, remarks: &mut Vec<String>) -> anyhow::Result<()> {
    crew.dismiss()?;
    let dismissed = Instant::now();
    let mut killed = false;
    while crew.left().next().is_some() {
        judge.read_along(crew)?;
        crew.reap(Replace::Nobody)?;
        if !killed && dismissed.elapsed() > DISMISSAL {
            killed = true;
            remarks.push(format!("{} workers did not end when they were told to and were killed", crew.kill_all()?));
        }
        if dismissed.elapsed() > 2 * DISMISSAL {
            anyhow::bail!("workers cannot be killed");
        }
        thread::sleep(TICK);
    }
    Ok(())
}

/// Reads the history while it is written.
struct Judge {
    tail: Tail,
    oracle: Oracle,
    figures: Figures,
    caught: Vec<(u16, u32)>,
}

impl Judge {
    fn open(options: &RunOptions, dir: &RunDir) -> anyhow::Result<Self> {
        Ok(Self {
            tail: Tail::open(&dir.history())?,
            oracle: Oracle::new(options.locks, options.lock.tokens()),
            figures: Figures::new(options.workers),
            caught: Vec::new(),
        })
    }

    /// Reads what is new, and has those killed that wait for it.
    fn read_along(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        self.read()?;
        for (worker, incarnation) in self.caught.drain(..) {
            crew.caught(worker, incarnation)?;
        }
        Ok(())
    }

    fn read(&mut self) -> anyhow::Result<bool> {
        let Self { tail, oracle, figures, caught } = self;
        let any = tail.read(|record| {
            let succession = oracle.observe(record);
            if let Ok(record) = record {
                figures.observe(&record, succession);
                if record.event == Event::Caught {
                    caught.push((record.worker, record.incarnation));
                }
            }
        })?;
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
