//! The results of a check: for people a table and the counterexamples, for programs JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::run::Searched;
use crate::model::{Ablation, Mix, Outcome, Verdict as Found};
use crate::verdict::Verdict;

#[derive(Serialize)]
struct Row<'a> {
    mix: &'a str,
    ablation: Option<&'a str>,
    states: usize,
    depth: usize,
    seconds: f64,
    bytes: usize,
    verdict: &'a str,
    property: Option<&'a str>,
    counterexample: Option<String>,
}

impl<'a> Row<'a> {
    fn of(Searched { scenario, outcome, took }: &'a Searched) -> Self {
        let counterexample = outcome.counterexample();
        Self {
            mix: scenario.name,
            ablation: scenario.ablation.map(Ablation::name),
            states: outcome.states,
            depth: outcome.depth,
            seconds: took.as_secs_f64(),
            bytes: outcome.memory,
            verdict: word(outcome),
            property: counterexample.map(|found| found.property.name()),
            counterexample: counterexample.map(ToString::to_string),
        }
    }
}

pub(super) fn json(out: &mut impl Write, results: &[Searched]) -> anyhow::Result<()> {
    let rows: Vec<Row> = results.iter().map(Row::of).collect();
    writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}

pub(super) fn print(out: &mut impl Write, results: &[Searched]) -> io::Result<()> {
    writeln!(
        out,
        "{:<28} {:>11} {:>6} {:>8} {:>10} {:>6}  verdict",
        "mix", "states", "depth", "seconds", "states/s", "MiB"
    )?;
    for result in results {
        let Row { mix, states, depth, seconds, bytes, verdict, .. } = Row::of(result);
        let (rate, mebibytes) = (super::run::rate(states, result.took), bytes >> 20);
        writeln!(out, "{mix:<28} {states:>11} {depth:>6} {seconds:>8.1} {rate:>10.0} {mebibytes:>6}  {verdict}")?;
    }
    for found in results.iter().filter_map(|result| result.outcome.counterexample()) {
        writeln!(out, "\n{found}")?;
    }
    let states: usize = results.iter().map(|result| result.outcome.states).sum();
    writeln!(out, "{}: {} mixes, {states} states", verdict(results).name(), results.len())
}

pub(super) fn list(out: &mut impl Write, json: bool) -> anyhow::Result<()> {
    if json {
        let names: Vec<&str> = Mix::ALL.iter().map(Mix::name).collect();
        writeln!(out, "{}", serde_json::to_string(&names)?)?;
        return Ok(());
    }
    for mix in Mix::ALL {
        writeln!(out, "{:<28} {:?}", mix.name(), mix.suite)?;
    }
    Ok(())
}

/// What follows from all of them.
pub(super) fn verdict(results: &[Searched]) -> Verdict {
    let of_one = |result: &Searched| match result.outcome.verdict {
        Found::Holds => Verdict::Valid,
        Found::Violated(_) => Verdict::Violation,
        Found::Unknown => Verdict::Inconclusive,
    };
    results.iter().map(of_one).reduce(Verdict::worse).unwrap_or(Verdict::Inconclusive)
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Found::Holds => "holds",
        Found::Violated(_) => "violated",
        Found::Unknown => "unknown",
    }
}
