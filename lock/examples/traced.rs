//! Holds the lock of a session until its input ends, and prints each span as it would be exported to OpenTelemetry.
//!
//! ```sh
//! cargo run --features otel --example traced -- DIR SESSION
//! ```
//!
//! Start it twice: the second one waits, and its `session_lock.acquire` links to the span of the first one, which the claim
//! names. Exit codes: 0 it held and released; 2 an error.

#![expect(clippy::print_stdout, reason = "a program prints")]

use opentelemetry::trace::{SpanContext, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use session_lock::LockDir;
use std::error::Error;
use std::io;
use std::process::ExitCode;
use tracing_subscriber::layer::SubscriberExt;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("traced: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [dir, session] = args.as_slice() else { return Err("usage: traced DIR SESSION".into()) };
    let provider = SdkTracerProvider::builder().with_simple_exporter(Lines).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("traced"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    let locks = LockDir::open(dir)?;
    let guard = tracing::info_span!("job").in_scope(|| locks.lock(session).label("example: traced").blocking())?;
    println!("held");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    guard.release()?;
    provider.shutdown()?;
    Ok(())
}

/// Prints instead of exporting.
#[derive(Debug)]
struct Lines;

impl SpanExporter for Lines {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        for span in spans {
            println!("{} {}", span.name, name(&span.span_context));
            for link in span.links.iter() {
                println!("  links to {}", name(&link.span_context));
            }
        }
        Ok(())
    }
}

/// As a claim names it.
fn name(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags())
}
