//! The page at `/`: for each directory a table of its locks, and what goes on in it.

use std::time::{Instant, SystemTime};

use maud::{Markup, html};
use session_lock::metrics::{Contention, Metrics, Value};
use session_lock::payload::Payload;

use super::curve::curves;
use super::query::{Column, LockQuery, Only, Query};
use super::rows::{Row, chosen, rows};
use super::words::{Long, ago, shown};
use super::{Frame, Shown, document, span};

/// Most rows of a directory at a time: a page of ten thousand takes a browser seconds, and nobody reads it. What matters
/// comes first, and the rest is a filter or a link away.
const ROWS: usize = 200;

/// Most waiters that a row names.
const WAITERS: usize = 5;

/// Most contentions that a directory's section lists.
const CONTENTIONS: usize = 12;

/// The page of these directories.
pub(crate) fn overview(frame: &Frame<'_>, query: &Query, directories: &[Shown<'_>]) -> String {
    let search = html! {
        h1 { "Session locks" }
        form role="search" method="get" action=(Query::default().href()) {
            @for (name, value) in query.kept_by_form() {
                input type="hidden" name=(name) value=(value);
            }
            label { "Filter " input type="search" name="q" value=(query.text) placeholder="session, holder, pid, trace" autocomplete="off"; }
            label { "State "
                select name="state" {
                    option value="" { "all" }
                    @for only in Only::ALL {
                        option value=(only.as_str()) selected[query.only == Some(only)] { (words_of(only.as_str())) }
                    }
                }
            }
            button type="submit" { "Show" }
        }
    };
    let main = html! {
        @if query.directory.is_some() {
            p { a href=(Query { directory: None, part: 1, ..query.clone() }.href()) { "All directories" } }
        }
        @if directories.is_empty() { p { "There is no such directory." } }
        @for directory in directories { (section(frame, query, directory)) }
    };
    document(frame, "Session locks", directories, &search, &main)
}

fn section(frame: &Frame<'_>, query: &Query, directory: &Shown<'_>) -> Markup {
    let survey = &*directory.surveyed.survey;
    let now = SystemTime::now();
    let all = rows(survey);
    let total = all.len();
    let waited = all.iter().filter(|row| row.waiting() > 0).count();
    let counts = counts(&all);
    let found = chosen(all, query);
    let parts = found.len().div_ceil(ROWS).max(1);
    let part = if query.directory.is_some() { query.part.min(parts) } else { 1 };
    let begin = (part - 1) * ROWS;
    let visible = &found[begin..found.len().min(begin + ROWS)];
    html! {
        section {
            h2 { (shown(directory.name)) }
            (troubles(directory, now))
            (curves(&survey.samples, Instant::now()))
            p.summary data-news={ (shown(directory.name)) ": " (counts) "; " (waited) " waited for" } {
                @if directory.is_known() || total > 0 { (counts) }
                @if waited > 0 { ", " strong { (waited) " waited for" } }
            }
            @if visible.is_empty() {
                p.none { @if !directory.is_known() { "What locks there are is not known." } @else if total == 0 { "Nobody holds a lock here." } @else { "None of the " (total) " is like that." } }
            } @else {
                (table(frame, query, directory.name, visible, begin, (found.len(), total), now))
                @if parts > 1 { (turns(query, directory.name, part, parts)) }
            }
            @if let Some(metrics) = &survey.metrics {
                (contentions(frame, directory.name, &metrics.contentions, now))
                (reclaims(metrics))
            }
        }
    }
}

/// Why what is shown is not all, or not of now.
pub(super) fn troubles(directory: &Shown<'_>, now: SystemTime) -> Markup {
    let (surveyed, error) = (&directory.surveyed, directory.surveyed.survey.error.as_deref());
    let damaged = directory.surveyed.survey.metrics.as_ref().map_or(0, |metrics| metrics.slots.damaged);
    html! {
        @if let Some(silent) = &surveyed.silent {
            p.trouble {
                strong { "No news: " } (shown(silent)) ". "
                @match surveyed.at {
                    Some(at) => { "What stands here was seen " (ago(at, now)) " ago." },
                    None => { "Nothing was seen of it yet." },
                }
            }
        }
        @if let Some(error) = error { p.trouble { strong { "Not all: " } (shown(error)) } }
        @if damaged > 0 {
            p.trouble { strong { "Counts are lost: " } "slots of counters that are damaged: " (damaged) "." }
        }
    }
}

/// How many locks there are in each state.
fn counts(rows: &[Row<'_>]) -> String {
    if rows.is_empty() {
        return "No locks".to_owned();
    }
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        match counts.iter_mut().find(|(state, _)| *state == row.state()) {
            Some((_, count)) => *count += 1,
            None => counts.push((row.state(), 1)),
        }
    }
    counts.sort_unstable();
    counts.iter().map(|(state, count)| format!("{count} {}", words_of(state))).collect::<Vec<_>>().join(", ")
}

