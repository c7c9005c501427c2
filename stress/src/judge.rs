//! `stress judge`: what a kept history says, once more, without a run.
//!
//! What the run was asked for stands in its `results.json`; the command line can say it where that is missing, or say it
//! differently. What made the run inconclusive then does so now. Where records are gone from the history, it is
//! inconclusive at best.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::history::{Piece, kept};
use crate::oracle::{Findings, Oracle, Setup, Tokens};
use crate::report::FORMAT;
use crate::run_dir::{Counters, HISTORY, RESULTS};
use crate::verdict::{Needs, Verdict, judge, sentence};

/// The options of `stress judge`.
#[derive(Debug, Args)]
pub(crate) struct JudgeOptions {
    /// The run directory
    dir: PathBuf,

    /// So many locks there are [default: as results.json says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    locks: Option<u16>,

    /// The first worker that is an older peer [default: as results.json says, or none]
    #[arg(long, value_name = "WORKER")]
    older_from: Option<u16>,

    /// Whether the lock gives fencing tokens [default: as the lock does that results.json names, or grow]
    #[arg(long, value_enum, value_name = "HOW")]
    tokens: Option<Giving>,

    /// How long the lock gives a closed foreign claim [default: as results.json says, or 1s]
    #[arg(long, value_name = "TIME", value_parser = crate::options::time)]
    grace: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Giving {
    /// They grow from one acquisition to the next
    Grow,
    /// There are none
    Absent,
}

/// Judges the history again. The findings and the verdict, in words.
pub(crate) fn rejudge(options: &JudgeOptions) -> anyhow::Result<(Verdict, String)> {
    let results = results(&options.dir)?;
    let setup = setup(options, &results)?;
    let path = options.dir.join(HISTORY);
    let findings = findings(&options.dir, &path, setup)?;
    let (needs, unknown) = match &results {
        Value::Null => {
            let unknown = "there is no results.json, so what the run had to show is not known";
            (Needs::of(Duration::ZERO, 0.0), Some(unknown.to_owned()))
        }
        results => (serde_json::from_value(results["needs"].clone()).context("results.json is damaged")?, None),
    };
    let (_, found) = judge(&findings, &needs, Vec::new());
    let said = results["doubts"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let said = said.filter(|said| !found.iter().any(|found| found == said)).map(|said| format!("the run: {said}"));
    let remarks = unknown.into_iter().chain(said).collect();
    let (verdict, doubts) = judge(&findings, &needs, remarks);
    Ok((verdict, words(&findings, verdict, &doubts)))
}

/// What the run has left of its results: nothing if it did not come to its end.
fn results(dir: &Path) -> anyhow::Result<Value> {
    let path = dir.join(RESULTS);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Value::Null),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let results: Value = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
    match results["format"].as_u64() {
        Some(format) if format == u64::from(FORMAT) => Ok(results),
        Some(other) => bail!("{} is of version {other}, this program reads version {FORMAT}", path.display()),
        None => bail!("{} has no version, this program reads version {FORMAT}", path.display()),
    }
}

fn setup(options: &JudgeOptions, results: &Value) -> anyhow::Result<Setup> {
    let asked = &results["asked"];
    let number = |name: &str| asked[name].as_u64().and_then(|number| u16::try_from(number).ok());
    let locks = options.locks.or_else(|| number("locks"));
    let locks = locks.context("there is no results.json that says how many locks there are: say --locks")?;
    let older_from = match number("older_peers") {
        Some(1..) => number("workers"),
        _ => None,
    };
    let bare = asked["lock"].as_str().is_some_and(|lock| lock != "session-lock");
    let tokens = options.tokens.unwrap_or(if bare { Giving::Absent } else { Giving::Grow });
    let grace = options.grace.or_else(|| asked["grace_ms"].as_u64().map(Duration::from_millis));
    Ok(Setup {
        locks,
        tokens: if tokens == Giving::Grow { Tokens::Grow } else { Tokens::Absent },
        older_from: options.older_from.or(older_from).unwrap_or(u16::MAX),
        grace: grace.unwrap_or(Duration::from_secs(1)),
    })
}

fn findings(dir: &Path, history: &Path, setup: Setup) -> anyhow::Result<Findings> {
    let mut oracle = Oracle::new(setup);
    let read = kept(history, |piece| {
        match piece {
            Piece::Record(record) => _ = oracle.observe(record),
            Piece::Missing(records) => oracle.skip(records),
        }
        ControlFlow::Continue(())
    });
    read.with_context(|| format!("cannot read {}", history.display()))?;
    Ok(oracle.finish(&counters(dir, setup.locks)))
}

/// The counters that are there: the oracle says which are missing.
fn counters(dir: &Path, locks: u16) -> Vec<u64> {
    let read = |counters: Counters| (0..locks).map_while(|lock| counters.read(lock).ok()).collect();
    Counters::of(dir).map_or_else(|_: io::Error| Vec::new(), read)
}

fn words(findings: &Findings, verdict: Verdict, doubts: &[String]) -> String {
    let mut words = String::new();
    let Findings { takeovers, kills, kills_inside, .. } = findings;
    let mut line = |text: &str| writeln!(words, "{text}").expect("a string takes all");
    line(&sentence(verdict, findings));
    for doubt in doubts {
        line(&format!("  {doubt}"));
    }
    line(&format!(
        "  {} records, {kills} kills ({kills_inside} inside holds), {takeovers} takeovers, {} inherent overlaps",
        findings.records,
        findings.inherent_overlaps()
    ));
    for inherent in &findings.inherent {
        line(&format!(
            "\ninherent: {} overlaps of {}, the first:\n{}",
            inherent.count, inherent.overlap, inherent.story
        ));
    }
    for story in &findings.stories {
        line(&format!("\n{story}"));
    }
    words
}
