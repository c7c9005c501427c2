//! Spans of a run, where the environment asks for them (`OTEL_EXPORTER_OTLP_ENDPOINT`); without it there is no subscriber, and
//! a span costs one comparison.
//!
//! Each section of a worker is a trace: its span, and the lock's within it, with links to the holder that it waited for. The
//! supervisor's is the run. A killed worker takes along what it has not sent: `OTEL_BSP_SCHEDULE_DELAY` says how much
//! that is. Nothing here has a part in the verdict.

use session_lock_exporter::otlp::{self, Otlp};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends spans from now on, until what it gives back is dropped; then for 200 ms at most.
pub(crate) fn start(service: &str) -> anyhow::Result<Option<Otlp>> {
    let Some(otlp) = otlp::from_environment(service)? else { return Ok(None) };
    tracing_subscriber::registry().with(otlp.layer()).try_init()?;
    Ok(Some(otlp))
}
