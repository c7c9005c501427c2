//! The routes; each module answers its own.

mod api;
mod health;
mod landing;
mod limits;
mod metrics;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;

use crate::exporter::Exporter;

/// Paths that the metrics cannot have.
pub(crate) const TAKEN: [&str; 5] = ["/", "/-/healthy", "/-/ready", "/api/v1/locks", "/api/v1/contention"];

pub(crate) use metrics::first_look;

pub(crate) fn router(exporter: &Exporter) -> Router {
    let looking = Router::new()
        .route(&exporter.shared.telemetry_path, get(metrics::metrics))
        .route("/api/v1/locks", get(api::locks))
        .route("/api/v1/contention", get(api::contention))
        .route_layer(from_fn_with_state(exporter.clone(), limits::at_most));
    Router::new()
        .route("/", get(landing::landing))
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .merge(looking)
        .layer(from_fn(limits::traced))
        .layer(from_fn_with_state(exporter.clone(), limits::counted))
        .with_state(exporter.clone())
}
