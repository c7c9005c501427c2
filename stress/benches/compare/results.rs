//! All of a run, as its file of JSON has it.

use crate::goals::{self, Goal};
use crate::machine::Machine;
use crate::peers::SUBJECTS;
use crate::report::Report;
use crate::run::Run;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    /// Of the peers that have one.
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) report: Report,
    /// They follow from the report, so they are not read back.
    #[serde(skip_deserializing)]
    pub(crate) goals: Vec<Goal>,
}

impl Results {
    /// Of a run that begins.
    pub(crate) fn new(run: &Run) -> Self {
        let version = |name: &str, version: Option<String>| Some((name.to_owned(), version?));
        Self {
            machine: Machine::new(run.places.iter().map(|place| place.file_system.clone()).collect()),
            quick: run.quick,
            versions: SUBJECTS.iter().filter_map(|subject| version(subject.name, subject.version(run))).collect(),
            report: Report::default(),
            goals: Vec::new(),
        }
    }

    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let place = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {place}"))?;
        let mut results: Self = serde_json::from_str(&text).with_context(|| format!("{place} has no figures"))?;
        results.goals = goals::of(&results.report);
        Ok(results)
    }

    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("figures are JSON")?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}
