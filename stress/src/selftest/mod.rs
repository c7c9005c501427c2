//! Does the tool catch what it is there to catch? Locks that are known to be broken have to be caught, and locks that are
//! not have to be left in peace, all by the same supervisor and the same oracle.
//!
//! Each control has the load under which its defect shows; the lock of this project then runs under the same load for at least
//! as long as the control needed, and so does the kernel's own lock under the first. Not here: what is broken in each
//! (`peers`).

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use crate::groups;
use crate::options::{RunOptions, time};
use crate::oracle::Violation;
use crate::outlet::Outlet;
use crate::peers::Implementation;
use crate::progress::Progress;
use crate::report::Results;
use crate::run_dir::RunDir;
use crate::supervisor::{Until, supervise};
use crate::verdict::Verdict;

mod control;
mod table;

use control::{CONTROLS, Control, DEADLY, Load};
use table::{Is, Row, Table};

/// The options of `stress selftest`.
#[derive(Debug, Args)]
pub(crate) struct SelftestOptions {
    /// How long each broken lock may go uncaught, such as 10s
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    pub(crate) bound: Duration,

    /// Goes on with the lock of this project until it has been killed so often: the table says how often it was blamed
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) kills: u64,

    /// Seed of all random choices: faults and pauses. Not of the kernel's scheduling [default: a random one]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

/// A control that was not caught by then begins anew: some defects show only among workers that started together.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Sound locks run for at least so long.
const SOUND_AT_LEAST: Duration = Duration::from_secs(2);
/// The last row's runs are no longer than this.
const DEADLY_RUN: Duration = Duration::from_secs(10);
/// It is given up after so many runs without enough kills.
const DEADLY_RUNS: u64 = 1_000;

/// Runs all controls and prints the table.
pub(crate) fn selftest(options: &SelftestOptions, seed: u64, interrupted: &Arc<AtomicBool>) -> anyhow::Result<Verdict> {
    let parent = tempfile::Builder::new().prefix("session-lock-selftest-").tempdir()?;
    let bench = Bench { parent: parent.path(), seed, bound: options.bound, interrupted };
    let verdict = bench.all(options.kills);
    if !matches!(verdict, Ok(Verdict::Valid)) {
        // Standard output may be what failed.
        writeln!(io::stderr(), "kept in {}", parent.keep().display()).ok();
    }
    verdict
}

/// Where the controls run.
struct Bench<'a> {
    parent: &'a Path,
    seed: u64,
    bound: Duration,
    interrupted: &'a Arc<AtomicBool>,
}

impl Bench<'_> {
    fn all(&self, kills: u64) -> anyhow::Result<Verdict> {
        let mut table = Table::start(Outlet::open())?;
        for control in &CONTROLS {
            if !self.is_interrupted() {
                self.control(control, &mut table)?;
            }
        }
        if !self.is_interrupted() {
            self.deadly(kills, &mut table)?;
        }
        if self.is_interrupted() { table.interrupt() } else { table.conclude() }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// A control, and the sound locks under its load.
    fn control(&self, control: &Control, table: &mut Table) -> anyhow::Result<()> {
        let load = &control.load;
        let row = |lock, is| Row::new(lock, is, load.name());
        let asked = load.options(control.lock, self.bound, self.seed, self.parent.to_owned());
        if let Some(why) = impossible(&asked) {
            table.print(row(control.lock, Is::Broken).skipped(why))?;
            return Ok(());
        }
        let mut broken = row(control.lock, Is::Broken);
        let (began, mut attempt) = (Instant::now(), 0);
        while !broken.is_violation() && began.elapsed() < self.bound && !self.is_interrupted() {
            let left = self.bound.saturating_sub(began.elapsed());
            let results = self.run(control.lock, load, left.min(ATTEMPT), Until::Violation, attempt)?;
            broken.story = shortest(&results).map(ToString::to_string);
            broken.add(&results);
            attempt += 1;
        }
        if self.is_interrupted() {
            return Ok(());
        }
        let needed = broken.elapsed.max(SOUND_AT_LEAST);
        table.print(broken)?;
        let baseline = (attempt > 0 && control.lock == CONTROLS[0].lock).then_some(Implementation::Flock);
        for lock in baseline.into_iter().chain([Implementation::SessionLock]) {
            let results = self.run(lock, load, needed, Until::Time, 0)?;
            if self.is_interrupted() && !results.is_violation() {
                return Ok(());
            }
            let mut sound = row(lock, Is::Sound);
            sound.add(&results);
            table.print(sound)?;
        }
        Ok(())
    }

    /// The lock of this project, until it has been killed often enough in all its rows.
    fn deadly(&self, kills: u64, table: &mut Table) -> anyhow::Result<()> {
        let mut row = Row::new(Implementation::SessionLock, Is::Sound, DEADLY.name());
        let before = table.kills();
        for attempt in 0..DEADLY_RUNS {
            let left = kills.saturating_sub(before + row.kills);
            if left == 0 || row.is_violation() || self.is_interrupted() {
                break;
            }
            // Somewhat longer than the rate says: who is killed inside a hold has to get there first.
            let duration = Duration::from_millis(1_000 + 8 * left.min(10_000)).min(DEADLY_RUN);
            row.add(&self.run(Implementation::SessionLock, &DEADLY, duration, Until::Time, attempt)?);
        }
        if row.runs > 0 { table.print(row) } else { Ok(()) }
    }

    fn run(
        &self,
        lock: Implementation,
        load: &Load,
        duration: Duration,
        until: Until,
        attempt: u64,
    ) -> anyhow::Result<Results> {
        let seed = self.seed.wrapping_add(attempt);
        let dir = tempfile::Builder::new().prefix(&format!("{}-", lock.name())).tempdir_in(self.parent)?.keep();
        let options = load.options(lock, duration, seed, dir);
        let dir = RunDir::prepare(options.dir.as_deref(), options.locks, options.crew())?;
        let progress = Progress::start(&lock.name(), duration);
        let outcome = supervise(&options, seed, &dir, until, self.interrupted, progress)?;
        let results = Results::of(outcome, &options, seed, options.replay("stress", seed), &dir);
        results.write(&dir)?;
        Ok(results)
    }
}

/// Why this load cannot be had here, if it cannot.
fn impossible(options: &RunOptions) -> Option<String> {
    groups::check(options).err().map(|why| format!("{why:#}"))
}

fn shortest(results: &Results) -> Option<&Violation> {
    results.findings.stories.iter().min_by_key(|violation| (violation.story.is_empty(), violation.story.len()))
}
