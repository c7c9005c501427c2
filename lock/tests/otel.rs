//! Spans as OpenTelemetry gets them: the holder's span is in its claim, and whoever waits for it links to it.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use opentelemetry::trace::{SpanContext, SpanId, Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use session_lock::metrics::Value;
use session_lock::payload::{Content, TraceParent};
use session_lock::{LockDir, LockError};
use std::fs::File;
use std::future::{Future, IntoFuture};
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::process::{OtherProcess, example};
use support::spans::Collector;
use support::{LONG, SHORT, lock_dir, wait_until};
use tracing::info_span;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

const ACQUIRE: &str = "session_lock.acquire";
const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Exports into memory, from this thread, until the guard is dropped.
fn export(sampler: Sampler) -> (InMemorySpanExporter, Collector, DefaultGuard) {
    let (exporter, seen) = (InMemorySpanExporter::default(), Collector::default());
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer).with(seen.clone());
    (exporter, seen, tracing::subscriber::set_default(subscriber))
}

/// The only exported span with this name.
fn only(exporter: &InMemorySpanExporter, name: &str) -> SpanData {
    let mut spans = exporter.get_finished_spans().expect("exported");
    spans.retain(|span| span.name == name);
    assert_eq!(spans.len(), 1, "{name}: {spans:?}");
    spans.remove(0)
}

/// As a claim names it.
fn name(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags())
}

fn links(span: &SpanData) -> Vec<String> {
    span.links.iter().map(|link| name(&link.span_context)).collect()
}

fn traceparent(dir: &Path) -> Option<TraceParent> {
    let bytes = std::fs::read(dir.join("s.lock")).expect("there is a claim");
    Content::classify(&bytes).payload().expect("a payload").traceparent
}

#[test]
fn a_waiter_links_to_the_holder_in_another_process() {
    let (dir, locks) = lock_dir();
    let holder = OtherProcess::run(example("traced"), dir.path(), "s");
    holder.wait_for("held");
    let theirs = traceparent(dir.path()).expect("the claim names the holder's span");
    assert!(theirs.is_sampled());
    let (exporter, seen, _exporting) = export(Sampler::AlwaysOn);
    let releasing = std::thread::spawn(move || {
        wait_until(|| seen.has_event("session_lock.contended"));
        holder.release()
    });
    let guard = info_span!("caller").in_scope(|| locks.lock("s").timeout(LONG).blocking()).expect("released");
    let ours = traceparent(dir.path()).expect("the claim names our span");
    drop(guard);
    let said = releasing.join().expect("no panic");
    assert!(
        said.contains(&format!("  links to {theirs}")),
        "its hold follows from the span that its claim named: {said:?}"
    );

    let [caller, acquire, hold, release] =
        ["caller", ACQUIRE, "session_lock.hold", "session_lock.release"].map(|name| only(&exporter, name));
    assert_eq!(links(&acquire), [theirs.to_string()]);
    assert!(acquire.links.iter().all(|link| link.span_context.is_remote()));
    assert_eq!(name(&acquire.span_context), ours.to_string());
    assert_eq!(links(&hold), [ours.to_string()]);
    // Linked, and in a trace of its own.
    assert_ne!(ours.trace_id, theirs.trace_id);
    for (span, parent) in [(&acquire, &caller), (&hold, &caller), (&release, &hold)] {
        assert_eq!(span.parent_span_id, parent.span_context.span_id());
        assert_eq!(span.span_context.trace_id(), caller.span_context.trace_id());
        assert_eq!(span.status, Status::Unset);
    }
    let [contended] = acquire.events.events.as_slice() else { panic!("{:?}", acquire.events) };
    assert_eq!(contended.name, "session_lock.contended");
    let pid =
        acquire.attributes.iter().find(|attribute| attribute.key.as_str() == "process.pid").expect("there is one");
    assert_eq!(pid.value, opentelemetry::Value::I64(std::process::id().into()), "a number is a number");
}

#[test]
fn who_takes_over_links_to_the_dead_holder_once() {
    let (dir, locks) = lock_dir();
    let holder = OtherProcess::run(example("traced"), dir.path(), "s");
    holder.wait_for("held");
    let theirs = traceparent(dir.path()).expect("named").to_string();
    let (exporter, seen, _exporting) = export(Sampler::AlwaysOn);
    let killing = std::thread::spawn(move || {
        wait_until(|| seen.has_event("session_lock.contended"));
        holder.kill();
    });
    // In its way until it is killed, and taken over then.
    drop(locks.lock("s").timeout(LONG).blocking().expect("its owner is dead"));
    killing.join().expect("no panic");
    let acquire = only(&exporter, ACQUIRE);
    assert_eq!(links(&acquire), [theirs]);
    assert_eq!(acquire.parent_span_id, SpanId::INVALID);
    let events: Vec<_> = acquire.events.iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(events, ["session_lock.contended", "session_lock.reclaimed"]);

    // And of one that was dead already.
    let holder = OtherProcess::run(example("traced"), dir.path(), "s");
    holder.wait_for("held");
    let theirs = traceparent(dir.path()).expect("named").to_string();
    holder.kill();
    exporter.reset();
    drop(locks.lock("s").timeout(LONG).blocking().expect("its owner is dead"));
    assert_eq!(links(&only(&exporter, ACQUIRE)), [theirs]);
}

