//! Spans to an OpenTelemetry collector, for any program here that has `tracing` spans.
//!
//! The standard environment variables set it up, and nothing is set up without an endpoint:
//! `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `…_HEADERS`, `…_TIMEOUT`, `…_CERTIFICATE`, each with
//! `TRACES` in it too; `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`,
//! `OTEL_TRACES_EXPORTER=none`, `OTEL_SDK_DISABLED=true`, and the limits of batches and spans. The protocol is
//! `http/protobuf`; another one in `OTEL_EXPORTER_OTLP_PROTOCOL` is an error.
//!
//! A collector that does not answer costs spans and never time: they leave from a thread of their own, are not sent again,
//! and at the end of the program there are 200 ms for those that have not left yet.
//!
//! ```no_run
//! use tracing_subscriber::layer::SubscriberExt as _;
//! use tracing_subscriber::util::SubscriberInitExt as _;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let otlp = session_lock_exporter::otlp::from_environment("my-service")?;
//! tracing_subscriber::registry().with(otlp.as_ref().map(|otlp| otlp.layer())).init();
//! // … spans …
//! drop(otlp);
//! # Ok(())
//! # }
//! ```

mod client;

use std::env;
use std::fmt;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use client::Client;

/// How long spans may still leave when the program ends.
pub const SHUTDOWN: Duration = Duration::from_millis(200);

/// Spans are sent while this lives. Dropping it sends what is left, for at most [`SHUTDOWN`].
#[derive(Debug)]
pub struct Otlp {
    provider: SdkTracerProvider,
}

/// Why spans cannot be sent: what is wrong with the environment variables, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpError(String);

impl fmt::Display for OtlpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OtlpError {}

/// What the environment asks for; none if it asks for nothing. `service` is the service's name where the environment gives
/// none. No connection is made before the first spans leave.
///
/// # Errors
///
/// [`OtlpError`] where it asks for what is not there: another protocol, a URL that is none, a certificate that cannot be
/// read.
pub fn from_environment(service: &str) -> Result<Option<Otlp>, OtlpError> {
    let off = setting("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || setting("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    if off || otlp_setting("ENDPOINT").is_none() {
        return Ok(None);
    }
    if let Some((name, protocol)) = otlp_setting("PROTOCOL").filter(|(_, protocol)| protocol != "http/protobuf") {
        return Err(OtlpError(format!("{name}: {protocol:?} is not supported, only http/protobuf")));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::from_environment().map_err(OtlpError)?)
        // A collector that is gone for a while costs the spans of that while; nothing piles up, and no end waits for it.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|error| OtlpError(format!("OTEL_EXPORTER_OTLP_*: {error}")))?;
    let mut resource = Resource::builder();
    let attributes = setting("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let named = attributes.split(',').any(|attribute| attribute.trim_start().starts_with("service.name="));
    if setting("OTEL_SERVICE_NAME").is_none() && !named {
        resource = resource.with_service_name(service.to_owned());
    }
    let provider = SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build();
    Ok(Some(Otlp { provider }))
}

impl Otlp {
    /// The layer that takes spans from `tracing`, from level *info* on; none of those that sending them makes.
    #[must_use]
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let quiet = ["opentelemetry", "hyper", "h2", "rustls"].map(|target| (target, LevelFilter::OFF));
        let targets = Targets::new().with_default(LevelFilter::INFO).with_targets(quiet);
        let tracer = self.provider.tracer("session-lock");
        tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false).with_filter(targets)
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(SHUTDOWN) {
            tracing::debug!(error = %error, "not all spans left");
        }
    }
}

/// The variable's value; an empty one counts as unset, as the specification has it.
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A setting of the exporter: the one for traces, or else the one for all signals, with its name.
fn otlp_setting(name: &str) -> Option<(String, String)> {
    let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
    names.into_iter().find_map(|name| setting(&name).map(|value| (name, value)))
}
