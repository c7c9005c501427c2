//! `/-/healthy` and `/-/ready`.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;

use crate::exporter::Exporter;

/// Liveness in Prometheus' sense: a restart helps if this does not answer. So it asks nothing that can block.
pub(super) async fn healthy() -> &'static str {
    "session-lock-exporter is healthy.\n"
}

/// Ready once every directory was tried, also if it failed: a missing directory is for an alert on `up`, and a second
/// exporter would not find it either.
pub(super) async fn ready(State(exporter): State<Exporter>) -> (StatusCode, String) {
    exporter.first_look();
    let directories = &exporter.shared.directories;
    let untried: Vec<_> = directories
        .iter()
        .filter(|directory| !directory.tried.load(Ordering::Relaxed))
        .map(|directory| directory.name.as_str())
        .collect();
    if untried.is_empty() {
        return (StatusCode::OK, "session-lock-exporter is ready.\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not tried yet: {}\n", untried.join(", ")))
}
