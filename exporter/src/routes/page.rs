//! `/`, `/lock`, `/events` and what they need.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::{OriginalUri, RawQuery, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response, Sse};
use futures_util::future::join_all;

use super::metrics::perhaps_compressed;
use crate::exporter::{Exporter, Looked};
use crate::live::{self, MOST_STREAMS};
use crate::page::{self, Frame, LockQuery, Query, Root, Shown};

/// Nothing but what comes from here, and no frame around it: a session's name that became markup could load and say nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) async fn overview(
    State(exporter): State<Exporter>,
    OriginalUri(uri): OriginalUri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = Query::parse(&query.unwrap_or_default());
    let asked = |directory: &&Looked| query.directory.as_ref().is_none_or(|name| *name == directory.name);
    let directories = exporter.shared.directories.iter().filter(asked);
    let shown = join_all(directories.map(|directory| shown(&exporter, directory))).await;
    let status = if shown.is_empty() && query.directory.is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    html(status, &headers, &page::overview(&frame(&exporter, Root::of_overview(&uri)), &query, &shown))
}

pub(super) async fn lock(
    State(exporter): State<Exporter>,
    OriginalUri(uri): OriginalUri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = LockQuery::parse(&query.unwrap_or_default());
    let directory = exporter.shared.directories.iter().find(|directory| directory.name == query.directory);
    let status = if directory.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let directory = match directory {
        Some(directory) => Some(shown(&exporter, directory).await),
        None => None,
    };
    let frame = frame(&exporter, Root::of_lock());
    html(status, &headers, &page::one(&frame, &query, directory, &page::overview_from_lock(&uri)))
}

async fn shown<'a>(exporter: &Exporter, directory: &'a Looked) -> Shown<'a> {
    Shown { name: &directory.name, surveyed: live::surveyed(&exporter.shared.live, directory).await }
}

fn frame(exporter: &Exporter, root: Root) -> Frame<'_> {
    let shared = &exporter.shared;
    Frame { root, telemetry_path: &shared.telemetry_path, trace_url: shared.trace_url.as_ref() }
}

fn html(status: StatusCode, headers: &HeaderMap, page: &str) -> Response {
    let head = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (status, head, perhaps_compressed(headers, page)).into_response()
}

/// When to fetch a page anew.
pub(super) async fn events(State(exporter): State<Exporter>) -> Response {
    let Some(stream) = live::stream(&exporter) else {
        let message = format!("{MOST_STREAMS} pages are open already, or this is about to end; try again later.\n");
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], message).into_response();
    };
    // For a proxy that would collect the events first.
    ([("x-accel-buffering", "no")], Sse::new(stream)).into_response()
}

pub(super) async fn style(headers: HeaderMap) -> Response {
    file(&headers, "text/css; charset=utf-8", page::STYLE)
}

pub(super) async fn script(headers: HeaderMap) -> Response {
    file(&headers, "text/javascript; charset=utf-8", page::SCRIPT)
}

/// A file of the binary. Asked for each time, because the next binary may have another one under the same name.
fn file(headers: &HeaderMap, content_type: &'static str, text: &'static str) -> Response {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    let has = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|tags| tags.contains(&etag));
    let head = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, etag)];
    if has {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, [(CONTENT_TYPE, content_type)], text).into_response()
}

/// What a browser may do with any of these.
pub(super) async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let rules: [(HeaderName, &str); 3] =
        [(CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")];
    response.headers_mut().extend(rules.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}
