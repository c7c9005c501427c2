//! A scrape, read line by line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use crate::http::get;
use crate::running::Running;

/// The samples of one scrape, by name and labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(BTreeMap<String, f64>);

impl Samples {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let response = get(address, "/metrics");
        assert_eq!(response.status, 200, "{}", response.text());
        Self::parse(&response.text())
    }

    /// Every line has to be a comment, or a series and a number.
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
            (series.to_owned(), value)
        });
        Self(samples.collect())
    }

    /// The series of the directory `d` with this name and further labels, as they are written.
    pub(crate) fn find(&self, name: &str, labels: &str) -> Option<f64> {
        let series = [format!("{name}{{directory=\"d\"}}"), format!("{name}{{directory=\"d\",{labels}}}")];
        let labelled_first = format!("{name}{{{labels},directory=\"d\"}}");
        series.iter().chain([&labelled_first]).find_map(|series| self.0.get(series)).copied()
    }

    pub(crate) fn get(&self, name: &str, labels: &str) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("{name} {labels} is not in {:#?}", self.0))
    }

    pub(crate) fn acquired(&self) -> f64 {
        self.get("session_lock_acquire_total", "outcome=\"acquired\"")
    }

    /// Whether all of the directory could be read.
    pub(crate) fn is_up(&self) -> bool {
        self.get("session_lock_exporter_up", "") > 0.0
    }

    /// What the processes have counted of the directory, and never falls.
    pub(crate) fn counters(&self) -> BTreeMap<&str, f64> {
        let grows = |series: &&String| {
            let name = series.split('{').next().unwrap_or_default();
            let is_counter = ["_total", "_bucket", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix));
            is_counter && name.starts_with("session_lock_") && !name.starts_with("session_lock_exporter_")
        };
        self.0.iter().filter(|(series, _)| grows(series)).map(|(series, value)| (series.as_str(), *value)).collect()
    }
}

/// An exporter of `directory`, which it calls `d`.
pub(crate) fn exporter(directory: &Path, more: &[&str]) -> Running {
    let named = format!("d={}", directory.to_str().expect("a plain path"));
    Running::start(&[&["--dir", &named], more].concat())
}
