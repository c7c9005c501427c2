//! A directory's locks as rows: each lock with those who wait for it, filtered and in order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::SystemTime;

use session_lock::metrics::Contention;
use session_lock::payload::Payload;
use session_lock::{Inspection, State};

use super::query::{Column, Only, Order, Query};
use crate::source::Survey;

/// A session that has a claim, or somebody who waits.
pub(super) struct Row<'a> {
    pub(super) session: &'a str,
    /// `None` where only the records of those who wait name the session: the claim is not there, or not yet.
    pub(super) lock: Option<&'a Inspection>,
    /// Acquires that wait, first come first, of all processes, as they recorded it.
    pub(super) waits: Vec<&'a Contention>,
}

impl<'a> Row<'a> {
    pub(super) fn payload(&self) -> Option<&'a Payload> {
        self.lock?.holder.as_ref()?.payload.as_ref()
    }

    /// When the claim was written.
    pub(super) fn since(&self) -> Option<SystemTime> {
        self.payload()?.created_at
    }

    /// How many wait. A record tells of at most eight of each process, but of its own a process knows all.
    pub(super) fn waiting(&self) -> usize {
        self.waits.len().max(self.lock.map_or(0, |lock| lock.waiters.here.len()))
    }

    pub(super) fn state(&self) -> &'static str {
        self.lock.map_or("no_claim", |lock| lock.state.as_str())
    }

    fn is_held(&self) -> bool {
        self.lock.is_some_and(|lock| matches!(lock.state, State::Held | State::ForeignHeld | State::Inherited))
    }

    fn is(&self, only: Only) -> bool {
        match only {
            Only::Waited => self.waiting() > 0,
            Only::State(state) => self.lock.is_some_and(|lock| lock.state == state),
        }
    }

    /// Whether its session, its holder or who waits contains the text, which is in lower case.
    fn contains(&self, text: &str) -> bool {
        let has = |field: &str| field.to_lowercase().contains(text);
        let payload = self.payload();
        let of_payload = |payload: &Payload| {
            let pid = payload.pid.map(|pid| pid.to_string());
            let trace = payload.traceparent.map(|span| span.to_string());
            let texts = [payload.host.as_deref(), payload.label.as_deref(), pid.as_deref(), trace.as_deref()];
            texts.into_iter().flatten().any(has)
        };
        has(self.session)
            || payload.is_some_and(of_payload)
            || self.waits.iter().any(|wait| wait.label.as_deref().is_some_and(has) || has(&wait.pid.to_string()))
    }

    /// In ascending order. What is not known comes last in either direction, so it is no part of this.
    fn compare(&self, other: &Self, column: Column) -> Option<Ordering> {
        let (one, two) = (self.payload(), other.payload());
        match column {
            Column::Session => Some(self.session.cmp(other.session)),
            Column::State => Some(self.state().cmp(other.state())),
            Column::Waiters => Some(self.waiting().cmp(&other.waiting())),
            Column::Holder => known(one.map(|one| (&one.host, one.pid)), two.map(|two| (&two.host, two.pid))),
            // The later it began, the younger it is.
            Column::Since => known(other.since(), self.since()),
            Column::Token => known(one.and_then(|one| one.token), two.and_then(|two| two.token)),
            Column::Trace => known(trace(one), trace(two)),
        }
    }

    fn has(&self, column: Column) -> bool {
        match column {
            Column::Session | Column::State | Column::Waiters => true,
            Column::Holder => self.payload().is_some(),
            Column::Since => self.since().is_some(),
            Column::Token => self.payload().is_some_and(|payload| payload.token.is_some()),
            Column::Trace => trace(self.payload()).is_some(),
        }
    }
}

fn trace(payload: Option<&Payload>) -> Option<String> {
    payload?.traceparent.map(|span| span.to_string())
}

fn known<T: Ord>(one: Option<T>, two: Option<T>) -> Option<Ordering> {
    Some(one?.cmp(&two?))
}

/// All rows, by session.
pub(super) fn rows(survey: &Survey) -> Vec<Row<'_>> {
    let mut waits: BTreeMap<&str, Vec<&Contention>> = BTreeMap::new();
    for wait in survey.metrics.iter().flat_map(|metrics| &metrics.waits) {
        waits.entry(&wait.session).or_default().push(wait);
    }
    let with_file = survey.locks.iter().map(|lock| {
        let waits = waits.remove(lock.name.as_str()).unwrap_or_default();
        Row { session: &lock.name, lock: Some(lock), waits }
    });
    let mut rows: Vec<_> = with_file.collect();
    rows.extend(waits.into_iter().map(|(session, waits)| Row { session, lock: None, waits }));
    rows
}

/// Those that the query asks for, in its order. Of equals, who is held comes first, the oldest first, then by name.
pub(super) fn chosen<'a>(rows: Vec<Row<'a>>, query: &Query) -> Vec<Row<'a>> {
    let text = query.text.to_lowercase();
    let mut rows: Vec<_> = rows
        .into_iter()
        .filter(|row| query.only.is_none_or(|only| row.is(only)))
        .filter(|row| text.is_empty() || row.contains(&text))
        .collect();
    rows.sort_by(|one, two| {
        let asked = match one.compare(two, query.column) {
            Some(ordering) if query.order == Order::Descending => ordering.reverse(),
            Some(ordering) => ordering,
            None => two.has(query.column).cmp(&one.has(query.column)),
        };
        let held = || two.is_held().cmp(&one.is_held());
        let since = || match (one.since(), two.since()) {
            (Some(one), Some(two)) => one.cmp(&two),
            (one, two) => two.is_some().cmp(&one.is_some()),
        };
        asked.then_with(held).then_with(since).then_with(|| one.session.cmp(two.session))
    });
    rows
}
