//! An acquire and its hold as `tracing` spans: what [`Event`]s become beside what the caller's sink makes of them.
//!
//! | Span | Parent | From | To |
//! |---|---|---|---|
//! | `session_lock.acquire` | the caller's span at the first poll | the first poll | `Acquired`, `NotAcquired` |
//! | `session_lock.hold` | the same; follows from the acquire's | `Acquired` | `Released` |
//! | `session_lock.release` | the hold's | before the first step of the release | `Released` |
//!
//! Three things are no events, because nothing has happened yet or there is more to say than a metric can: where an acquire
//! [begins](Spans::begin), where a release [begins](Spans::releasing), and what error it was that ended one
//! ([`Spans::failed`]).
//!
//! All of it belongs to the subscriber that the acquire began under, also on the watcher's thread, which has no default of
//! its own. Without a subscriber there is nothing: no allocation, no formatting, one comparison for each event.
//!
//! What a text of others contains is a value, never a name, and is shown through [`crate::shown`].

mod names;
#[cfg(feature = "otel")]
mod otel;

use crate::event::{Event, NotAcquired, ReleaseOutcome};
use crate::holder::Holder;
use crate::label::Label;
use crate::payload::TraceParent;
use crate::process::Process;
use crate::request::Request;
use crate::shown::{shown, shown_path};
use names::Named;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tracing::field::Empty;
use tracing::span::EnteredSpan;
use tracing::{Dispatch, Span, dispatcher};

#[cfg(not(feature = "otel"))]
use without_otel as otel;

const TARGET: &str = "session_lock";

/// The spans of one request, shared by its clones. None if nobody listened when it began.
#[derive(Clone, Default)]
pub(crate) struct Spans(Option<Arc<Open>>);

/// The spans of a request that waits. They end with the request, not in the queue: that may run anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct WeakSpans(Weak<Open>);

struct Open {
    process: &'static Process,
    dispatch: Dispatch,
    live: Mutex<Live>,
}

/// The spans that have begun and not ended; the others are none.
struct Live {
    caller: Span,
    acquire: Span,
    hold: Span,
    release: Span,
    linked: Option<TraceParent>,
}

/// A span with what all spans of a request say. Without a parent it is a child of the thread's current span.
macro_rules! span {
    ($name:literal, $request:expr $(, parent: $parent:expr)? $(; $($fields:tt)*)?) => {
        tracing::info_span!(
            target: TARGET,
            $(parent: $parent,)?
            $name,
            file.path = shown_path(&$request.directory.claim_path(&$request.session)).to_string(),
            file.lock.mechanism = "ofd",
            process.pid = i64::from($request.directory.process.asker().pid),
            session_lock.session = text(&$request.session.name),
            session_lock.label = $request.label.as_deref().map(text),
            session_lock.outcome = Empty,
            "error.type" = Empty,
            error.message = Empty,
            otel.status_code = Empty
            $(, $($fields)*)?
        )
    };
}

/// An event on a span. Its message is its name, because not every subscriber shows names.
macro_rules! event {
    ($level:ident, $name:literal, $span:expr $(, $($fields:tt)*)?) => {
        tracing::event!(
            name: $name,
            target: TARGET,
            parent: $span,
            tracing::Level::$level,
            message = $name
            $(, $($fields)*)?
        )
    };
}

/// An event that somebody may want to see without any span, and so says itself what it is about.
macro_rules! warning {
    ($name:literal, $span:expr, $request:expr $(, $($fields:tt)*)?) => {
        event!(WARN, $name, $span, session_lock.session = text(&$request.session.name) $(, $($fields)*)?)
    };
}

/// An event that tells of a holder.
macro_rules! holder_event {
    ($name:literal, $span:expr, $holder:expr, $($fields:tt)*) => {
        let says = $holder.and_then(|holder| holder.payload.as_ref());
        event!(
            INFO,
            $name,
            $span,
            session_lock.holder.pid = says.and_then(|says| says.pid).map(i64::from),
            session_lock.holder.pid_ns = says.and_then(|says| says.pid_ns).map(integer),
            session_lock.holder.host = says.and_then(|says| says.host.as_deref()).map(text),
            session_lock.holder.label = says.and_then(|says| says.label.as_deref()).map(text),
            session_lock.holder.token = says.and_then(|says| says.token).map(integer),
            $($fields)*
        )
    };
}

