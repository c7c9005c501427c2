//! What an exporter serves: its metrics, their labels, and the labels' values, taken from what it really answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use session_lock::LockDir;
use session_lock::metrics::FAMILIES;

use crate::files::{alerts, rules, text};
use crate::serving::{exporter, get, http, wait_until};

/// Labels whose values come from outside, or from the exporter's surroundings.
const OPEN: [&str; 8] = ["directory", "session", "code", "le", "version", "revision", "rustc", "alertname"];

/// What Prometheus itself knows, and the labels that it adds to every series are on all of it.
const PROMETHEUS: [(&str, &[&str]); 3] =
    [("up", &[]), ("scrape_duration_seconds", &[]), ("ALERTS", &["directory", "alertname", "alertstate", "severity"])];
const ADDED: [&str; 2] = ["job", "instance"];

/// Series by name, with the values of each label.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    series: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// The metrics that the exporter serves, as its `# TYPE` lines name them.
    pub(crate) metrics: BTreeSet<String>,
}

impl Catalogue {
    /// Of an exporter that has everything switched on, and something to tell of; with the rules' recorded series.
    pub(crate) fn served() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let web = dir.path().join("web.yml");
        fs::write(&web, "{}\n").expect("written");
        let locks = LockDir::open(dir.path()).expect("a directory for locks");
        let held = locks.lock("held").blocking().expect("free");
        let web = web.to_str().expect("a plain path");
        let exporter = exporter(dir.path(), &["--locks.detail", "5", "--web.config.file", web]);
        let mut served = String::new();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(locks.lock("held").blocking()));
            wait_until("one waits", || {
                served = get(exporter.address, "/metrics");
                served.contains("session_lock_waiting_seconds{")
            });
            drop(held);
        });
        assert_eq!(http(exporter.address, "GET", "/nowhere", "", b"").0, 404);
        let mut catalogue = Self::default();
        served.lines().for_each(|line| catalogue.read(line));
        for family in FAMILIES {
            assert!(catalogue.metrics.contains(family.name), "the exporter does not serve {}", family.name);
        }
        catalogue.add_what_others_serve();
        catalogue
    }

    fn add_what_others_serve(&mut self) {
        for (name, labels) in PROMETHEUS {
            let labels = labels.iter().map(|label| ((*label).to_owned(), BTreeSet::new()));
            self.series.insert(name.to_owned(), labels.collect());
        }
        let severities = alerts().iter().map(|(_, rule)| text(&rule["labels"], "severity").to_owned()).collect();
        let states = ["pending", "firing"].map(str::to_owned).into();
        let alerts = self.series.entry("ALERTS".to_owned()).or_default();
        alerts.extend([("severity".to_owned(), severities), ("alertstate".to_owned(), states)]);
        for rule in rules() {
            if let Some(record) = rule["record"].as_str() {
                self.series.insert(record.to_owned(), [("directory".to_owned(), BTreeSet::new())].into());
            }
        }
    }

    fn read(&mut self, line: &str) {
        if let Some(metric) = line.strip_prefix("# TYPE ") {
            self.metrics.insert(metric.split(' ').next().expect("a name").to_owned());
        }
        if line.starts_with('#') {
            return;
        }
        let (series, _) = line.rsplit_once(' ').expect("a value at the end");
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
        let known = self.series.entry(name.to_owned()).or_default();
        // No value here holds a comma or an escape, but for the compiler's version, of which the name is enough.
        for (label, value) in labels.split(',').filter_map(|label| label.split_once("=\"")) {
            known.entry(label.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
        }
    }

    /// The metric that a series belongs to, if it is served.
    pub(crate) fn metric<'a>(&self, series: &'a str) -> Option<&'a str> {
        let endings = ["", "_bucket", "_sum", "_count"].into_iter();
        endings.filter_map(|ending| series.strip_suffix(ending)).find(|name| self.metrics.contains(*name))
    }

    /// The labels of a series; `None` if there is no such series.
    pub(crate) fn labels(&self, series: &str) -> Option<BTreeSet<&str>> {
        Some(self.series.get(series)?.keys().map(String::as_str).chain(ADDED).collect())
    }

    /// Whether a label of a series can have this value.
    pub(crate) fn can_be(&self, series: &str, label: &str, value: &str) -> bool {
        let known = self.series.get(series).and_then(|labels| labels.get(label));
        OPEN.contains(&label) || ADDED.contains(&label) || known.is_some_and(|values| values.contains(value))
    }
}