fn table(
    frame: &Frame<'_>,
    query: &Query,
    directory: &str,
    visible: &[Row<'_>],
    begin: usize,
    (found, total): (usize, usize),
    now: SystemTime,
) -> Markup {
    html! {
        div.scroll {
            table.locks role="table" {
                caption {
                    "Locks " (begin + 1) " to " (begin + visible.len()) " of " (found)
                    @if found < total { " that the filter lets through, of " (total) }
                }
                thead role="rowgroup" { tr role="row" { @for column in Column::ALL { (heading(query, column)) } } }
                tbody role="rowgroup" { @for row in visible { (line(frame, directory, row, now)) } }
            }
        }
    }
}

fn heading(query: &Query, column: Column) -> Markup {
    let sorted = (query.column == column).then(|| query.order.as_str());
    html! {
        th role="columnheader" scope="col" aria-sort=[sorted] {
            a href=(query.sorted_by(column).href()) {
                (column.heading())
                @match sorted {
                    Some("ascending") => span.arrow aria-hidden="true" { " ▲" },
                    Some(_) => span.arrow aria-hidden="true" { " ▼" },
                    None => {},
                }
            }
        }
    }
}

fn line(frame: &Frame<'_>, directory: &str, row: &Row<'_>, now: SystemTime) -> Markup {
    let payload = row.payload();
    let href = frame.root.to(&LockQuery::href(directory, row.session));
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { a href=(href) { bdi { (shown(row.session)) } } }
            td role="cell" data-label="State" { (state(row)) }
            td role="cell" data-label="Holder" { @match payload { Some(payload) => (holder(payload)), None => "–" } }
            td role="cell" data-label="Age" { @match row.since() { Some(since) => (ago(since, now)), None => "–" } }
            td role="cell" data-label="Waiters" { (waiters(row, now)) }
            td.number role="cell" data-label="Token" { @match payload.and_then(|payload| payload.token) { Some(token) => (token), None => "–" } }
            td role="cell" data-label="Trace" {
                @match payload.and_then(|payload| payload.traceparent) { Some(parent) => (span(frame, &parent)), None => "–" }
            }
        }
    }
}

/// A lock's state in a word, which is what tells it; the colour only repeats it.
pub(super) fn state(row: &Row<'_>) -> Markup {
    html! { span class={ "state " (row.state()) } { (words_of(row.state())) } }
}

fn words_of(name: &str) -> String {
    name.replace(['_', '-'], " ")
}

/// Pid, host and label, as a claim says.
pub(super) fn holder(payload: &Payload) -> Markup {
    html! {
        @match payload.pid { Some(pid) => { "pid " (pid) }, None => { "no pid" } }
        @if let Some(host) = &payload.host { " on " bdi { (shown(host)) } }
        @if let Some(label) = &payload.label { br; bdi.label { (shown(label)) } }
    }
}

fn waiters(row: &Row<'_>, now: SystemTime) -> Markup {
    let named = row.waits.len().min(WAITERS);
    html! {
        @if row.waiting() == 0 { "0" } @else {
            strong { (row.waiting()) }
            @if named > 0 {
                ol { @for wait in &row.waits[..named] { li { (waiter(wait)) ", " (ago(wait.since, now)) } } }
                @if row.waiting() > named { small { "and " (row.waiting() - named) " more" } }
            }
        }
    }
}

/// Who asked.
pub(super) fn waiter(wait: &Contention) -> Markup {
    html! { "pid " (wait.pid) @if let Some(label) = &wait.label { " " bdi.label { (shown(label)) } } }
}

/// The way to the other parts.
fn turns(query: &Query, directory: &str, part: usize, parts: usize) -> Markup {
    html! {
        nav aria-label="Parts of the table" {
            @if part > 1 { a rel="prev" href=(query.part_of(directory, part - 1).href()) { "Previous" } " " }
            "Part " (part) " of " (parts) " "
            @if part < parts { a rel="next" href=(query.part_of(directory, part + 1).href()) { "Next" } }
        }
    }
}

fn contentions(frame: &Frame<'_>, directory: &str, contentions: &[Contention], now: SystemTime) -> Markup {
    html! {
        @if !contentions.is_empty() {
            h3 { "Last contentions" }
            (contention_table(frame, &contentions[..contentions.len().min(CONTENTIONS)], Some(directory), now))
        }
    }
}

/// Who blocked whom, and for how long; with links to the sessions where a directory is given.
pub(super) fn contention_table(
    frame: &Frame<'_>,
    contentions: &[Contention],
    directory: Option<&str>,
    now: SystemTime,
) -> Markup {
    html! {
        div.scroll {
            table.past role="table" {
                caption { "Who waited for whom, the latest first" }
                thead role="rowgroup" { tr role="row" {
                    @if directory.is_some() { th role="columnheader" scope="col" { "Session" } }
                    th role="columnheader" scope="col" { "Who waited" } th role="columnheader" scope="col" { "For" } th role="columnheader" scope="col" { "Holder in the way" } th role="columnheader" scope="col" { "When" }
                } }
                tbody role="rowgroup" { @for contention in contentions { tr role="row" {
                    @if let Some(directory) = directory {
                        th role="rowheader" scope="row" {
                            a href=(frame.root.to(&LockQuery::href(directory, &contention.session))) { bdi { (shown(&contention.session)) } }
                        }
                    }
                    td role="cell" data-label="Who waited" { (waiter(contention)) }
                    td role="cell" data-label="For" { @match contention.waited { Some(waited) => (Long(waited)), None => "still waits" } }
                    td role="cell" data-label="Holder in the way" {
                        @match &contention.holder { Some(payload) => (holder(payload)), None => (shown(&contention.holder().to_string())) }
                    }
                    td role="cell" data-label="When" { (ago(contention.since, now)) " ago" }
                } } }
            }
        }
    }
}

fn reclaims(metrics: &Metrics) -> Markup {
    let families = metrics.families().filter(|(family, _)| family.name == "session_lock_reclaim_total");
    let by_reason = families.flat_map(|(family, values)| family.values.iter().zip(values));
    let happened: Vec<_> = by_reason.filter(|(_, value)| *value != Value::Number(0)).collect();
    html! {
        h3 { "Reclaims by reason" }
        @if happened.is_empty() { p.none { "None: no claim of a dead owner was ever taken over here." } } @else {
            ul.reclaims { @for (reason, value) in &happened {
                @if let Value::Number(count) = value { li { b { (count) } " " (words_of(reason)) } }
            } }
        }
    }
}