impl Spans {
    /// Begins the acquire, in the span that the caller is in.
    pub(crate) fn begin(request: &Request) -> Self {
        // Warnings reach a subscriber that wants no spans.
        if !tracing::span_enabled!(target: TARGET, tracing::Level::INFO)
            && !tracing::event_enabled!(target: TARGET, tracing::Level::WARN)
        {
            return Self::default();
        }
        let caller = Span::current();
        let acquire = span!(
            "session_lock.acquire",
            request;
            session_lock.token = Empty,
            session_lock.wait_seconds = Empty,
            session_lock.by = Empty,
            session_lock.reason = Empty
        );
        let dispatch = dispatcher::get_default(Dispatch::clone);
        let (hold, release) = (Span::none(), Span::none());
        let live = Mutex::new(Live { caller, acquire, hold, release, linked: None });
        Self(Some(Arc::new(Open { process: request.directory.process, dispatch, live })))
    }

    /// Enters the acquire for as long as its caller polls it.
    pub(crate) fn enter(&self) -> Option<EnteredSpan> {
        let acquire = self.0.as_ref()?.live().acquire.clone();
        Some(acquire.entered())
    }

    /// Begins the release, and enters it until what is returned is dropped.
    pub(crate) fn releasing(&self, request: &Request) -> Option<EnteredSpan> {
        self.0.as_ref().map(|open| {
            let hold = open.live().hold.clone();
            let release = open.within(|| span!("session_lock.release", request, parent: &hold));
            open.live().release = release.clone();
            release.entered()
        })
    }

    /// What went wrong, before the event that ends the acquire or the release.
    pub(crate) fn failed(&self, error: &(impl Named + Display)) {
        if let Some(open) = &self.0 {
            let span = open.live().innermost().clone();
            span.record("error.message", error.to_string());
            failed(&span, error.name());
        }
    }

    /// The span that a claim written now is to name.
    pub(crate) fn traceparent(&self) -> Option<TraceParent> {
        let span = self.0.as_ref()?.live().innermost().clone();
        otel::traceparent(&span)
    }

    /// The span whose length is observed when it ends: the hold's, or before that the acquire's.
    pub(crate) fn observed(&self) -> Option<TraceParent> {
        let span = {
            let live = self.0.as_ref()?.live();
            (if live.hold.is_disabled() { &live.acquire } else { &live.hold }).clone()
        };
        otel::traceparent(&span)
    }

    pub(crate) fn record(&self, request: &Request, event: &Event) {
        if let Some(open) = &self.0 {
            open.within(|| open.record(request, event));
        }
    }

    pub(crate) fn downgrade(&self) -> WeakSpans {
        WeakSpans(self.0.as_ref().map(Arc::downgrade).unwrap_or_default())
    }
}

impl WeakSpans {
    /// No spans if the request is over.
    pub(crate) fn upgrade(&self) -> Spans {
        Spans(self.0.upgrade())
    }
}

