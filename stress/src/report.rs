//! What a run has shown, for programs (`results.json`) and for people.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::figures::Spread;
use crate::options::RunOptions;
use crate::oracle::Findings;
use crate::peers::Implementation;
use crate::run_dir::RunDir;
use crate::supervisor::Outcome;
use crate::verdict::{Needs, Verdict, judge};

/// The content of `results.json`. Its display is the report.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) verdict: Verdict,
    /// Why the verdict is not *valid*, or what else to know of a violation.
    doubts: Vec<String>,
    seed: u64,
    replay: String,
    dir: String,
    asked: Asked,
    elapsed_ms: u64,
    needs: Needs,
    acquisitions_per_second: u64,
    acquisitions_per_worker: Vec<u64>,
    jain: f64,
    wait: Spread,
    hand_over: Spread,
    takeover: Spread,
    pub(crate) findings: Findings,
}

#[derive(Debug, Serialize)]
struct Asked {
    lock: Implementation,
    workers: u16,
    locks: u16,
    duration_ms: u64,
    hold: String,
    think: String,
    timeout_ms: u64,
    kill_rate: f64,
    stop_rate: f64,
    pidns: bool,
}

impl Results {
    pub(crate) fn of(outcome: Outcome, options: &RunOptions, seed: u64, replay: String, dir: &RunDir) -> Self {
        let Outcome { findings, figures, elapsed, remarks } = outcome;
        let needs = Needs::of(options.duration, options.kill_rate);
        let (verdict, doubts) = judge(&findings, &needs, remarks);
        Self {
            verdict,
            doubts,
            seed,
            replay,
            dir: dir.path().display().to_string(),
            asked: Asked {
                lock: options.lock,
                workers: options.workers,
                locks: options.locks,
                duration_ms: ms(options.duration),
                hold: options.hold.to_string(),
                think: options.think.to_string(),
                timeout_ms: ms(options.timeout),
                kill_rate: options.kill_rate,
                stop_rate: options.stop_rate,
                pidns: options.pidns,
            },
            elapsed_ms: ms(elapsed),
            needs,
            acquisitions_per_second: findings.acquired.saturating_mul(1000) / ms(elapsed).max(1),
            acquisitions_per_worker: figures.per_worker().to_vec(),
            jain: figures.fairness(),
            wait: figures.wait(),
            hand_over: figures.hand_over(),
            takeover: figures.takeover(),
            findings,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms)
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings { acquired, kills, kills_inside, takeovers, stops, timeouts, errors, .. } = self.findings;
        let Findings { violations, stories, .. } = &self.findings;
        match self.verdict {
            Verdict::Valid => writeln!(f, "valid: never two owners in {acquired} acquisitions")?,
            Verdict::Violation => writeln!(f, "VIOLATION: {violations} found in {acquired} acquisitions")?,
            Verdict::Inconclusive => writeln!(f, "INCONCLUSIVE: no violation found, but that means nothing here")?,
        }
        for doubt in &self.doubts {
            writeln!(f, "  {doubt}")?;
        }
        for story in stories.iter().take(1) {
            write!(f, "\n{story}")?;
        }
        let per_worker = || self.acquisitions_per_worker.iter().copied();
        let (least, most) = (per_worker().min().unwrap_or(0), per_worker().max().unwrap_or(0));
        writeln!(f)?;
        writeln!(f, "  acquisitions  {acquired} ({} per second)", self.acquisitions_per_second)?;
        writeln!(f, "  per worker    {least} to {most}, Jain index {:.3}", self.jain)?;
        writeln!(
            f,
            "  faults        {kills} kills ({kills_inside} inside holds), {takeovers} takeovers, {stops} stops"
        )?;
        writeln!(f, "  failures      {timeouts} timeouts, {errors} errors")?;
        writeln!(f, "  wait          {}", self.wait)?;
        writeln!(f, "  hand-over     {}", self.hand_over)?;
        writeln!(f, "  after a kill  {}", self.takeover)?;
        writeln!(f, "  kept in       {}", self.dir)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("never measured");
        }
        let [p50, p99, max] = [self.p50_us, self.p99_us, self.max_us].map(Micros);
        write!(f, "p50 {p50}, p99 {p99}, max {max}")
    }
}

struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us @ 0..1_000 => write!(f, "{us} µs"),
            us @ 1_000..1_000_000 => write!(f, "{}.{} ms", us / 1_000, us % 1_000 / 100),
            us => write!(f, "{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
        }
    }
}
