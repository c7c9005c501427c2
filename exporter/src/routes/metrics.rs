//! `/metrics`: every directory is asked at the same time; what has not answered in time is left out, with `up 0`.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use tracing::Instrument;

use crate::exporter::{Exporter, Looked};
use crate::family::{Families, Family, Labels};
use crate::negotiate;
use crate::source::Gathered;

/// How long the first look may take: as long as a scrape that does not say.
const FIRST_LOOK: Duration = Duration::from_secs(10);

pub(super) async fn metrics(State(exporter): State<Exporter>, headers: HeaderMap) -> Response {
    let deadline = Instant::now() + negotiate::budget(&headers);
    let looks =
        join_all(exporter.shared.directories.iter().map(|directory| look(&exporter, directory, deadline))).await;
    let format = negotiate::format(&headers);
    let text = format.encode(&families(&exporter, looks));
    let mut response = perhaps_compressed(&headers, &text);
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    head.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Tries every directory once, so that the exporter can say that it is ready.
pub(crate) async fn first_look(exporter: &Exporter) {
    let deadline = Instant::now() + FIRST_LOOK;
    join_all(exporter.shared.directories.iter().map(|directory| look(exporter, directory, deadline))).await;
}

/// What a look at one directory came to.
struct Look {
    took: Duration,
    gathered: Result<Arc<Gathered>, String>,
}

async fn look(exporter: &Exporter, directory: &Looked, deadline: Instant) -> Look {
    let begin = Instant::now();
    let (source, detail) = (Arc::clone(&directory.source), exporter.shared.detail);
    let span = tracing::info_span!("gather", directory = directory.name, error.type = tracing::field::Empty);
    let answer =
        directory.gather.join(deadline, move || source.gather(deadline, detail)).instrument(span.clone()).await;
    let gathered = answer.map_err(|no_answer| no_answer.to_string());
    let tried = directory.tried.swap(true, Ordering::Relaxed);
    let error = match &gathered {
        Ok(gathered) => gathered.error.as_deref(),
        Err(error) => Some(error.as_str()),
    };
    if let Some(error) = error {
        span.record("error.type", "gather");
        // A missing directory would fill the log at every scrape; `up` says it all the time.
        if tried {
            tracing::debug!(parent: &span, directory = directory.name, error, "directory is not up");
        } else {
            tracing::warn!(parent: &span, directory = directory.name, error, "directory is not up");
        }
    }
    Look { took: begin.elapsed(), gathered }
}

fn families(exporter: &Exporter, looks: Vec<Look>) -> Families {
    let mut families = Families::default();
    let mut up = Family::gauge("session_lock_exporter_up", "Whether all of the directory could be read.");
    let name = "session_lock_exporter_scrape_duration_seconds";
    let mut duration = Family::gauge(name, "How long the look at the directory took.");
    // The exporter's own come first, so that nobody else's family takes their place.
    let mut all: Vec<(Option<&str>, Family)> =
        exporter.shared.own.families().into_iter().map(|family| (None, family)).collect();
    for (directory, look) in exporter.shared.directories.iter().zip(looks) {
        let labels = || Labels::new().with("directory", &directory.name);
        let whole = look.gathered.as_ref().is_ok_and(|gathered| gathered.error.is_none());
        up = up.value(labels(), f64::from(u8::from(whole)));
        duration = duration.value(labels(), look.took.as_secs_f64());
        let gathered = look.gathered.iter().flat_map(|gathered| gathered.families.clone());
        all.extend(gathered.map(|family| (Some(directory.name.as_str()), family.label("directory", &directory.name))));
    }
    all.splice(0..0, [(None, up), (None, duration)]);
    for (directory, family) in all {
        if let Err(left_out) = families.add(family) {
            tracing::error!(directory, family = left_out.name(), "left out: the name has another kind");
        }
    }
    families
}

/// A text as its asker wants it.
pub(super) fn perhaps_compressed(headers: &HeaderMap, text: &str) -> Response {
    if negotiate::gzip(headers) {
        ([(CONTENT_ENCODING, "gzip"), (VARY, "accept-encoding")], compress(text.as_bytes())).into_response()
    } else {
        ([(VARY, "accept-encoding")], text.to_owned()).into_response()
    }
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    written.expect("a Vec takes every write")
}
