//! `report.html`: one file that needs nothing else, not even a network.
//!
//! The page (`page/`) is put together here, with all that it shows as JSON in an element of its own. It draws by itself;
//! without scripts it shows the summary. Its security policy forbids it to load anything.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Results;
use crate::figures::{Latency, Spread};
use crate::timeline::Pictures;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 6] = [
    include_str!("page/base.js"),
    include_str!("page/scale.js"),
    include_str!("page/lanes.js"),
    include_str!("page/hands.js"),
    include_str!("page/charts.js"),
    include_str!("page/page.js"),
];

/// So much of the workers' log is shown: its end.
const LOG_BYTES: u64 = 32 * 1024;

/// All that the page shows.
#[derive(Serialize)]
struct Content<'a> {
    results: &'a Results,
    began_us: u64,
    /// The stories in words.
    stories: Vec<String>,
    pictures: Pictures<'a>,
    latencies: Vec<Distribution>,
    log: &'a str,
}

#[derive(Serialize)]
struct Distribution {
    name: &'static str,
    definition: &'static str,
    spread: Spread,
    /// From, to (microseconds), count.
    bins: Vec<(u64, u64, u64)>,
}

/// The page.
pub(super) fn html(results: &Results, log: &str) -> anyhow::Result<String> {
    let timeline = results.figures.timeline();
    let content = Content {
        results,
        began_us: timeline.began_us(),
        stories: results.findings.stories.iter().map(ToString::to_string).collect(),
        pictures: timeline.pictures(&results.findings),
        latencies: results.figures.latencies().each().map(distribution).into(),
        log,
    };
    let title = format!("{}: stress {} {}", results.verdict.name(), results.asked.lock.name(), results.begun);
    Ok(fill(&[
        ("title", &text(&title)),
        ("style", STYLE),
        ("summary", &text(&results.to_string())),
        ("content", &embedded(&serde_json::to_string(&content)?)),
        ("script", &SCRIPTS.concat()),
    ]))
}

/// The end of the workers' log.
pub(super) fn log_end(path: &Path) -> String {
    let mut end = Vec::new();
    let read = File::open(path).and_then(|mut log| {
        let skipped = log.metadata()?.len().saturating_sub(LOG_BYTES);
        log.seek(SeekFrom::Start(skipped))?;
        log.take(LOG_BYTES).read_to_end(&mut end)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&end).into_owned(),
        Err(error) => format!("workers.log cannot be read: {error}"),
    }
}

fn distribution(latency: Latency<'_>) -> Distribution {
    let Latency { name, definition, histogram } = latency;
    Distribution { name, definition, spread: Spread::of(histogram), bins: bins(histogram) }
}

/// Four bins for each doubling.
fn bins(histogram: &Histogram<u64>) -> Vec<(u64, u64, u64)> {
    let mut bins: Vec<(u64, u64, u64)> = Vec::new();
    for step in histogram.iter_recorded() {
        let (value, count) = (step.value_iterated_to(), step.count_at_value());
        let (from, to) = bin(value);
        match bins.last_mut() {
            Some(last) if last.0 == from => last.2 += count,
            _ => bins.push((from, to, count)),
        }
    }
    bins
}

/// The bin that a value belongs to: a quarter of the way from one power of two to the next.
fn bin(value: u64) -> (u64, u64) {
    let low = if value < 4 { 1 } else { 1 << (value.ilog2() - 2) };
    let from = value / low * low;
    (from, from + low)
}

/// Puts the parts into the template. What is put in is not looked at again, whatever it contains.
fn fill(parts: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").expect("the template closes what it opens");
        page.push_str(parts.iter().find(|part| part.0 == name).expect("the template asks for known parts").1);
        rest = after;
    }
    page + rest
}

/// JSON that can stand in a script element: nothing in it looks like the end of the element, or like a comment.
fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Text that can stand between tags.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_embedded_ends_its_element() {
        let hostile = r#"</script><!-- <script>&amp;"\u2028"#;
        let json = serde_json::to_string(hostile).expect("a text serialises");
        let embedded = embedded(&json);
        assert!(!embedded.contains(['<', '>', '&']), "{embedded}");
        assert_eq!(serde_json::from_str::<String>(&embedded).expect("it is still JSON"), hostile);
    }

    #[test]
    fn what_is_put_in_is_not_looked_at_again() {
        let names = ["title", "style", "summary", "content", "script"];
        let page = fill(&names.map(|name| (name, "{{title}}")));
        assert_eq!(page.matches("{{title}}").count(), names.len());
    }

    #[test]
    fn bins_cover_their_values_without_gaps() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1 << 32, 3).expect("the bounds are in order");
        for value in 0..5000 {
            histogram.record(value).expect("it is in the bounds");
        }
        let bins = bins(&histogram);
        assert_eq!(bins.iter().map(|bin| bin.2).sum::<u64>(), 5000);
        assert!(bins.windows(2).all(|pair| pair[0].1 == pair[1].0), "{bins:?}");
        assert!(bins.len() < 60);
    }
}
