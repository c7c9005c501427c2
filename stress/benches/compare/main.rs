//! The lock side by side with the same system calls bare, and with its peers: one table, a file of JSON, and the goals.
//!
//! `cargo bench -p session-lock-stress --bench compare -- [--quick] [--section NAME]... [--json FILE] [--page]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod floor;
mod goals;
mod machine;
mod page;
mod peers;
mod report;
mod results;
mod run;
mod sections;
mod turn;
mod worker;

use clap::Parser;
use results::Results;
use run::Run;
use sections::{ROLES, SECTIONS};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Parser)]
#[command(name = "compare", about = "Measures the lock beside the bare system calls and its peers")]
struct Arguments {
    /// Fewer rounds and shorter turns.
    #[arg(long)]
    quick: bool,
    /// Only this section; can be given again.
    #[arg(long, value_parser = SECTIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>())]
    section: Vec<String>,
    /// Where to write the figures.
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/../compare.json"))]
    json: PathBuf,
    /// Make the figures of `stress/BENCHMARKS.md` and its plots of what this run measures.
    #[arg(long)]
    page: bool,
    /// Make the page of this file of figures, and measure nothing.
    #[arg(long, value_name = "FILE", requires = "page", conflicts_with_all = ["quick", "section", "json"])]
    from: Option<PathBuf>,
    /// What cargo passes to a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, option, name, rest @ ..] = arguments.as_slice()
        && option == "--role"
    {
        let (_, role) = ROLES.iter().find(|(known, _)| known == name).expect("a role of this program");
        role(rest);
        return Ok(());
    }
    let arguments = Arguments::parse();
    if let Some(file) = &arguments.from {
        return page::write(&Results::read(file)?);
    }
    let results = measure(&arguments);
    match results.write(&arguments.json) {
        Ok(()) => println!("figures: {}", arguments.json.display()),
        Err(error) => println!("figures not written: {error:#}"),
    }
    if arguments.page { page::write(&results) } else { Ok(()) }
}

fn measure(arguments: &Arguments) -> Results {
    let run = Run::new(arguments.quick);
    let mut results = Results::new(&run);
    println!("{}", results.machine);
    let report = &mut results.report;
    for (name, section) in SECTIONS {
        if arguments.section.is_empty() || arguments.section.iter().any(|asked| asked == name) {
            let began = Instant::now();
            section(&run, report);
            report.print(name);
            println!("  ({:.0} s)\n", began.elapsed().as_secs_f64());
        }
    }
    results.goals = goals::of(report);
    goals::print(&results.goals);
    results
}
