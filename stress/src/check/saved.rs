//! A counterexample in a file, as JSON: where it was found, what it breaks and its moves; and the same for people.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::run::Searched;
use crate::model::{Ablation, Control, Mix, Property, Replayed, Scenario, replay};
use crate::verdict::Verdict;

/// A saved counterexample.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    /// The lock that is known to be broken, if it is one.
    #[serde(default)]
    control: Option<String>,
    /// The mix. Without one, it is where the ablation shows soonest.
    mix: Option<String>,
    ablation: Option<String>,
    property: String,
    moves: Vec<String>,
    /// For people only.
    #[serde(default)]
    lines: Vec<String>,
}

impl Saved {
    /// The counterexample that this search found, if it did.
    pub(super) fn of(searched: &Searched) -> Option<Self> {
        let found = searched.outcome.counterexample()?;
        Some(Self {
            control: Control::named(searched.scenario.name).map(|control| control.name().to_owned()),
            mix: Mix::named(searched.scenario.name).map(|mix| mix.name().to_owned()),
            ablation: searched.scenario.ablation.map(|ablation| ablation.name().to_owned()),
            property: found.property.name().to_owned(),
            moves: found.saved_moves(),
            lines: found.lines.iter().map(|line| format!("{}: {}", line.actor, line.what)).collect(),
        })
    }

    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }

    fn scenario(&self) -> anyhow::Result<Scenario> {
        if let Some(name) = &self.control {
            let control = Control::named(name).with_context(|| format!("there is no control {name}"))?;
            return Ok(control.scenario());
        }
        let ablation = match &self.ablation {
            None => None,
            Some(name) => Some(Ablation::named(name).with_context(|| format!("there is no step {name}"))?),
        };
        match (&self.mix, ablation) {
            (Some(name), _) => {
                let mix = Mix::named(name).with_context(|| format!("there is no mix {name}"))?;
                Ok(Scenario { ablation, ..mix.scenario })
            }
            (None, Some(ablation)) => Ok(Scenario::exposing(ablation)),
            (None, None) => anyhow::bail!("it names neither a mix nor a step"),
        }
    }
}

/// Plays a saved counterexample again, and prints what became of it.
pub(super) fn replay_file(out: &mut impl Write, file: &Path) -> anyhow::Result<Verdict> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let saved: Saved = serde_json::from_str(&text).context("it is no saved counterexample")?;
    let property = Property::named(&saved.property);
    let property = property.with_context(|| format!("there is no property {}", saved.property))?;
    match replay(&saved.scenario()?, property, &saved.moves) {
        Replayed::Violates(counterexample) => {
            write!(out, "{counterexample}")?;
            Ok(Verdict::Violation)
        }
        Replayed::Holds => {
            writeln!(out, "{property} is not broken by these moves any more")?;
            Ok(Verdict::Valid)
        }
        Replayed::Stale { number, action } => {
            writeln!(out, "stale: move {number}, {action}, is not possible here any more")?;
            Ok(Verdict::Inconclusive)
        }
    }
}
