//! The blocks of the page, as Markdown.

use super::plots;
use crate::goals::{FLOOR, Goal, NONE_QUALIFIES, Outcome};
use crate::peers::{SUBJECTS, Subject};
use crate::report::{Figure, Table, once_each};
use crate::results::Results;
use crate::sections::contended::{HARDEST, USUAL};

const NOT_MEASURED: &str = "Not measured in this run.\n";

pub(super) fn machine(results: &Results) -> String {
    let machine = results.machine.to_string();
    let quick = results.quick.then_some("warning: a quick run, of few and short rounds, to see that everything works");
    list(machine.lines().chain(quick))
}

/// Those with a limit: a row for each, a column for each file system.
pub(super) fn goals(results: &Results) -> String {
    let begin = |goal: &Goal| vec![goal.what.clone(), goal.limit()];
    of_goals(results, &["Goal", "Limit"], Goal::has_limit, begin)
}

/// What is only told.
pub(super) fn beside(results: &Results) -> String {
    let told = of_goals(results, &["What"], |goal| !goal.has_limit(), |goal| vec![goal.what.clone()]);
    if SUBJECTS.iter().any(Subject::qualifies) {
        return told;
    }
    let mut sentence = NONE_QUALIFIES.to_owned();
    sentence[..1].make_ascii_uppercase();
    format!("{sentence}, so none of them sets a limit.\n\n{told}")
}

fn of_goals(results: &Results, head: &[&str], chosen: fn(&Goal) -> bool, begin: fn(&Goal) -> Vec<String>) -> String {
    let goals: Vec<_> = results.goals.iter().filter(|goal| chosen(goal)).collect();
    if goals.is_empty() {
        return NOT_MEASURED.to_owned();
    }
    let places = once_each(goals.iter().map(|goal| goal.file_system.clone()));
    let mut rows = once_each(goals.iter().map(|goal| begin(goal)));
    for row in &mut rows {
        let of_row: Vec<_> = goals.iter().filter(|goal| begin(goal) == *row).collect();
        row.extend(places.iter().map(|place| {
            let goal = of_row.iter().find(|goal| goal.file_system == *place);
            goal.map_or_else(String::new, |goal| outcome(goal))
        }));
    }
    let head: Vec<_> = head.iter().copied().chain(places.iter().map(String::as_str)).collect();
    grid(&head, &rows)
}

fn outcome(goal: &Goal) -> String {
    match goal.outcome {
        Outcome::Reached => format!("{}, {}", goal.value(), goal.outcome.name()),
        Outcome::Missed => format!("{}, **{}**", goal.value(), goal.outcome.name()),
        Outcome::NotMeasured => goal.outcome.name().to_owned(),
        Outcome::NoLimit => goal.value(),
    }
}

pub(super) fn peers(results: &Results) -> String {
    let yes = |given: bool| if given { "yes" } else { "no" };
    let row = |subject: &Subject| {
        let Subject { name, call, waits, stampede, namespaces, tells, why, .. } = subject;
        let version = results.versions.get(*name).map_or("", String::as_str);
        let gives = if *name == FLOOR { ["-"; 3] } else { [yes(*stampede), yes(*namespaces), tells.name()] };
        [&[*name, version, *call, &*waits.name()], &gives[..], &[*why]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let head = ["Lock", "Version", "Calls", "Waits", "Stampede", "Two namespaces", "Tells", "Why"];
    grid(&head, &SUBJECTS.iter().map(row).collect::<Vec<_>>())
}

/// The tables of a section, its plots, and what is missing in it.
pub(super) fn section(results: &Results, name: &str) -> String {
    section_where(results, name, |_| true) + &plots::links(results, name) + &missing(results, name)
}

/// The cases of the goals.
pub(super) fn contended(results: &Results) -> String {
    section_where(results, "contended", is_goal) + &plots::links(results, "contended") + &missing(results, "contended")
}

pub(super) fn contended_others(results: &Results) -> String {
    // Without an empty line, what is inside of an HTML element is not Markdown.
    format!("\n{}\n", section_where(results, "contended", |case| !is_goal(case)))
}

fn is_goal(case: &str) -> bool {
    [USUAL, HARDEST].iter().any(|goal| goal.name() == case)
}

fn section_where(results: &Results, name: &str, chosen: fn(&str) -> bool) -> String {
    let tables = results.report.tables(name);
    let texts: Vec<_> = tables.iter().filter(|table| chosen(table.case)).map(markdown).collect();
    if texts.is_empty() { NOT_MEASURED.to_owned() } else { texts.join("\n") }
}

fn missing(results: &Results, name: &str) -> String {
    let lines: Vec<_> = results.report.missing_of(name).map(|it| format!("{}: {}", it.subject, it.why)).collect();
    if lines.is_empty() { String::new() } else { format!("\nMissing:\n\n{}", list(lines.iter().map(String::as_str))) }
}

fn markdown(table: &Table<'_>) -> String {
    let part = |part: Table<'_>| {
        let columns = part.columns();
        let cells = |row: String| {
            let cells = columns.iter().map(|column| part.cell(&row, column)).collect::<Vec<_>>();
            [vec![row], cells].concat()
        };
        let head: Vec<_> = [""].into_iter().chain(columns.iter().map(String::as_str)).collect();
        grid(&head, &part.rows().into_iter().map(cells).collect::<Vec<_>>())
    };
    let parts: Vec<_> = parts(table).into_iter().map(part).collect();
    format!("**{}**\n\n{}", table.title(), parts.join("\n"))
}

/// Columns that have rows in common stand in one table: with all in one, most cells would be empty.
fn parts<'a>(table: &Table<'a>) -> Vec<Table<'a>> {
    let mut parts: Vec<Vec<&'a Figure>> = Vec::new();
    for column in table.columns() {
        let figures: Vec<_> = table.figures.iter().copied().filter(|figure| figure.column() == column).collect();
        let within = |these: &[&Figure], those: &[&Figure]| {
            these.iter().all(|this| those.iter().any(|that| this.row() == that.row()))
        };
        match parts.iter_mut().find(|part| within(part, &figures) || within(&figures, part)) {
            Some(part) => part.extend(figures),
            None => parts.push(figures),
        }
    }
    parts.into_iter().map(|figures| Table { figures, ..*table }).collect()
}

/// A table.
fn grid(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    // No text ends its cell.
    let escaped = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>();
    let rows: Vec<_> = rows.iter().map(|row| line(&escaped(row))).collect();
    format!("| {} |\n|{}\n{}", head.join(" | "), "---|".repeat(head.len()), rows.concat())
}

fn list<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(|line| format!("- {line}\n")).collect::<Vec<_>>().concat()
}
