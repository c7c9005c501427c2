//! What observing costs: an uncontended acquire and release with counters and spans on and off. Each way has a process of its
//! own, because a subscriber anywhere in a process changes what spans cost everywhere in it.

use super::cost::{percentile, us};
use super::member::{Member, ready, told};
use crate::report::{Figure, Missing, Report, Unit};
use crate::run::{Place, Run};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use session_lock::LockDir;
use std::time::Instant;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

const SECTION: &str = "observed";
const WHAT: &str = "acquire + release p50";
const OPERATIONS: usize = 500;
/// As they are called in the table; the role knows them by their number. The last is the first once more.
const WAYS: [&str; 5] = ["neither", "counters", "OTLP layer, 1 %", "OTLP layer, 100 %", "neither, again"];

pub(crate) fn run(run: &Run, report: &mut Report) {
    for place in &run.places {
        measure(run, place, report);
    }
    report.missing.push(Missing {
        section: SECTION,
        subject: "spans without a subscriber, by instruction count".to_owned(),
        why: "spans cannot be left out of one build and be in the other within a run; two builds, of which one has the feature \
              `max_level_off` of the crate tracing, under `valgrind --tool=callgrind` show it"
            .to_owned(),
    });
}

fn measure(run: &Run, place: &Place, report: &mut Report) {
    let start = |way: usize| {
        let dir = place.fresh("observed");
        let mut command = run.role("observed");
        command.arg(dir.path()).arg(way.to_string());
        (Member::start(command), dir)
    };
    let mut members: [_; WAYS.len()] = std::array::from_fn(start);
    let mut samples: [Vec<f64>; WAYS.len()] = Default::default();
    for round in 0..=run.either(100, 20) {
        for ((member, _), samples) in members.iter_mut().zip(&mut samples) {
            member.tell("go");
            let [p50] = member.numbers();
            // The first makes what is made once.
            if round > 0 {
                samples.push(p50);
            }
        }
    }
    let neither = samples[0].clone();
    let mut figure = |way: &str, what: &str, unit, values: &[f64]| {
        report.figures.push(Figure::of(SECTION, &place.file_system, way, what, unit, values));
    };
    for (way, samples) in WAYS.iter().zip(&samples) {
        figure(way, WHAT, Unit::Microseconds, samples);
    }
    for (way, samples) in WAYS.iter().zip(&samples).skip(1) {
        let ratios: Vec<_> = samples.iter().zip(&neither).map(|(with, without)| with / without).collect();
        figure(way, "p50, / neither", Unit::Ratio, &ratios);
    }
    for (way, samples) in WAYS.iter().zip(&samples).skip(1) {
        let more: Vec<_> = samples.iter().zip(&neither).map(|(with, without)| (with - without) / 2.0).collect();
        figure(way, "more for each of the two operations, p50", Unit::Microseconds, &more);
    }
}

/// Acquires and releases in the way of this number, as often as it is told.
pub(crate) fn acquire(arguments: &[String]) {
    let [dir, way] = arguments else { panic!("{arguments:?}") };
    let way = WAYS[way.parse::<usize>().expect("a number")];
    let options = LockDir::options();
    let options = if way == "counters" { options } else { options.without_counters() };
    let locks = options.open(dir).expect("a directory for locks");
    let sampler = match way {
        "OTLP layer, 1 %" => Some(Sampler::TraceIdRatioBased(0.01)),
        "OTLP layer, 100 %" => Some(Sampler::AlwaysOn),
        _ => None,
    };
    if let Some(sampler) = sampler {
        tracing::dispatcher::set_global_default(layer(sampler)).expect("there is none");
    }
    ready();
    while told().is_some() {
        let operation = |_| {
            let began = Instant::now();
            locks.lock("s").blocking().expect("free").release().expect("released");
            began.elapsed()
        };
        println!("{}", us(percentile(&mut (0..OPERATIONS).map(operation).collect::<Vec<_>>(), 50)));
    }
}

/// Takes what is exported, and does nothing with it: what a collector costs is its own affair.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// An OpenTelemetry layer that exports in batches.
fn layer(sampler: Sampler) -> Dispatch {
    let provider = SdkTracerProvider::builder().with_batch_exporter(Nowhere).with_sampler(sampler).build();
    // As `session_lock_exporter::otlp` sets it up.
    let layer = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_tracer(provider.tracer("bench"));
    Dispatch::new(tracing_subscriber::registry().with(layer))
}
