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
    /// The figures of one section, and what is missing there.
    #[expect(clippy::print_stdout, reason = "a benchmark prints its result")]
    pub(crate) fn print(&self, section: &str) {
        println!("{section}");
        let figures: Vec<_> = self.figures.iter().filter(|figure| figure.section == section).collect();
        let mut tables = Vec::new();
        for figure in &figures {
            if !tables.contains(&figure.table()) {
                tables.push(figure.table());
            }
        }
        for table in tables {
            let of_table: Vec<_> = figures.iter().copied().filter(|figure| figure.table() == table).collect();
            print!("{}", shown_table(&table, &of_table));
        }
        for missing in self.missing.iter().filter(|missing| missing.section == section) {
            println!("  missing: {}: {}", missing.subject, missing.why);
        }
    }
}

impl Figure {
    /// Figures of one table have the file system in common, and the case: what is before the colon of what was measured.
    fn table(&self) -> (&str, &str) {
        (&self.file_system, self.what.split_once(": ").map_or("", |(case, _)| case))
    }

    fn column(&self) -> String {
        let what = self.what.split_once(": ").map_or(&*self.what, |(_, what)| what);
        let unit = match self.unit {
            Unit::Count | Unit::Ratio | Unit::PerSecond => String::new(),
            unit => format!(" ({})", unit.name()),
        };
        format!("{what}{unit}")
    }

    fn row(&self) -> String {
        self.at.map_or_else(|| self.subject.clone(), |at| format!("{}, {at}", self.subject))
    }

    /// The median, and by how much rounds differ from it.
    fn cell(&self) -> String {
        let spread = 50.0 * (self.greatest - self.least) / self.value;
        if self.rounds < 2 || !spread.is_finite() {
            shown(self.value)
        } else {
            format!("{} ±{spread:.0}%", shown(self.value))
        }
    }
}

/// A row for each subject, a column for each thing that was measured.
fn shown_table((file_system, case): &(&str, &str), figures: &[&Figure]) -> String {
    let (mut rows, mut columns) = (Vec::new(), Vec::new());
    for figure in figures {
        if !rows.contains(&figure.row()) {
            rows.push(figure.row());
        }
        if !columns.contains(&figure.column()) {
            columns.push(figure.column());
        }
    }
    let first = rows.iter().map(|row| row.chars().count()).max().unwrap_or_default();
    let cell = |row: &String, column: &String| {
        figures
            .iter()
            .find(|figure| figure.row() == *row && figure.column() == *column)
            .map_or("-".into(), |it| it.cell())
    };
    let cells: Vec<Vec<_>> = rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
    let width = |at: usize| {
        let longest = cells.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
        longest.max(columns[at].chars().count()) + 2
    };
    let line = |row: &str, cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(at, cell)| format!("{cell:>width$}", width = width(at)));
        format!("    {row:first$}{}\n", cells.collect::<String>())
    };
    let title = if case.is_empty() { format!("  {file_system}\n") } else { format!("  {file_system}, {case}\n") };
    let rows = rows.iter().zip(&cells).map(|(row, cells)| line(row, cells));
    [title, line("", &columns)].into_iter().chain(rows).collect()
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