/// A living older peer whose claim says this; and what an acquire that waits for it, and one that takes it over, link to.
fn linked(locks: &LockDir, dir: &Path, traceparent: &str) -> [Vec<String>; 2] {
    let (exporter, _seen, _exporting) = export(Sampler::AlwaysOn);
    let mut peer = File::create_new(dir.join("s.lock")).expect("no claim");
    let json = serde_json::json!({ "pid": 1, "traceparent": traceparent });
    peer.write_all(json.to_string().as_bytes()).expect("written");
    let timed_out = locks.lock("s").timeout(SHORT).blocking();
    assert!(matches!(timed_out, Err(LockError::Timeout { .. })));
    let waited = only(&exporter, ACQUIRE);
    assert_eq!(waited.status, Status::error(""));
    drop(peer);
    exporter.reset();
    drop(locks.lock("s").timeout(LONG).blocking().expect("its owner is gone"));
    let took_over = only(&exporter, ACQUIRE);
    for span in [&waited, &took_over] {
        assert_eq!(span.parent_span_id, SpanId::INVALID, "never a parent");
        assert_ne!(span.span_context.trace_id().to_string(), VALID[3..35]);
    }
    [links(&waited), links(&took_over)]
}

#[test]
fn what_a_claim_says_is_linked_to_only_if_it_is_well_formed() {
    let (dir, locks) = lock_dir();
    assert_eq!(linked(&locks, dir.path(), VALID), [[VALID], [VALID]], "the control");
    for hostile in [
        "",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\u{1b}[31m",
    ] {
        let none: [Vec<String>; 2] = Default::default();
        assert_eq!(linked(&locks, dir.path(), hostile), none, "{hostile:?}");
    }
}

#[test]
fn a_claim_that_is_put_back_names_the_hold() {
    let (dir, locks) = lock_dir();
    let (exporter, seen, _exporting) = export(Sampler::AlwaysOn);
    let guard = locks.lock("s").blocking().expect("free");
    std::fs::remove_file(dir.path().join("s.lock")).expect("there is one");
    wait_until(|| seen.has_event("session_lock.claim_restored"));
    let named = traceparent(dir.path()).expect("named").to_string();
    drop(guard);
    let hold = only(&exporter, "session_lock.hold");
    assert_eq!(named, name(&hold.span_context));
    assert_eq!(hold.events.len(), 1);
}

/// Also while it has not been polled again.
#[test]
fn a_claim_that_goes_on_within_a_process_names_who_is_next() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let locks = LockDir::options().tenure(Duration::MAX).open(dir.path()).expect("a directory for locks");
    let (exporter, _seen, _exporting) = export(Sampler::AlwaysOn);
    let guard = locks.lock("s").blocking().expect("free");
    let mut next = pin!(locks.lock("s").into_future());
    let mut poll = || next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending());
    drop(guard);
    let named = traceparent(dir.path()).expect("named");
    exporter.reset();
    let Poll::Ready(Ok(_guard)) = poll() else { panic!("it was handed on") };
    assert_eq!(named.to_string(), name(&only(&exporter, ACQUIRE).span_context));
    assert_eq!(traceparent(dir.path()), Some(named));
}

#[test]
fn a_claim_says_whether_its_span_is_sampled_and_nothing_without_one() {
    let (dir, locks) = lock_dir();
    {
        let (exporter, _seen, _exporting) = export(Sampler::AlwaysOff);
        let guard = locks.lock("s").blocking().expect("free");
        assert!(!traceparent(dir.path()).expect("named all the same").is_sampled());
        drop(guard);
        assert_eq!(exporter.get_finished_spans().expect("exported").len(), 0);
    }
    let guard = locks.lock("s").blocking().expect("free");
    assert_eq!(traceparent(dir.path()), None, "nobody listens");
    drop(guard);
    let (_seen, _listening) = Collector::listen();
    let _guard = locks.lock("s").blocking().expect("free");
    assert_eq!(traceparent(dir.path()), None, "nobody exports");
}

/// The counters keep one observation for each bucket with the span in which it was made, for those who read them elsewhere;
/// what is not sampled leaves no trace, and so names none.
#[test]
fn counters_name_the_sampled_spans_of_what_they_count() {
    for (sampler, sampled) in [(Sampler::AlwaysOn, true), (Sampler::AlwaysOff, false)] {
        let (_dir, locks) = lock_dir();
        let (exporter, _seen, _exporting) = export(sampler);
        locks.lock("s").blocking().expect("free").release().expect("held to the end");
        let exemplars = |metric, value| {
            let metrics = locks.metrics().expect("readable");
            let Some(Value::Histogram { exemplars, .. }) = metrics.get(metric, value) else { panic!("{metric}") };
            exemplars.into_iter().flatten().collect::<Vec<_>>()
        };
        let both = || [exemplars("session_lock_wait_seconds", "acquired"), exemplars("session_lock_hold_seconds", "")];
        if !sampled {
            std::thread::sleep(SHORT);
            assert_eq!(both(), [vec![], vec![]]);
            continue;
        }
        wait_until(|| both().iter().all(|found| found.len() == 1));
        for (found, span) in both().iter().zip([ACQUIRE, "session_lock.hold"]) {
            let context = only(&exporter, span).span_context;
            assert_eq!(found[0].trace_id.get().to_be_bytes(), context.trace_id().to_bytes(), "{span}");
            assert_eq!(found[0].span_id.get().to_be_bytes(), context.span_id().to_bytes(), "{span}");
        }
    }
}
