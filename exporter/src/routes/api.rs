//! `/api/v1/*`: the directories' own JSON, one entry for each. What is in it says the [`Source`](crate::Source).

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::exporter::{Exporter, Looked};
use crate::flight::Flight;
use crate::negotiate;
use crate::source::Source;

pub(super) async fn locks(State(exporter): State<Exporter>, headers: HeaderMap) -> impl IntoResponse {
    let ask = |source: &dyn Source, deadline| source.locks(deadline);
    answer(&exporter, &headers, "locks", |directory| &directory.locks, ask).await
}

pub(super) async fn contention(State(exporter): State<Exporter>, headers: HeaderMap) -> impl IntoResponse {
    let ask = |source: &dyn Source, deadline| source.contention(deadline);
    answer(&exporter, &headers, "contention", |directory| &directory.contention, ask).await
}

async fn answer(
    exporter: &Exporter,
    headers: &HeaderMap,
    field: &str,
    flight: fn(&Looked) -> &Flight<Result<Value, String>>,
    ask: fn(&dyn Source, Instant) -> Result<Value, String>,
) -> impl IntoResponse + use<> {
    let deadline = Instant::now() + negotiate::budget(headers);
    let answers = join_all(exporter.shared.directories.iter().map(|directory| async move {
        let source = Arc::clone(&directory.source);
        let answer = flight(directory).join(deadline, move || ask(&*source, deadline)).await;
        let (value, error) = match answer.as_deref() {
            Ok(Ok(value)) => (value.clone(), None),
            Ok(Err(error)) => (Value::Null, Some(error.clone())),
            Err(no_answer) => (Value::Null, Some(no_answer.to_string())),
        };
        json!({ "directory": directory.name, "error": error, field: value })
    }));
    let body = json!({ "directories": answers.await });
    let head = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (head, format!("{body}\n"))
}
