//! What an acquire was asked for, and what is told of how it goes.

use crate::directory::Directory;
use crate::event::{Event, HoldExceeded, NotAcquired, Sink};
use crate::holder::HolderKind;
use crate::name::Session;
use crate::payload::{OfHold, TraceParent};
use crate::spans::{Spans, WeakSpans};
use crate::sys;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) directory: Arc<Directory>,
    pub(crate) session: Arc<Session>,
    pub(crate) label: Option<String>,
    pub(crate) grace: Duration,
    /// How long holds of this process may follow each other.
    pub(crate) tenure: Duration,
    pub(crate) sink: Option<Arc<dyn Sink>>,
    pub(crate) reports: Reports,
    pub(crate) counters: Counters,
    pub(crate) started: Instant,
    pub(crate) max_hold: Option<(Duration, HoldExceeded)>,
    /// Which request of this process.
    pub(crate) number: u64,
    /// Of the process, when it began.
    pub(crate) instance: u64,
    /// What kind of holder was in the way.
    pub(crate) blocked_by: Option<HolderKind>,
    pub(crate) spans: Spans,
}

/// Who waits: what an acquire says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) label: Option<String>,
    pub(crate) since: Instant,
    /// The number of its request.
    pub(crate) number: u64,
    pub(crate) spans: WeakSpans,
}

/// What is said of what happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reports {
    Everything,
    /// It takes locks over, but no application acquires anything.
    Reclaims,
}

/// Whether a directory's counters count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counters {
    Kept,
    Off,
}

impl Request {
    /// One that takes a dead owner's lock over to release it at once, for nobody in particular.
    pub(crate) fn reclaiming(
        directory: &Arc<Directory>,
        session: &Arc<Session>,
        sink: Option<Arc<dyn Sink>>,
        counters: Counters,
    ) -> Self {
        let process = directory.process;
        Self {
            directory: Arc::clone(directory),
            session: Arc::clone(session),
            label: None,
            grace: Duration::ZERO,
            tenure: Duration::ZERO,
            sink,
            reports: Reports::Reclaims,
            counters,
            started: sys::clock::now(),
            max_hold: None,
            number: process.number(),
            instance: process.instance(),
            blocked_by: None,
            spans: Spans::default(),
        }
    }

    pub(crate) fn record(&self, event: &Event) {
        let is_reclaim = matches!(event, Event::Reclaimed { .. } | Event::ReclaimRefused { .. });
        if self.reports == Reports::Everything || is_reclaim {
            // Asked first, because the event may end the span.
            let is_observed = matches!(event, Event::Acquired { .. } | Event::Released { .. });
            let span = if is_observed { self.spans.observed() } else { None };
            self.spans.record(self, event);
            self.count(event, span);
            self.tell(event);
        }
    }

    fn tell(&self, event: &Event) {
        if let Some(sink) = &self.sink {
            sink.record(&self.session.name, event);
        }
    }

    fn count(&self, event: &Event, span: Option<TraceParent>) {
        if self.counters == Counters::Off {
            return;
        }
        let recorded = self.directory.recorder.record(self, event, span);
        if recorded.flush_later {
            self.directory.process.watcher.flush_later(&self.directory);
        }
        if let Some(why) = recorded.failed {
            let why = std::io::Error::from(why).to_string();
            let event = Event::NotCounted { why };
            self.spans.record(self, &event);
            self.tell(&event);
        }
    }

    pub(crate) fn asked(&self) -> Asked {
        Asked { label: self.label.clone(), since: self.started, number: self.number, spans: self.spans.downgrade() }
    }

    pub(crate) fn waited(&self) -> Duration {
        sys::clock::now().saturating_duration_since(self.started)
    }

    pub(crate) fn not_acquired(&self, outcome: NotAcquired) {
        self.record(&Event::NotAcquired { outcome, waited: self.waited(), blocked_by: self.blocked_by });
    }
}

/// Whom a claim is written for.
pub(crate) trait Claimant {
    /// What it says of a hold that begins now.
    fn of_hold(&self, token: u64) -> OfHold<'_>;
}

impl Claimant for Request {
    fn of_hold(&self, token: u64) -> OfHold<'_> {
        of_hold(token, self.label.as_deref(), &self.spans)
    }
}

impl Claimant for Asked {
    fn of_hold(&self, token: u64) -> OfHold<'_> {
        of_hold(token, self.label.as_deref(), &self.spans.upgrade())
    }
}

fn of_hold<'a>(token: u64, label: Option<&'a str>, spans: &Spans) -> OfHold<'a> {
    OfHold { created_at: Some(sys::clock::wall()), token: Some(token), traceparent: spans.traceparent(), label }
}
