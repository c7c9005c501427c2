//! What was measured: figures, and what could not be measured and why.

use serde::{Deserialize, Deserializer, Serialize};

/// A name, because a reference here would have serde borrow it from what it reads.
type SectionName = &'static str;

/// One figure: what a subject took or did, in rounds that were interleaved with those of the other subjects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    #[serde(deserialize_with = "section_name")]
    pub(crate) section: SectionName,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Missing {
    #[serde(deserialize_with = "section_name")]
    pub(crate) section: SectionName,
    pub(crate) subject: String,
    /// Why, and what to do to have it measured.
    pub(crate) why: String,
}

/// All that a run has measured so far.
#[derive(Debug, Default, Serialize, Deserialize)]
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
        for table in self.tables(section) {
            print!("{}", table.text());
        }
        for missing in self.missing_of(section) {
            println!("  missing: {}: {}", missing.subject, missing.why);
        }
    }

    pub(crate) fn tables(&self, section: &str) -> Vec<Table<'_>> {
        let mut tables: Vec<Table<'_>> = Vec::new();
        for figure in self.figures.iter().filter(|figure| figure.section == section) {
            let (file_system, case) = figure.table();
            match tables.iter_mut().find(|table| (table.file_system, table.case) == (file_system, case)) {
                Some(table) => table.figures.push(figure),
                None => tables.push(Table { file_system, case, figures: vec![figure] }),
            }
        }
        tables
    }

    pub(crate) fn missing_of(&self, section: &str) -> impl Iterator<Item = &Missing> {
        self.missing.iter().filter(move |missing| missing.section == section)
    }
}

/// A figure that is read keeps it to the end.
fn section_name<'de, D: Deserializer<'de>>(name: D) -> Result<SectionName, D::Error> {
    String::deserialize(name).map(|name| &*name.leak())
}

impl Figure {
    /// Figures of one table have the file system in common, and the case: what is before the colon of what was measured.
    fn table(&self) -> (&str, &str) {
        (&self.file_system, self.what.split_once(": ").map_or("", |(case, _)| case))
    }

    pub(crate) fn column(&self) -> String {
        let what = self.what.split_once(": ").map_or(&*self.what, |(_, what)| what);
        let unit = match self.unit {
            Unit::Count | Unit::Ratio | Unit::PerSecond => String::new(),
            unit => format!(" ({})", unit.name()),
        };
        format!("{what}{unit}")
    }

    pub(crate) fn row(&self) -> String {
        self.at.map_or_else(|| self.subject.clone(), |at| format!("{}, {at}", self.subject))
    }

    /// The median, and by how much rounds differ from it; or from where to where they reach, if that is further than the median is
    /// from 0.
    fn cell(&self) -> String {
        let Self { value, least, greatest, rounds, .. } = self;
        let spread = 50.0 * (greatest - least) / value;
        if *rounds < 2 || greatest <= least {
            shown(*value)
        } else if (0.0..=100.0).contains(&spread) {
            format!("{} ±{spread:.0}%", shown(*value))
        } else {
            format!("{} ({} to {})", shown(*value), shown(*least), shown(*greatest))
        }
    }
}

/// A row for each subject, a column for each thing that was measured.
pub(crate) struct Table<'a> {
    pub(crate) file_system: &'a str,
    pub(crate) case: &'a str,
    pub(crate) figures: Vec<&'a Figure>,
}

impl Table<'_> {
    pub(crate) fn title(&self) -> String {
        let Self { file_system, case, .. } = self;
        if case.is_empty() { (*file_system).to_owned() } else { format!("{file_system}, {case}") }
    }

    pub(crate) fn rows(&self) -> Vec<String> {
        once_each(self.figures.iter().map(|figure| figure.row()))
    }

    pub(crate) fn columns(&self) -> Vec<String> {
        once_each(self.figures.iter().map(|figure| figure.column()))
    }

    pub(crate) fn cell(&self, row: &str, column: &str) -> String {
        let figure = self.figures.iter().find(|figure| figure.row() == row && figure.column() == column);
        figure.map_or_else(|| "-".into(), |figure| figure.cell())
    }

    fn text(&self) -> String {
        let (rows, columns) = (self.rows(), self.columns());
        let first = rows.iter().map(|row| row.chars().count()).max().unwrap_or_default();
        let cells: Vec<Vec<_>> =
            rows.iter().map(|row| columns.iter().map(|column| self.cell(row, column)).collect()).collect();
        let width = |at: usize| {
            let longest = cells.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
            longest.max(columns[at].chars().count()) + 2
        };
        let line = |row: &str, cells: &[String]| {
            let cells = cells.iter().enumerate().map(|(at, cell)| format!("{cell:>width$}", width = width(at)));
            format!("    {row:first$}{}\n", cells.collect::<String>())
        };
        let rows = rows.iter().zip(&cells).map(|(row, cells)| line(row, cells));
        [format!("  {}\n", self.title()), line("", &columns)].into_iter().chain(rows).collect()
    }
}

/// In the order in which they come.
pub(crate) fn once_each<T: PartialEq>(names: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
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
