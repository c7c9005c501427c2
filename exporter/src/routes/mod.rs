//! The routes; each module answers its own.

mod api;
mod health;
mod limits;
mod metrics;
mod page;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;

use crate::exporter::Exporter;

/// Paths that the metrics cannot have.
pub(crate) const TAKEN: [&str; 9] =
    ["/", "/lock", "/events", "/page.css", "/page.js", "/-/healthy", "/-/ready", "/api/v1/locks", "/api/v1/contention"];

pub(crate) use metrics::first_look;

pub(crate) fn router(exporter: &Exporter) -> Router {
    let pages = Router::new().route("/", get(page::overview)).route("/lock", get(page::lock));
    let pages = pages.route_layer(from_fn_with_state(exporter.clone(), limits::at_most));
    // A stream is none of those: it looks at nothing by itself, and would keep a place for as long as its page is open.
    let pages = pages
        .route("/events", get(page::events))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route_layer(from_fn(page::guarded));
    let looking = Router::new()
        .route(&exporter.shared.telemetry_path, get(metrics::metrics))
        .route("/api/v1/locks", get(api::locks))
        .route("/api/v1/contention", get(api::contention))
        .route_layer(from_fn_with_state(exporter.clone(), limits::at_most));
    Router::new()
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .merge(looking)
        .merge(pages)
        .layer(from_fn(limits::traced))
        .layer(from_fn_with_state(exporter.clone(), limits::counted))
        .with_state(exporter.clone())
}
