//! What a run has shown: for programs, for build servers and for people.
//!
//! | File | For |
//! |---|---|
//! | `results.json` | programs, and `stress replay`; its fields are those of [`Results`] |
//! | `junit.xml` | build servers (`junit`) |
//! | `latency.hgrm` | plotters of `HdrHistogram` (`hgrm`) |
//! | `report.html` | people (`page`) |
//!
//! They are written for every run that was judged, whatever its verdict, and the run directory stays, also a temporary
//! one: a history can be read again, a summary cannot. `summary` is what the terminal shows, and says where all is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use serde::Serialize;

use crate::crew::{Drift, Turnover};
use crate::figures::{Figures, Spread};
use crate::options::RunOptions;
use crate::oracle::Findings;
use crate::run_dir::RunDir;
use crate::supervisor::Outcome;
use crate::verdict::{Needs, Verdict, judge};

mod hgrm;
mod junit;
mod marks;
mod page;
mod summary;

use marks::Mark;

/// The version of `results.json`: another one means that the options of a run are written in another way.
pub(crate) const FORMAT: u32 = 1;

/// The content of `results.json`. Its display is the summary.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// [`FORMAT`].
    format: u32,
    pub(crate) verdict: Verdict,
    /// Why the verdict is not *valid*, or what else to know of a violation.
    doubts: Vec<String>,
    seed: u64,
    /// The command that runs the same plan.
    replay: String,
    /// The run directory, as far as its path is text.
    dir: String,
    /// What the files in it take, when the run was over.
    bytes: u64,
    /// When the run began, by the wall clock.
    begun: String,
    elapsed_ms: u64,
    /// The options, as `stress replay` reads them back.
    asked: RunOptions,
    versions: Versions,
    /// What has to happen before a run without a violation means something.
    needs: Needs,
    /// Everything that should have happened, and how often it did.
    marks: Vec<Mark>,
    /// What the lock has taken over, by its own reasons and counters. No verdict rests on it.
    takeovers_by_reason: BTreeMap<&'static str, u64>,
    acquisitions_per_second: u64,
    acquisitions_per_worker: Vec<u64>,
    /// Jain's index of the acquisitions per worker.
    jain: f64,
    latency: Latency,
    /// Groups that came and went.
    turnover: Turnover,
    /// What the workers took while they lived.
    drift: Drift,
    pub(crate) findings: Findings,
    #[serde(skip)]
    figures: Figures,
}

/// The spreads of the four latencies, which `figures::latencies` defines.
#[derive(Debug, Serialize)]
struct Latency {
    acquire: Spread,
    hand_over: Spread,
    takeover: Spread,
    recovery: Spread,
}

/// What ran, and on what.
#[derive(Debug, Serialize)]
struct Versions {
    stress: &'static str,
    kernel: String,
    architecture: &'static str,
    cpus: usize,
}

impl Results {
    pub(crate) fn of(outcome: Outcome, options: &RunOptions, seed: u64, replay: String, dir: &RunDir) -> Self {
        let Outcome { findings, figures, elapsed, turnover, drift, remarks } = outcome;
        let needs = options.needs();
        let (verdict, doubts) = judge(&findings, &needs, remarks);
        let latencies = figures.latencies();
        Self {
            format: FORMAT,
            verdict,
            doubts,
            seed,
            replay,
            dir: dir.path().display().to_string(),
            bytes: size(dir.path()) + size(&dir.sessions()),
            begun: begun(elapsed),
            elapsed_ms: ms(elapsed),
            asked: options.clone(),
            versions: Versions::here(),
            marks: marks::of(&needs.marks(&findings), &options.rates()),
            takeovers_by_reason: options.lock.takeovers_by_reason(&dir.sessions_left()),
            needs,
            acquisitions_per_second: findings.acquired.saturating_mul(1000) / ms(elapsed).max(1),
            acquisitions_per_worker: figures.per_worker().to_vec(),
            jain: figures.fairness().jain,
            latency: Latency {
                acquire: latencies.acquire(),
                hand_over: latencies.hand_over(),
                takeover: latencies.takeover(),
                recovery: latencies.recovery(),
            },
            turnover,
            drift,
            findings,
            figures,
        }
    }

    pub(crate) fn is_violation(&self) -> bool {
        self.verdict == Verdict::Violation
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms)
    }

    /// The content of `results.json`.
    pub(crate) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Writes all files into the run directory: the one that programs rely on first.
    pub(crate) fn write(&self, dir: &RunDir) -> anyhow::Result<()> {
        write(&dir.results(), &self.json()?)?;
        write(&dir.junit(), &junit::xml(self)?)?;
        write(&dir.latency(), &hgrm::text(self))?;
        write(&dir.report(), &page::html(self, &page::log_end(&dir.log()))?)
    }
}

impl Versions {
    fn here() -> Self {
        Self {
            stress: env!("CARGO_PKG_VERSION"),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            architecture: std::env::consts::ARCH,
            cpus: thread::available_parallelism().map_or(0, usize::from),
        }
    }
}

/// The wall clock may say anything after it was made to jump, and a date before 1970 cannot be written.
fn begun(elapsed: Duration) -> String {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + now.saturating_sub(elapsed)).to_string()
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// What the files of a directory take on the disk, holes not counted. Those that vanish meanwhile take nothing.
fn size(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(fs::Metadata::is_file).map(|file| 512 * file.blocks()).sum()
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