impl Open {
    /// Held only to copy and to move spans, not while these do anything.
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.dispatch, run)
    }

    fn record(&self, request: &Request, event: &Event) {
        let (acquire, hold) = {
            let live = self.live();
            (live.acquire.clone(), live.hold.clone())
        };
        match event {
            Event::Contended { by, holder } => {
                acquire.record("session_lock.by", by.name());
                holder_event!("session_lock.contended", &acquire, holder.as_deref(), session_lock.by = by.name());
                self.link(&acquire, holder.as_deref());
            }
            Event::ReclaimRefused { why } => {
                event!(INFO, "session_lock.reclaim_refused", &acquire, session_lock.why = why.name());
            }
            Event::Reclaimed { reason, from } => {
                acquire.record("session_lock.reason", reason.name());
                holder_event!("session_lock.reclaimed", &acquire, from.as_deref(), session_lock.reason = reason.name());
                self.link(&acquire, from.as_deref());
            }
            Event::Acquired { token, waited, blocked_by: _ } => self.acquired(request, *token, *waited),
            Event::Reentered { token: _ } => event!(DEBUG, "session_lock.reentered", &hold),
            Event::NotAcquired { outcome, waited, blocked_by: _ } => self.not_acquired(*outcome, *waited),
            Event::Released { outcome, held } => self.released(*outcome, *held),
            Event::ClaimRestored => warning!("session_lock.claim_restored", &hold, request),
            Event::Lost { cause } => {
                warning!("session_lock.lost", &hold, request, session_lock.cause = cause.name());
            }
            Event::NotCounted { why } => {
                warning!("session_lock.not_counted", self.live().innermost(), request, session_lock.why = why.as_str());
            }
            Event::HoldExceeded { action } => {
                warning!("session_lock.hold_exceeded", &hold, request, session_lock.action = action.name());
            }
        }
    }

    /// Links to the span that a claim names, which anybody may have written.
    fn link(&self, acquire: &Span, holder: Option<&Holder>) {
        let Some(traceparent) = holder.and_then(|holder| holder.payload.as_ref()?.traceparent) else { return };
        // A holder that was waited for until it died is met twice.
        if self.live().linked.replace(traceparent) != Some(traceparent) {
            otel::link(acquire, traceparent);
        }
    }

    fn acquired(&self, request: &Request, token: u64, waited: Duration) {
        let (caller, acquire) = self.live().take_acquire();
        let token = integer(token);
        acquire.record("session_lock.outcome", "acquired").record("session_lock.token", token);
        acquire.record("session_lock.wait_seconds", waited.as_secs_f64());
        let hold = span!(
            "session_lock.hold",
            request,
            parent: &caller;
            session_lock.token = token,
            session_lock.hold_seconds = Empty
        );
        hold.follows_from(&acquire);
        self.live().hold = hold;
    }

    fn not_acquired(&self, outcome: NotAcquired, waited: Duration) {
        let (_caller, acquire) = self.live().take_acquire();
        acquire.record("session_lock.outcome", outcome.name());
        acquire.record("session_lock.wait_seconds", waited.as_secs_f64());
        match outcome {
            NotAcquired::Timeout => failed(&acquire, outcome.name()),
            NotAcquired::Busy | NotAcquired::Cancelled | NotAcquired::Error => {}
        }
    }

    fn released(&self, outcome: ReleaseOutcome, lasted: Duration) {
        let (hold, release) = self.live().take_hold();
        hold.record("session_lock.outcome", outcome.name()).record("session_lock.hold_seconds", lasted.as_secs_f64());
        release.record("session_lock.outcome", outcome.name());
        match outcome {
            ReleaseOutcome::Lost => {
                failed(&hold, outcome.name());
                failed(&release, outcome.name());
            }
            ReleaseOutcome::Released | ReleaseOutcome::Error => {}
        }
    }
}

impl Live {
    fn innermost(&self) -> &Span {
        [&self.release, &self.hold].into_iter().find(|span| !span.is_disabled()).unwrap_or(&self.acquire)
    }

    fn take_acquire(&mut self) -> (Span, Span) {
        (std::mem::replace(&mut self.caller, Span::none()), std::mem::replace(&mut self.acquire, Span::none()))
    }

    fn take_hold(&mut self) -> (Span, Span) {
        (std::mem::replace(&mut self.hold, Span::none()), std::mem::replace(&mut self.release, Span::none()))
    }
}

/// In a forked child the spans are the parent's: ending them there would report them twice, through a subscriber whose
/// threads and mutexes the child may not have.
impl Drop for Open {
    fn drop(&mut self) {
        if !self.process.is_current() {
            let live = self.live.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget((live.take_acquire(), live.take_hold()));
            std::mem::forget(std::mem::replace(&mut self.dispatch, Dispatch::none()));
        }
    }
}

fn failed(span: &Span, error: &'static str) {
    span.record("error.type", error).record("otel.status_code", "ERROR");
}

fn text(text: &str) -> String {
    shown(text).to_string()
}

/// OpenTelemetry has no unsigned integers. Those that a claim can hold are below 2^53.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Spans have no identity beyond their process.
#[cfg(not(feature = "otel"))]
mod without_otel {
    use crate::payload::TraceParent;
    use tracing::Span;

    pub(super) fn traceparent(_: &Span) -> Option<TraceParent> {
        None
    }

    pub(super) fn link(_: &Span, _: TraceParent) {}
}
