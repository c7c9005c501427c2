//! The lock side by side with the same system calls bare, and with its peers: one table, a file of JSON, and the goals.
//!
//! `cargo bench -p session-lock-stress --bench compare -- [--quick] [--section NAME]... [--json FILE]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod floor;
mod goals;
mod machine;
mod peers;
mod report;
mod run;
mod sections;
mod turn;
mod worker;

use clap::Parser;
use machine::Machine;
use report::Report;
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
    /// What cargo passes to a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, option, name, rest @ ..] = arguments.as_slice()
        && option == "--role"
    {
        let (_, role) = ROLES.iter().find(|(known, _)| known == name).expect("a role of this program");
        return role(rest);
    }
    let arguments = Arguments::parse();
    let run = Run::new(arguments.quick);
    let machine = Machine::new(run.places.iter().map(|place| place.file_system.clone()).collect());
    println!("{machine}");
    let mut report = Report::default();
    for (name, section) in SECTIONS {
        if arguments.section.is_empty() || arguments.section.iter().any(|asked| asked == name) {
            let began = Instant::now();
            section(&run, &mut report);
            report.print(name);
            println!("  ({:.0} s)\n", began.elapsed().as_secs_f64());
        }
    }
    let goals = goals::of(&report);
    goals::print(&goals);
    let all = serde_json::json!({ "machine": machine, "quick": run.quick, "report": report, "goals": goals });
    let text = serde_json::to_string_pretty(&all).expect("figures are JSON");
    match std::fs::write(&arguments.json, text) {
        Ok(()) => println!("figures: {}", arguments.json.display()),
        Err(error) => println!("figures not written: {}: {error}", arguments.json.display()),
    }
}
