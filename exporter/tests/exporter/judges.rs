//! Other people's parsers as judges of what is written: Python's `prometheus_client` and `promtool check metrics`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use session_lock_exporter::Exporter;
use session_lock_exporter::family::{Bucket, Exemplar, Family, Histogram, Labels};

use crate::http::request;
use crate::routes::{Serving, Steady};

pub(crate) const OPENMETRICS: &str = "Accept: application/openmetrics-text; version=1.0.0";

/// Reads an exposition on stdin and prints each sample as JSON: family, kind, name, labels, value, exemplar's labels.
pub(crate) const PYTHON: &str = r#"
import json, sys
from prometheus_client.parser import text_string_to_metric_families as text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
parse = {"text": text, "openmetrics": openmetrics}[sys.argv[1]]
for family in parse(sys.stdin.buffer.read().decode("utf-8")):
    for sample in family.samples:
        exemplar = sample.exemplar.labels if sample.exemplar else None
        print(json.dumps([family.name, family.type, sample.name, sample.labels, sample.value, exemplar]))
"#;

/// The Python that has the parser: the environment that `.ci/run` makes, or the machine's own.
pub(crate) fn python() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    [made, PathBuf::from("python3")].into_iter().find(|python| {
        let found = Command::new(python).args(["-c", "import prometheus_client.openmetrics.parser"]).output();
        found.is_ok_and(|output| output.status.success())
    })
}

pub(crate) fn fed(command: &mut Command, input: &[u8]) -> std::process::Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the judge starts");
    child.stdin.take().expect("stdin is piped").write_all(input).expect("the judge reads");
    child.wait_with_output().expect("the judge ends")
}

fn every_kind(text: &str) -> Vec<Family> {
    let labels = || Labels::new().with("text", text);
    let exemplar = |value| Some(Exemplar { trace_id: 1, span_id: 2, value, at_seconds: Some(1_700_000_000.25) });
    let buckets = vec![
        Bucket { upper: 0.001, count: 3, exemplar: exemplar(0.0005) },
        Bucket { upper: 1.0, count: 0, exemplar: None },
        Bucket { upper: f64::INFINITY, count: 2, exemplar: exemplar(4.0) },
    ];
    let help = |what: &str| format!("{what}: {text}");
    vec![
        Family::counter("test_events_total", &help("Events")).value(labels(), 3.0).value(Labels::new(), 1e18),
        Family::counter("test_blocked_seconds_total", &help("Blocked")).value(labels(), 0.25),
        Family::gauge("test_held", &help("Held")).value(labels(), -1.5),
        Family::info("test_build_info", &help("Build")).value(labels(), 1.0),
        Family::histogram("test_wait_seconds", &help("Waits")).observations(labels(), Histogram::new(buckets, 9.5)),
    ]
}

const HOSTILE: [&str; 7] = [
    "plain",
    "quote \" backslash \\ newline \n end",
    "\\n is no newline, \\\\ no escape, \\\" no quote",
    "} 1\n# EOF\nforged_total 1\n",
    "\" , forged=\"1",
    "# {trace_id=\"x\"} 1 ä \u{2028} \u{1F512} \t",
    "\\",
];

#[test]
fn python_reads_what_was_meant() {
    let Some(python) = python() else {
        eprintln!("skipped: python_reads_what_was_meant: needs python3 with prometheus_client");
        return;
    };
    let long = "\u{e4}\"\\\n".repeat(50);
    for text in HOSTILE.into_iter().chain([&*long]) {
        let serving = Serving::start(Exporter::builder().source(Steady("a", every_kind(text))));
        for (format, accept) in [("text", "Accept: text/plain"), ("openmetrics", OPENMETRICS)] {
            let response = request(serving.address, "GET", "/metrics", &[accept]).expect("an answer");
            let judged = fed(Command::new(&python).args(["-c", PYTHON, format]), &response.bytes);
            assert!(
                judged.status.success(),
                "{format}: {} of\n{}",
                String::from_utf8_lossy(&judged.stderr),
                response.text()
            );
            let samples: Vec<serde_json::Value> = String::from_utf8_lossy(&judged.stdout)
                .lines()
                .map(|line| serde_json::from_str(line).expect("the script prints JSON"))
                .collect();
            assert!(!samples.iter().any(|sample| sample[2].as_str().is_some_and(|name| name.contains("forged"))));
            let find = |name: &str| -> Vec<_> { samples.iter().filter(|sample| sample[2] == name).collect() };
            for (name, kind, count) in [
                ("test_events_total", "counter", 2),
                ("test_blocked_seconds_total", "counter", 1),
                ("test_held", "gauge", 1),
                ("test_build_info", if format == "text" { "gauge" } else { "info" }, 1),
                ("test_wait_seconds_bucket", "histogram", 3),
                ("test_wait_seconds_count", "histogram", 1),
                ("test_wait_seconds_sum", "histogram", 1),
            ] {
                let found = find(name);
                assert_eq!(found.len(), count, "{format} {name}: {samples:?}");
                assert_eq!(found[0][1], kind, "{format} {name}");
                assert_eq!(found[0][3]["text"], text, "{format} {name}");
                assert_eq!(found[0][3]["directory"], "a", "{format} {name}");
            }
            let buckets: Vec<_> = find("test_wait_seconds_bucket").iter().map(|sample| sample[4].as_f64()).collect();
            assert_eq!(buckets, [3.0, 3.0, 5.0].map(Some), "buckets are cumulative");
            if format == "openmetrics" {
                let exemplar = &find("test_wait_seconds_bucket")[0][5];
                assert_eq!(exemplar["trace_id"], "00000000000000000000000000000001");
            }
        }
    }
}

#[test]
fn promtool_has_nothing_to_say() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("skipped: promtool_has_nothing_to_say: needs promtool (Debian: prometheus)");
        return;
    }
    for text in HOSTILE {
        let serving = Serving::start(Exporter::builder().source(Steady("a", every_kind(text))));
        let response = request(serving.address, "GET", "/metrics", &[]).expect("an answer");
        let judged = fed(Command::new("promtool").args(["check", "metrics"]), &response.bytes);
        let said = [judged.stdout, judged.stderr].concat();
        assert!(
            judged.status.success() && said.is_empty(),
            "{} of\n{}",
            String::from_utf8_lossy(&said),
            response.text()
        );
    }
}
