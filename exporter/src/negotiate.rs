//! What a request's headers ask for: the format, compression, and how long there is to answer.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING};

use crate::encode::Format;

/// How long an answer may take where the request does not say: Prometheus' default scrape timeout.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that a request can ask for.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(2);

/// What of the scraper's timeout is left for the way there and back.
const OFFSET: Duration = Duration::from_millis(500);

/// The format that `Accept` prefers; the text format where it says nothing of use, never a refusal.
pub(crate) fn format(headers: &HeaderMap) -> Format {
    // Of two with the same q, one that is named beats one that a `*` stands for, then the earlier.
    let mut best = (0.0, false, Format::Text);
    for range in ranges(headers, &ACCEPT) {
        let version = range.parameter("version");
        let offer = match range.name.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => (true, Format::OpenMetrics),
            "text/plain" if matches!(version, None | Some("0.0.4")) => (true, Format::Text),
            "text/*" | "*/*" => (false, Format::Text),
            _ => continue,
        };
        if (range.q, offer.0) > (best.0, best.1) && range.q > 0.0 {
            best = (range.q, offer.0, offer.1);
        }
    }
    best.2
}

/// Whether the client wants gzip.
pub(crate) fn gzip(headers: &HeaderMap) -> bool {
    let quality = |name: &str| {
        let ranges = ranges(headers, &ACCEPT_ENCODING);
        ranges.iter().find(|range| range.name == name).map(|range| range.q)
    };
    let gzip = quality("gzip").or_else(|| quality("*")).unwrap_or(0.0);
    gzip > 0.0 && gzip >= quality("identity").unwrap_or(0.0)
}

/// How long the directories have, of the time that Prometheus says that it waits.
pub(crate) fn budget(headers: &HeaderMap) -> Duration {
    let said = headers.get("x-prometheus-scrape-timeout-seconds").and_then(|value| value.to_str().ok());
    let timeout = said
        .and_then(|text| text.trim().parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|timeout| !timeout.is_zero())
        .map_or(DEFAULT_TIMEOUT, |timeout| timeout.min(LONGEST_TIMEOUT));
    timeout.saturating_sub(OFFSET).max(timeout / 2)
}

/// One of a header's alternatives.
struct Range {
    name: String,
    parameters: Vec<(String, String)>,
    q: f32,
}

impl Range {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn ranges(headers: &HeaderMap, name: &axum::http::HeaderName) -> Vec<Range> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(range).collect()
}

/// None for one whose q is no number from 0 to 1.
fn range(text: &str) -> Option<Range> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let parameters: Vec<_> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
        .collect();
    let mut range = Range { name, parameters, q: 1.0 };
    if let Some(q) = range.parameter("q") {
        range.q = q.parse().ok().filter(|q| (0.0..=1.0).contains(q))?;
    }
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().expect("a name"), HeaderValue::from_str(value).expect("a value"))])
    }

    #[test]
    fn the_format_follows_accept() {
        use Format::{OpenMetrics, Text};
        // What Prometheus 2.30 and 3.5 send, then what tries to confuse.
        for (accept, expected) in [
            ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Text),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            ("", Text),
            ("*/*", Text),
            ("application/*", Text),
            ("application/json", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.3", Text),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.2", OpenMetrics),
            ("*/*, application/openmetrics-text", OpenMetrics),
            ("text/plain, application/openmetrics-text", Text),
            ("application/openmetrics-text;q=NaN", Text),
            ("application/openmetrics-text;q=7", Text),
            (";;,,;q=", Text),
        ] {
            assert_eq!(format(&headers("accept", accept)), expected, "{accept:?}");
        }
    }

    #[test]
    fn gzip_only_where_it_is_wanted() {
        for (accept, expected) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("*", true),
            ("", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("identity;q=1, gzip;q=0.5", false),
            ("br", false),
        ] {
            assert_eq!(gzip(&headers("accept-encoding", accept)), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_budget_leaves_time_for_the_way() {
        let budget_of = |text| budget(&headers("x-prometheus-scrape-timeout-seconds", text)).as_secs_f64();
        for (said, expected) in [("10", 9.5), ("1", 0.5), ("0.2", 0.1), ("1e9", 119.5), ("5.5", 5.0)] {
            assert!((budget_of(said) - expected).abs() < 1e-6, "{said}: {}", budget_of(said));
        }
        for unusable in ["", "0", "-1", "NaN", "inf", "soon"] {
            assert!((budget_of(unusable) - 9.5).abs() < 1e-6, "{unusable}");
        }
        assert_eq!(budget(&HeaderMap::new()), Duration::from_millis(9500));
    }
}
