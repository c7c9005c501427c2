//! `/`: links to what there is.

use axum::extract::{OriginalUri, State};
use axum::response::Html;

use crate::exporter::Exporter;

pub(super) async fn landing(State(exporter): State<Exporter>, OriginalUri(uri): OriginalUri) -> Html<String> {
    // Mounted somewhere, the page is at that path, with or without a slash.
    let base = escape(uri.path().trim_end_matches('/'));
    let telemetry = &exporter.shared.telemetry_path;
    let link = |path: &str| format!("<li><a href=\"{base}{path}\">{base}{path}</a></li>\n");
    let links: String =
        [telemetry, "/api/v1/locks", "/api/v1/contention", "/-/ready", "/-/healthy"].into_iter().map(link).collect();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>session-lock-exporter</title></head>\n\
         <body>\n<h1>session-lock-exporter</h1>\n<p>Version {}</p>\n<ul>\n{links}</ul>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
