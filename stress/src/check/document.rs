//! What breaks without each step of the protocol, and in each lock that is known to be broken, as tables of a document.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;

use crate::model::{Ablation, Control, Scenario, Verdict, search};

const END: &str = "<!-- end -->";

/// A table of the document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Ablations,
    Controls,
}

impl Table {
    /// The table, as Markdown. The same every time.
    pub(super) fn text(self) -> String {
        let mut text = String::from(match self {
            Self::Ablations => {
                "| Step | What is left out | What breaks | Moves | Lines | Scenario |\n|---|---|---|---|---|---|\n"
            }
            Self::Controls => {
                "| Control | What breaks | Moves | Lines | States | Mended: states |\n|---|---|---|---|---|---|\n"
            }
        });
        match self {
            Self::Ablations => Ablation::ALL.iter().for_each(|ablation| line(&mut text, &step(*ablation))),
            Self::Controls => Control::ALL.iter().for_each(|control| line(&mut text, &lock(*control))),
        }
        text
    }

    fn begin(self) -> &'static str {
        match self {
            Self::Ablations => "<!-- stress check --ablations: begin -->\n",
            Self::Controls => "<!-- stress check --controls: begin -->\n",
        }
    }
}

fn line(text: &mut String, row: &str) {
    writeln!(text, "| {row} |").expect("a string takes it");
}

fn step(ablation: Ablation) -> String {
    let scenario = Scenario::exposing(ablation);
    let (name, meaning, mix) = (ablation.name(), ablation.meaning(), scenario.name);
    let found = match search(&scenario).verdict {
        Verdict::Violated(found) => format!("`{}` | {} | {} | {mix}", found.property, found.moves, found.lines.len()),
        Verdict::Holds => format!("nothing; it stays: {} | | | {mix}", ablation.reason_to_stay().unwrap_or("?")),
        Verdict::Unknown => format!("unknown | | | {mix}"),
    };
    format!("`{name}` | {meaning} | {found}")
}

fn lock(control: Control) -> String {
    let outcome = search(&control.scenario());
    let found = match &outcome.verdict {
        Verdict::Violated(found) => format!("`{}` | {} | {}", found.property, found.moves, found.lines.len()),
        Verdict::Holds => "nothing | | ".to_owned(),
        Verdict::Unknown => "unknown | | ".to_owned(),
    };
    let mended = search(&control.mended());
    let holds = match mended.verdict {
        Verdict::Holds => format!("{}, holds", mended.states),
        Verdict::Violated(_) => "blamed".to_owned(),
        Verdict::Unknown => "unknown".to_owned(),
    };
    format!("`{control}` | {found} | {} | {holds}", outcome.states)
}

/// Puts the table where the document has it.
pub(super) fn write(file: &Path, table: Table, text: &str) -> anyhow::Result<()> {
    let (place, begin) = (file.display(), table.begin());
    let document = std::fs::read_to_string(file).with_context(|| format!("cannot read {place}"))?;
    let (before, rest) = document.split_once(begin).with_context(|| format!("{place} has no place for the table"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{place} has no end of the table"))?;
    std::fs::write(file, format!("{before}{begin}{text}{END}{after}")).with_context(|| format!("cannot write {place}"))
}
