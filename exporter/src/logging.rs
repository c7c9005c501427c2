//! The log: to stderr, in one of two formats.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use session_lock_exporter::otlp::Otlp;

use crate::arguments::{Format, Level, Log};

/// Logs from now on, and sends spans if `otlp` is there.
pub(crate) fn set_up(log: &Log, otlp: Option<&Otlp>) {
    let level = match log.level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    // What other crates say at lower levels is about their insides; tracing-logfmt repeats a span's fields.
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("session_lock", level);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        Format::Logfmt => {
            let logfmt =
                tracing_logfmt::builder().with_target(false).with_span_name(false).with_span_path(false).layer();
            Box::new(logfmt.with_writer(std::io::stderr))
        }
        Format::Json => Box::new(
            tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_writer(std::io::stderr),
        ),
    };
    tracing_subscriber::registry().with(lines.with_filter(targets)).with(otlp.map(Otlp::layer)).init();
}
