//! What breaks without each step of the protocol, and in each lock that is known to be broken, as tables of a document.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;

use crate::model::{Ablation, Control, Scenario, Verdict as Found, search};
use crate::verdict::Verdict;

const END: &str = "<!-- end -->";

/// A table of the document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Ablations,
    Controls,
}

impl Table {
    /// The table, as Markdown, the same every time; and whether everything in it is as it has to be.
    pub(super) fn text(self) -> (String, Verdict) {
        let mut text = String::from(match self {
            Self::Ablations => {
                "| Step | What is left out | What breaks | Moves | Lines | Scenario |\n|---|---|---|---|---|---|\n"
            }
            Self::Controls => {
                "| Control | What breaks | Moves | Lines | States | Mended: states |\n|---|---|---|---|---|---|\n"
            }
        });
        let rows: Vec<Row> = match self {
            Self::Ablations => Ablation::ALL.iter().map(|ablation| Row::of_step(*ablation)).collect(),
            Self::Controls => Control::ALL.iter().map(|control| Row::of_lock(*control)).collect(),
        };
        for row in &rows {
            writeln!(text, "| {} |", row.text).expect("a string takes it");
        }
        (text, rows.iter().map(|row| row.verdict).fold(Verdict::Valid, Verdict::worse))
    }

    fn begin(self) -> &'static str {
        match self {
            Self::Ablations => "<!-- stress check --ablations: begin -->\n",
            Self::Controls => "<!-- stress check --controls: begin -->\n",
        }
    }
}

/// A line of a table, and what follows from it.
struct Row {
    text: String,
    verdict: Verdict,
}

impl Row {
    fn of_step(ablation: Ablation) -> Self {
        let scenario = Scenario::exposing(ablation);
        let (name, meaning, mix) = (ablation.name(), ablation.meaning(), scenario.name);
        let found = search(&scenario).verdict;
        let reason = ablation.reason_to_stay();
        let text = match &found {
            Found::Violated(found) => format!("`{}` | {} | {}", found.property, found.moves, found.lines.len()),
            Found::Holds => format!("nothing; it stays: {} | |", reason.unwrap_or("?")),
            Found::Unknown => "unknown | |".to_owned(),
        };
        Self { text: format!("`{name}` | {meaning} | {text} | {mix}"), verdict: verdict_on_step(&found, reason) }
    }

    fn of_lock(control: Control) -> Self {
        let outcome = search(&control.scenario());
        let found = match &outcome.verdict {
            Found::Violated(found) => format!("`{}` | {} | {}", found.property, found.moves, found.lines.len()),
            Found::Holds => "nothing | | ".to_owned(),
            Found::Unknown => "unknown | | ".to_owned(),
        };
        let mended = search(&control.mended());
        let holds = match mended.verdict {
            Found::Holds => format!("{}, holds", mended.states),
            Found::Violated(_) => "blamed".to_owned(),
            Found::Unknown => "unknown".to_owned(),
        };
        let text = format!("`{control}` | {found} | {} | {holds}", outcome.states);
        Self { text, verdict: verdict_on_lock(&outcome.verdict, &mended.verdict) }
    }
}

/// A step that breaks nothing needs a reason to stay.
fn verdict_on_step(found: &Found, reason: Option<&str>) -> Verdict {
    match (found, reason) {
        (Found::Violated(_), _) | (Found::Holds, Some(_)) => Verdict::Valid,
        (Found::Holds, None) => Verdict::Violation,
        (Found::Unknown, _) => Verdict::Inconclusive,
    }
}

/// A broken lock is caught, and none is blamed that is mended.
fn verdict_on_lock(broken: &Found, mended: &Found) -> Verdict {
    match (broken, mended) {
        (Found::Holds, _) | (_, Found::Violated(_)) => Verdict::Violation,
        (Found::Unknown, _) | (_, Found::Unknown) => Verdict::Inconclusive,
        (Found::Violated(_), Found::Holds) => Verdict::Valid,
    }
}

/// Puts the table where the document has it.
pub(super) fn write(file: &Path, table: Table, text: &str) -> anyhow::Result<()> {
    let (place, begin) = (file.display(), table.begin());
    let document = std::fs::read_to_string(file).with_context(|| format!("cannot read {place}"))?;
    let (before, rest) = document.split_once(begin).with_context(|| format!("{place} has no place for the table"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{place} has no end of the table"))?;
    std::fs::write(file, format!("{before}{begin}{text}{END}{after}")).with_context(|| format!("cannot write {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violated() -> Found {
        search(&Control::DeletableClaim.scenario()).verdict
    }

    #[test]
    fn a_step_that_breaks_nothing_needs_a_reason_to_stay() {
        assert!(matches!(violated(), Found::Violated(_)));
        assert_eq!(verdict_on_step(&violated(), None), Verdict::Valid);
        assert_eq!(verdict_on_step(&Found::Holds, Some("a reason")), Verdict::Valid);
        assert_eq!(verdict_on_step(&Found::Holds, None), Verdict::Violation);
        assert_eq!(verdict_on_step(&Found::Unknown, None), Verdict::Inconclusive);
        assert_eq!(verdict_on_step(&Found::Unknown, Some("a reason")), Verdict::Inconclusive);
    }

    #[test]
    fn a_broken_lock_has_to_be_caught_and_a_mended_one_not_blamed() {
        assert_eq!(verdict_on_lock(&violated(), &Found::Holds), Verdict::Valid);
        for (broken, mended) in [(Found::Holds, Found::Holds), (violated(), violated()), (Found::Holds, Found::Unknown)]
        {
            assert_eq!(verdict_on_lock(&broken, &mended), Verdict::Violation, "{broken:?}, {mended:?}");
        }
        assert_eq!(verdict_on_lock(&Found::Unknown, &violated()), Verdict::Violation);
        assert_eq!(verdict_on_lock(&violated(), &Found::Unknown), Verdict::Inconclusive);
        assert_eq!(verdict_on_lock(&Found::Unknown, &Found::Holds), Verdict::Inconclusive);
    }
}
