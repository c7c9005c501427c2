//! The page of one lock: what its claim says, in words and field by field, who waits, and who did.

use std::time::SystemTime;

use maud::{Markup, html};
use serde_json::Value;
use session_lock::payload::Payload;

use super::overview::{contention_table, state, troubles, waiter};
use super::query::LockQuery;
use super::rows::rows;
use super::words::{ago, shown};
use super::{Frame, Shown, document, span};

/// The page of a session's lock, with the way to all of them.
pub(crate) fn one(frame: &Frame<'_>, query: &LockQuery, directory: Option<Shown<'_>>, overview: &str) -> String {
    let name = shown(&query.session);
    let search = html! {
        p { a href=(overview) { "All locks" } }
        h1 { bdi { (name) } }
    };
    let directories: Vec<_> = directory.into_iter().collect();
    let main = html! {
        @match directories.first() {
            Some(directory) => (lock(frame, &query.session, directory)),
            None => p { "There is no directory " bdi { (shown(&query.directory)) } "." },
        }
    };
    document(frame, &format!("{name} – session lock"), &directories, &search, &main)
}

fn lock(frame: &Frame<'_>, session: &str, directory: &Shown<'_>) -> Markup {
    let survey = &*directory.surveyed.survey;
    let now = SystemTime::now();
    let row = rows(survey).into_iter().find(|row| row.session == session);
    let past = survey.metrics.iter().flat_map(|metrics| &metrics.contentions);
    let past: Vec<_> = past.filter(|contention| contention.session == session).cloned().collect();
    html! {
        p { "In " (shown(directory.name)) }
        (troubles(directory, now))
        @match &row {
            None if !directory.is_known() => p.summary { "Who holds it is not known." },
            None => p.summary data-news="no claim" { span.state.free { "free" } " Nobody holds it: there is no claim." },
            Some(row) => {
                p.summary data-news={ (row.state()) ", " (row.waiting()) " waiting" } {
                    (state(row))
                    @if let Some(since) = row.since() { ", its claim written " (ago(since, now)) " ago" }
                }
                @if let Some(lock) = row.lock { p { bdi { (lock.to_string()) } } }
                @if let Some(payload) = row.payload() { (claim(frame, payload)) }
                h2 { "Waiters" }
                @if row.waiting() == 0 { p.none { "Nobody waits, or nobody has for 10 ms." } } @else {
                    @if row.waiting() > row.waits.len() { p { (row.waiting()) " in all; of each process, at most eight are named." } }
                    ol { @for wait in &row.waits { li { (waiter(wait)) ", for " (ago(wait.since, now)) } } }
                }
            }
        }
        h2 { "Last contentions" }
        @if past.is_empty() { p.none { "None that lasted a millisecond, as far as is remembered." } } @else { (contention_table(frame, &past, None, now)) }
    }
}

/// The claim field by field, as it stands in the file.
fn claim(frame: &Frame<'_>, payload: &Payload) -> Markup {
    let fields = serde_json::from_slice(&payload.encode(0)).unwrap_or_default();
    let Value::Object(fields) = fields else { return Markup::default() };
    html! {
        h2 { "Claim" }
        dl.claim {
            @for (name, value) in &fields {
                div {
                    dt { (shown(name)) }
                    dd {
                        @match value { Value::String(text) => bdi { (shown(text)) }, other => (other) }
                        @if let (true, Some(parent)) = (name == "traceparent" && frame.trace_url.is_some(), &payload.traceparent) {
                            " " (span(frame, parent))
                        }
                    }
                }
            }
        }
    }
}
