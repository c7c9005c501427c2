//! `stress check`: every state that the protocol can come to on a simulated kernel, for each mix of a catalogue of who takes
//! part and what goes wrong.
//!
//! | Part | What it is |
//! |---|---|
//! | `run` | mixes, as many at a time as there are threads |
//! | `table` | the results for people and for programs |
//! | `document` | what breaks without each step and in each known-broken lock, where that is documented |
//! | `saved` | a counterexample in a file, and played again |
//!
//! Not here: the search itself (`model`).

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use clap::Args;

use crate::model::{Ablation, Control, Mix, Scenario, Suite};
use crate::outlet::Outlet;
use crate::verdict::Verdict;
use document::Table;

mod document;
mod run;
mod saved;
mod table;

/// The options of `stress check`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct CheckOptions {
    /// Search only this mix; can be repeated [default: all usual ones]
    #[arg(long, value_name = "NAME", value_parser = mix)]
    mix: Vec<&'static Mix>,

    /// The larger mixes too: minutes, and some GB of memory
    #[arg(long)]
    deep: bool,

    /// Print the mixes, and search none
    #[arg(long)]
    list: bool,

    /// Leave this step of the protocol out, in the mixes asked for [default: where it shows soonest]
    #[arg(long, value_name = "NAME", value_parser = ablation)]
    ablation: Option<Ablation>,

    /// Print what breaks without each step of the protocol, as Markdown
    #[arg(long, conflicts_with_all = ["mix", "ablation"], group = "table")]
    ablations: bool,

    /// Search a lock that is known to be broken
    #[arg(long, value_name = "NAME", value_parser = control, conflicts_with_all = ["mix", "ablation"])]
    control: Option<Control>,

    /// Print what breaks in each lock that is known to be broken, as Markdown
    #[arg(long, conflicts_with_all = ["mix", "ablation", "control"], group = "table")]
    controls: bool,

    /// With --ablations or --controls: also put the table where this document has it
    #[arg(long, value_name = "FILE", requires = "table")]
    write_docs: Option<PathBuf>,

    /// Play a saved counterexample again; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mix", "ablation", "control", "table"])]
    replay: Option<PathBuf>,

    /// Save the first counterexample, to be replayed
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Memory that all searches together may take, in bytes or with K, M, G (1024 each)
    #[arg(long, default_value = "6G", value_name = "BYTES", value_parser = bytes)]
    memory: usize,

    /// Mixes at a time [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,

    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// Searches what is asked for, and prints it.
pub(crate) fn check(options: &CheckOptions, interrupted: &AtomicBool) -> anyhow::Result<Verdict> {
    let mut out = Outlet::open();
    if let Some(file) = &options.replay {
        return saved::replay_file(&mut out, file);
    }
    if let Some(table) = options.table() {
        let (text, verdict) = table.text();
        write!(out, "{text}")?;
        if let Some(file) = &options.write_docs {
            document::write(file, table, &text)?;
        }
        return Ok(verdict);
    }
    if options.list {
        table::list(&mut out, options.json)?;
        return Ok(Verdict::Valid);
    }
    let scenarios = options.scenarios();
    let results = run::all(&scenarios, options.threads(), options.memory, interrupted);
    if options.json {
        table::json(&mut out, &results)?;
    } else {
        table::print(&mut out, &results)?;
    }
    if let (Some(file), Some(found)) = (&options.save, results.iter().find_map(saved::Saved::of)) {
        found.write(file)?;
    }
    Ok(table::verdict(&results))
}

impl CheckOptions {
    fn table(&self) -> Option<Table> {
        match (self.ablations, self.controls) {
            (true, _) => Some(Table::Ablations),
            (_, true) => Some(Table::Controls),
            _ => None,
        }
    }

    fn scenarios(&self) -> Vec<Scenario> {
        if let Some(control) = self.control {
            return vec![control.scenario()];
        }
        let suite = if self.deep { Suite::Deep } else { Suite::Usual };
        match (self.ablation, &*self.mix) {
            (Some(ablation), []) => vec![Scenario::exposing(ablation)],
            (None, []) => Mix::ALL.iter().filter(|mix| mix.suite <= suite).map(|mix| mix.scenario).collect(),
            (ablation, mixes) => mixes.iter().map(|mix| Scenario { ablation, ..mix.scenario }).collect(),
        }
    }

    fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }
}

fn mix(name: &str) -> Result<&'static Mix, String> {
    Mix::named(name).ok_or_else(|| "there is no such mix; --list names them".to_owned())
}

fn ablation(name: &str) -> Result<Ablation, String> {
    let names = || Ablation::ALL.iter().map(|ablation| ablation.name()).collect::<Vec<_>>().join(", ");
    Ablation::named(name).ok_or_else(|| format!("there are: {}", names()))
}

fn control(name: &str) -> Result<Control, String> {
    let names = || Control::ALL.iter().map(|control| control.name()).collect::<Vec<_>>().join(", ");
    Control::named(name).ok_or_else(|| format!("there are: {}", names()))
}

fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'K')) => (&text[..at], 1 << 10),
        Some((at, 'M')) => (&text[..at], 1 << 20),
        Some((at, 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: usize = digits.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(unit).ok_or_else(|| "more than there can be".to_owned())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn memory_is_bytes_or_has_a_unit() {
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("3K"), Ok(3 << 10));
        assert_eq!(bytes("2G"), Ok(2 << 30));
        assert!(bytes("two").is_err());
        assert!(bytes("99999999999999999999").is_err());
        assert!(bytes("18446744073709551615G").is_err());
    }
}
