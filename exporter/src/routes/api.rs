//! `/api/v1/*`: the directories' own JSON, one entry for each. What is in it says the [`Source`](crate::Source).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures_util::future::join_all;
use serde_json::value::{RawValue, to_raw_value};

use crate::exporter::{Exporter, Looked, Written};
use crate::flight::Flight;
use crate::negotiate;
use crate::source::Source;

const TEXT: &str = "text can be written as JSON";

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
    flight: fn(&Looked) -> &Flight<Written>,
    ask: fn(&dyn Source, Instant) -> Written,
) -> impl IntoResponse + use<> {
    let deadline = Instant::now() + negotiate::budget(headers);
    let answers = join_all(exporter.shared.directories.iter().map(|directory| async move {
        let source = Arc::clone(&directory.source);
        let answer = flight(directory).join(deadline, move || ask(&*source, deadline)).await;
        let error = match answer.as_deref() {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.clone()),
            Err(no_answer) => Some(no_answer.to_string()),
        };
        (to_raw_value(&directory.name).expect(TEXT), to_raw_value(&error).expect(TEXT), answer.ok())
    }));
    let answers = answers.await;
    // By reference: what a directory says may be megabytes.
    let mut entries = Vec::new();
    for (name, error, answer) in &answers {
        let value: &RawValue = match answer.as_deref() {
            Some(Ok(value)) => value,
            _ => RawValue::NULL,
        };
        entries.push(BTreeMap::from([("directory", &**name), ("error", &**error), (field, value)]));
    }
    let mut body = serde_json::to_string(&BTreeMap::from([("directories", entries)])).expect(TEXT);
    body.push('\n');
    let head = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (head, body)
}
