//! The page of the comparison, `stress/BENCHMARKS.md`: what stands between its markers is made of the figures of a run, the rest is
//! written by hand. A block that the run has no figures for says so.

mod blocks;
mod plots;
mod svg;

use crate::results::Results;
use crate::sections::SECTIONS;
use anyhow::{Context, ensure};
use std::path::Path;

type Block = fn(&Results) -> String;

/// What the page has a place for, in the order of the page.
const BLOCKS: &[(&str, Block)] = &[
    ("machine", blocks::machine),
    ("goals", blocks::goals),
    ("beside", blocks::beside),
    ("peers", blocks::peers),
    ("uncontended", |results| blocks::section(results, "uncontended")),
    ("commands", |results| blocks::section(results, "commands")),
    ("contended", blocks::contended),
    ("contended, other cases", blocks::contended_others),
    ("killed", |results| blocks::section(results, "killed")),
    ("held", |results| blocks::section(results, "held")),
    ("waiters", |results| blocks::section(results, "waiters")),
    ("tasks", |results| blocks::section(results, "tasks")),
    ("sweep", |results| blocks::section(results, "sweep")),
    ("scrape", |results| blocks::section(results, "scrape")),
    ("observed", |results| blocks::section(results, "observed")),
    ("throughput", |results| blocks::section(results, "throughput")),
];
const END: &str = "<!-- end -->";

/// Makes the page anew, and its plots.
#[expect(clippy::print_stdout, reason = "a benchmark says where its results are")]
pub(crate) fn write(results: &Results) -> anyhow::Result<()> {
    for (name, _) in SECTIONS {
        ensure!(BLOCKS.iter().any(|(block, _)| block == name), "the page has no block for {name}");
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.join("BENCHMARKS.md");
    let place = file.display();
    let page = std::fs::read_to_string(&file).with_context(|| format!("cannot read {place}"))?;
    let page = filled(page, results).with_context(|| format!("cannot fill {place}"))?;
    plots::write(here, results)?;
    std::fs::write(&file, page).with_context(|| format!("cannot write {place}"))?;
    println!("page: {place}");
    Ok(())
}

fn filled(mut page: String, results: &Results) -> anyhow::Result<String> {
    ensure!(page.matches(END).count() == BLOCKS.len(), "it has to have {} blocks", BLOCKS.len());
    for (name, block) in BLOCKS {
        let begin = format!("<!-- compare {name}: begin -->\n");
        let (before, rest) = page.split_once(&begin).with_context(|| format!("it has no place for {name}"))?;
        let (_, after) = rest.split_once(END).with_context(|| format!("it has no end of {name}"))?;
        page = format!("{before}{begin}{}{END}{after}", block(results));
    }
    Ok(page)
}
