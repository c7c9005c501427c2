//! Does the tool catch what it is there to catch? Locks that are known to be broken have to be caught, and locks that are
//! not have to be left in peace, all by the same supervisor and the same oracle, under the same load.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;

use crate::options::{Pause, RunOptions};
use crate::oracle::Violation;
use crate::peers::Implementation;
use crate::progress::Progress;
use crate::report::Results;
use crate::run_dir::RunDir;
use crate::supervisor::{Until, supervise};
use crate::verdict::Verdict;

/// The options of `stress selftest`.
#[derive(Debug, Args)]
pub(crate) struct SelftestOptions {
    /// How long each broken lock may go uncaught, such as 60s
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) bound: Duration,

    /// Seed of all random choices: faults and pauses. Not of the kernel's scheduling [default: a random one]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

const BROKEN: [Implementation; 2] = [Implementation::DeleteCreate, Implementation::RenameOver];
const SOUND: [Implementation; 2] = [Implementation::Flock, Implementation::SessionLock];

/// Sound locks run for this long, or for as long as the slowest control needed to be caught.
const SOUND_AT_LEAST: Duration = Duration::from_secs(5);

/// Runs all controls and prints the table.
pub(crate) fn selftest(options: &SelftestOptions, seed: u64, interrupted: &Arc<AtomicBool>) -> anyhow::Result<Verdict> {
    let parent = tempfile::Builder::new().prefix("session-lock-selftest-").tempdir()?;
    let mut out = io::stdout();
    writeln!(out, "{:<14} {:<7} {:<13} {:>12} {:>7}", "lock", "is", "found", "acquisitions", "seconds")?;
    let mut verdict = Verdict::Valid;
    let mut slowest = SOUND_AT_LEAST;
    let mut stories = Vec::new();
    for lock in BROKEN.into_iter().chain(SOUND) {
        let broken = BROKEN.contains(&lock);
        let (duration, until) = if broken { (options.bound, Until::Violation) } else { (slowest, Until::Time) };
        let results = control(lock, duration, until, seed, parent.path(), interrupted)?;
        anyhow::ensure!(!interrupted.load(Ordering::Relaxed), "interrupted");
        if broken {
            slowest = slowest.max(results.elapsed());
            stories.extend(shortest(&results).map(|story| format!("{}: {story}", lock.name())));
        }
        let found = results.verdict.name();
        let seconds = results.elapsed().as_secs_f64();
        let (name, is, acquired) = (lock.name(), if broken { "broken" } else { "sound" }, results.findings.acquired);
        writeln!(out, "{name:<14} {is:<7} {found:<13} {acquired:>12} {seconds:>7.1}")?;
        verdict = worse(verdict, if broken { of_broken(&results) } else { results.verdict });
        if !broken && results.verdict != Verdict::Valid {
            writeln!(out, "\n{results}")?;
        }
    }
    for story in &stories {
        writeln!(out, "\n{story}")?;
    }
    match verdict {
        Verdict::Valid => writeln!(out, "every broken lock was caught, and no sound one was blamed")?,
        Verdict::Violation => writeln!(out, "FAILED: a broken lock was not caught, or a sound one was blamed")?,
        Verdict::Inconclusive => writeln!(out, "INCONCLUSIVE: a sound lock's run means nothing")?,
    }
    if verdict != Verdict::Valid {
        writeln!(out, "kept in {}", parent.keep().display())?;
    }
    Ok(verdict)
}

/// One lock under the load that all of them get: everybody waits when an owner dies, and owners die often.
fn control(
    lock: Implementation,
    duration: Duration,
    until: Until,
    seed: u64,
    parent: &Path,
    interrupted: &Arc<AtomicBool>,
) -> anyhow::Result<Results> {
    let options = RunOptions {
        workers: 8,
        locks: 1,
        duration,
        hold: Pause::exactly(Duration::from_micros(500)),
        think: Pause::exactly(Duration::ZERO),
        timeout: Duration::from_secs(10),
        kill_rate: 40.0,
        stop_rate: 0.0,
        seed: Some(seed),
        dir: Some(parent.join(lock.name())),
        lock,
        pidns: false,
        json: false,
    };
    let dir = RunDir::prepare(options.dir.as_deref(), options.locks, options.workers)?;
    let progress = Progress::start(&lock.name(), duration);
    let outcome = supervise(&options, seed, &dir, until, interrupted, progress)?;
    let replay = options.replay("stress", seed);
    Ok(Results::of(outcome, &options, seed, replay, &dir))
}

fn shortest(results: &Results) -> Option<&Violation> {
    results.findings.stories.iter().min_by_key(|violation| (violation.story.is_empty(), violation.story.len()))
}

/// What a broken lock's run says about the tool.
fn of_broken(results: &Results) -> Verdict {
    if results.verdict == Verdict::Violation { Verdict::Valid } else { Verdict::Violation }
}

fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Violation, _) | (_, Verdict::Violation) => Verdict::Violation,
        (Verdict::Inconclusive, _) | (_, Verdict::Inconclusive) => Verdict::Inconclusive,
        (Verdict::Valid, Verdict::Valid) => Verdict::Valid,
    }
}
