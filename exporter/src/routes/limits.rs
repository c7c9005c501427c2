//! What every request passes: it is counted, traced, and those that look at directories are limited in number.

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::exporter::Exporter;

pub(super) async fn counted(State(exporter): State<Exporter>, request: Request, next: Next) -> Response {
    let requests = &exporter.shared.own.requests;
    let in_flight = requests.begin();
    let response = next.run(request).await;
    drop(in_flight);
    requests.answered(response.status().as_u16());
    response
}

/// Attributes as in OpenTelemetry's conventions for HTTP servers. Never the path as it came: only routes are few.
pub(super) async fn traced(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS") => known,
        _ => "_OTHER",
    };
    let span = tracing::info_span!(
        "http_request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    tracing::debug!(parent: &span, status = response.status().as_u16(), "answered");
    response
}

pub(super) async fn at_most(State(exporter): State<Exporter>, request: Request, next: Next) -> Response {
    let Ok(_slot) = exporter.shared.slots.try_acquire() else {
        let most = exporter.shared.max_requests;
        let message = format!("{most} requests are being answered already; try again later.\n");
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    next.run(request).await
}
