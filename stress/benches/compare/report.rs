//! What was measured: figures, and what could not be measured and why.

use serde::Serialize;

/// One figure: what a subject took or did, in rounds that were interleaved with those of the other subjects.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) section: &'static str,
    /// `ext4`, `tmpfs`, or `-` where it does not matter.
    pub(crate) file_system: String,
    /// `session-lock`, `floor`, or a peer.
    pub(crate) subject: String,
    /// What was measured: `acquire + release p50`.
    pub(crate) what: String,
    pub(crate) unit: Unit,
    /// On what it depends, for a curve: how many locks, waiters, processes or files.
    pub(crate) at: Option<u64>,
    /// The median over the rounds, with the least and the greatest.
    pub(crate) value: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
    pub(crate) rounds: usize,
}

/// In what a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Microseconds,
    Milliseconds,
    PerSecond,
    Count,
    Mebibytes,
    Ratio,
}

/// Something that is named in the report instead of being left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Missing {
    pub(crate) section: &'static str,
    pub(crate) subject: String,
    /// Why, and what to do to have it measured.
    pub(crate) why: String,
}

/// All that a run has measured so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) figures: Vec<Figure>,
    pub(crate) missing: Vec<Missing>,
}

impl Figure {
    /// Of what the rounds came to, of which there is at least one.
    pub(crate) fn of(
        section: &'static str,
        file_system: &str,
        subject: &str,
        what: &str,
        unit: Unit,
        rounds: &[f64],
    ) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(&least), Some(&greatest)) = (sorted.first(), sorted.last()) else {
            panic!("{subject}, {what}: no rounds")
        };
        let value = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let [file_system, subject, what] = [file_system, subject, what].map(str::to_owned);
        Self { section, file_system, subject, what, unit, at: None, value, least, greatest, rounds: rounds.len() }
    }

    pub(crate) fn at(mut self, at: u64) -> Self {
        self.at = Some(at);
        self
    }
}

impl Report {
    #[expect(clippy::print_stdout, reason = "a benchmark prints its result")]
    /// The figures of one section, a line for each, and what is missing there.
    pub(crate) fn print(&self, section: &str) {
        println!("{section}");
        let mut above = String::new();
        for figure in self.figures.iter().filter(|figure| figure.section == section) {
            let Figure { file_system, subject, what, at, unit, value, least, greatest, .. } = figure;
            let what = at.map_or_else(|| what.clone(), |at| format!("{what}, {at}"));
            let group = format!("  {file_system}: {what} ({})", unit.name());
            if group != above {
                println!("{group}");
                above = group;
            }
            println!("    {subject:24} {:>12}   {} to {}", shown(*value), shown(*least), shown(*greatest));
        }
        for missing in self.missing.iter().filter(|missing| missing.section == section) {
            println!("  missing: {}: {}", missing.subject, missing.why);
        }
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::PerSecond => "per second",
            Self::Count => "count",
            Self::Mebibytes => "MiB",
            Self::Ratio => "ratio",
        }
    }
}

/// Three digits that mean something.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
