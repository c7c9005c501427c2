//! The page at `/` and a page for each lock, for people who ask who holds what, since when, who waits, and why.
//!
//! | Module | What |
//! |---|---|
//! | `query` | what a request's query asks for: filter, order, and which part |
//! | `rows` | a directory's locks as rows, filtered and in order |
//! | `overview`, `one` | the two pages |
//! | `curve` | a counter's last minutes as an inline picture |
//! | `words` | times, and text that others wrote |
//!
//! HTML is made by functions (`maud`), in which every text is escaped unless somebody says otherwise; nobody does. All that
//! it links to is relative, since a router can be mounted anywhere and does not know where a proxy puts it.

mod curve;
mod one;
mod overview;
mod query;
mod rows;
mod words;

use axum::http::Uri;
use maud::{DOCTYPE, Markup, html};

pub(crate) use one::one;
pub(crate) use overview::overview;
pub(crate) use query::{LockQuery, Query};
use session_lock::payload::TraceParent;
use words::{clock, rfc3339};

use crate::live::Surveyed;

/// The files that the pages need.
pub(crate) const STYLE: &str = include_str!("page.css");
pub(crate) const SCRIPT: &str = include_str!("page.js");

/// A directory, as a page gets it.
pub(crate) struct Shown<'a> {
    pub(crate) name: &'a str,
    pub(crate) surveyed: Surveyed,
}

impl Shown<'_> {
    /// Whether what is not there is known not to be there.
    fn is_known(&self) -> bool {
        self.surveyed.at.is_some() && self.surveyed.survey.error.is_none()
    }
}

/// What both pages need to know.
pub(crate) struct Frame<'a> {
    pub(crate) root: Root,
    pub(crate) telemetry_path: &'a str,
    pub(crate) trace_url: Option<&'a TraceUrl>,
}

/// The way from a page to the router's root, as the beginning of a relative reference.
pub(crate) struct Root(String);

impl Root {
    /// For a page that is at this path, as it was asked for, and so many levels below the root.
    ///
    /// Mounted somewhere, the root itself may be asked for without a slash at its end. Then a reference begins one level
    /// above it.
    pub(crate) fn of_overview(uri: &Uri) -> Self {
        match uri.path().rsplit_once('/') {
            Some((_, last)) if !last.is_empty() => Self(format!("./{last}/")),
            _ => Self("./".to_owned()),
        }
    }

    pub(crate) fn of_lock() -> Self {
        Self("./".to_owned())
    }

    fn to(&self, path: &str) -> String {
        format!("{}{}", self.0, path.trim_start_matches('/'))
    }
}

/// The root itself, from the page of a lock: a router that is mounted is at a path without a slash at its end.
pub(crate) fn overview_from_lock(uri: &Uri) -> String {
    let mounted = uri.path().rsplit_once('/').and_then(|(above, _)| above.rsplit_once('/'));
    mounted.map_or_else(|| "./".to_owned(), |(_, last)| format!("../{last}"))
}

/// An address with places for the ids of a trace and a span.
#[derive(Debug)]
pub(crate) struct TraceUrl(String);

impl TraceUrl {
    /// `None` for what leads nowhere, or to something that a browser would execute.
    pub(crate) fn new(template: &str) -> Option<Self> {
        let leads = ["http://", "https://"].iter().any(|scheme| template.starts_with(scheme));
        let names = ["{trace_id}", "{span_id}"].iter().any(|place| template.contains(place));
        (leads && names).then(|| Self(template.to_owned()))
    }

    fn to(&self, span: &TraceParent) -> String {
        let (trace_id, span_id) = (format!("{:032x}", span.trace_id), format!("{:016x}", span.span_id));
        self.0.replace("{trace_id}", &trace_id).replace("{span_id}", &span_id)
    }
}

/// A holder's span: a link where it is known whereto, and the ids as text where not.
fn span(frame: &Frame<'_>, span: &TraceParent) -> Markup {
    let trace_id = format!("{:032x}", span.trace_id);
    let text = html! { code title={ "trace " (trace_id) ", span " (format!("{:016x}", span.span_id)) } { (trace_id[..8]) "…" } };
    html! {
        @match frame.trace_url {
            Some(url) => a href=(url.to(span)) rel="noreferrer" { "trace " (text) },
            None => code.ids { "trace " (trace_id) " span " (format!("{:016x}", span.span_id)) },
        }
        @if !span.is_sampled() { " " small { "not sampled" } }
    }
}

/// A whole page around `search`, which stays while the page is kept up to date, and `main`, which does not.
fn document(frame: &Frame<'_>, title: &str, shown: &[Shown<'_>], search: &Markup, main: &Markup) -> String {
    let version = shown.iter().map(|directory| directory.surveyed.version).max().unwrap_or_default();
    let now = std::time::SystemTime::now();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href=(frame.root.to("page.css"));
                script src=(frame.root.to("page.js")) defer {}
            }
            body data-events=(frame.root.to("events")) {
                a.skip href="#main" { "Skip to the locks" }
                header {
                    (search)
                    p #connection role="status" hidden {}
                    p #news.unseen role="status" {}
                }
                main #main tabindex="-1" data-version=(version) data-now=(words::millis(now)) {
                    (main)
                    p.taken { "As of " time datetime=(rfc3339(now)) { (clock(now)) } " UTC." }
                }
                footer {
                    p { "session-lock-exporter " (env!("CARGO_PKG_VERSION")) }
                    nav aria-label="Machine-readable" {
                        ul {
                            @for path in [frame.telemetry_path, "/api/v1/locks", "/api/v1/contention", "/-/ready", "/-/healthy"] {
                                li { a href=(frame.root.to(path)) { (path) } }
                            }
                        }
                    }
                }
            }
        }
    }
    .into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_to_the_root_from_wherever_a_page_is() {
        for (path, css, overview) in [
            ("/", "./page.css", "./"),
            ("/locks", "./locks/page.css", "./"),
            ("/locks/", "./page.css", "../locks"),
            ("/a/b:c", "./b:c/page.css", "../a"),
        ] {
            let uri = path.parse().expect("a path");
            assert_eq!(Root::of_overview(&uri).to("/page.css"), css, "{path}");
            assert_eq!(overview_from_lock(&uri), overview, "{path}");
        }
    }

    #[test]
    fn traces_are_linked_to_by_http_only() {
        for template in ["javascript:alert('{trace_id}')", "/trace/{trace_id}", "https://traces/"] {
            assert!(TraceUrl::new(template).is_none(), "{template}");
        }
        let span = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("well formed");
        let url = TraceUrl::new("https://traces/{trace_id}?span={span_id}").expect("a good address");
        assert_eq!(url.to(&span), "https://traces/4bf92f3577b34da6a3ce929d0e0e4736?span=00f067aa0ba902b7");
    }
}
