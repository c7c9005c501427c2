//! What observing costs: an uncontended acquire and release with counters and spans off and on, in the same run.
//!
//! `cargo bench -p session-lock --features otel --bench observed`
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod support;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use session_lock::LockDir;
use std::time::{Duration, Instant};
use support::{percentile, places, print_machine, us};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

const ROUNDS: usize = 30;
const PER_ROUND: usize = 500;

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

fn main() {
    print_machine();
    println!("uncontended acquire + release, p50 in µs; {ROUNDS} interleaved rounds of {PER_ROUND}\n");
    let goals = ["", "<= 10 %", "<= 2 %", "<= 3 µs an operation, of which there are two", ""];
    let names = ["neither", "counters", "no subscriber", "OTLP layer, 1 %", "OTLP layer, all"];
    let dispatches = [
        Dispatch::none(),
        Dispatch::none(),
        Dispatch::none(),
        layer(Sampler::TraceIdRatioBased(0.01)),
        layer(Sampler::AlwaysOn),
    ];
    for (file_system, dir) in places() {
        let counted = LockDir::open(dir.path()).expect("open");
        let uncounted = LockDir::options().without_counters().open(dir.path()).expect("open");
        let handles = [&uncounted, &counted, &uncounted, &uncounted, &uncounted];
        let mut samples: [Vec<Duration>; 5] = std::array::from_fn(|_| Vec::new());
        for round in 0..ROUNDS {
            for ((locks, dispatch), samples) in handles.iter().zip(&dispatches).zip(&mut samples) {
                tracing::dispatcher::with_default(dispatch, || {
                    for _ in 0..PER_ROUND {
                        let began = Instant::now();
                        locks.lock("s").blocking().expect("free").release().expect("released");
                        if round > 0 {
                            samples.push(began.elapsed());
                        }
                    }
                });
            }
        }
        let p50 = samples.each_mut().map(|samples| percentile(samples, 50));
        println!("{file_system}");
        for ((name, goal), time) in names.iter().zip(goals).zip(p50) {
            let more = time.as_secs_f64() - p50[0].as_secs_f64();
            let percent = 100.0 * more / p50[0].as_secs_f64();
            println!("  {name:16} {:>8}  {:>+7.2} µs {percent:>+7.1} %  {goal}", us(time), more * 1e6);
        }
    }
}
