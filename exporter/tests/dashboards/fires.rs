//! Each alert fires in a real Prometheus when what it is about happens to a real directory, and not before.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use session_lock::LockDir;

use crate::causes::{CAUSES, hold_once};
use crate::files::{alerts, has, list, text};
use crate::live::{firing, values};
use crate::quicker::quicker_rules;
use crate::serving::{exporter, json, prometheus, wait_until};

/// Those that are not about a directory.
const OF_EXPORTERS: [&str; 2] = ["SessionLockExporterDown", "SessionLockExporterMissing"];

/// For all together; fails a hang, and nothing else.
const PLENTY: Duration = Duration::from_mins(3);
const MOMENT: Duration = Duration::from_millis(50);

fn quicker_file(dir: &Path) -> Vec<PathBuf> {
    let path = dir.join("quicker.rules.yml");
    fs::write(&path, quicker_rules()).expect("written");
    vec![path]
}

/// Nothing fires, or is about to, in several looks of the rules at several scrapes.
fn assert_calm(prometheus: SocketAddr, targets: &str) {
    wait_until("some scrapes", || values(prometheus, targets).iter().any(|count| *count >= 5.0));
    let answer = json(prometheus, "/api/v1/alerts");
    assert!(list(&answer["data"], "alerts").is_empty(), "{answer}");
}

/// The alerts that have fired, each with its directory.
#[derive(Default)]
struct Fired(Mutex<BTreeSet<(String, String)>>);

impl Fired {
    fn look(&self, prometheus: SocketAddr) {
        let now = firing(prometheus);
        let pair = |labels: &Value| (text(labels, "alertname").to_owned(), text(labels, "directory").to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(now.iter().map(pair));
    }

    /// Whether one has in the directory that is called like it.
    fn has(&self, alert: &str) -> bool {
        let pair = (alert.to_owned(), alert.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&pair)
    }
}

/// Whether an alert may fire in the directory in which another one's cause happens.
fn may_fire(alert: &str, directory: &str) -> bool {
    let both = |part: &str| alert.contains(part) && directory.contains(part);
    // On a slow machine the holders that the other causes need hold long.
    let held_long = alert == "SessionLockHoldLong" && directory.starts_with("SessionLock");
    // There a thousand slots may take longer to read than the second that a scrape may last here.
    let many_slots = (alert, directory) == ("SessionLockDirectoryUnreadable", "SessionLockSlotsExhausted");
    alert == directory || both("Timeouts") || held_long || many_slots
}

#[test]
fn each_alert_has_a_cause_here_and_each_cause_its_alert() {
    let here: BTreeSet<String> =
        CAUSES.iter().map(|(alert, _)| *alert).chain(OF_EXPORTERS).map(str::to_owned).collect();
    assert_eq!(here, alerts().into_iter().map(|(alert, _)| alert).collect());
}

#[test]
fn each_alert_fires_where_its_cause_happens() {
    if !has("each_alert_fires_where_its_cause_happens", "prometheus", "prometheus") {
        return;
    }
    let (root, own) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let healthy = root.path().join("healthy");
    let mut arguments = Vec::new();
    for name in CAUSES.iter().map(|(alert, _)| *alert).chain(["healthy"]) {
        let dir = root.path().join(name);
        fs::create_dir(&dir).expect("made");
        hold_once(&dir);
        if dir != healthy {
            arguments.extend(["--dir".to_owned(), format!("{name}={}", dir.display())]);
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let exporter = exporter(&healthy, &arguments);
    let prometheus = prometheus(own.path(), &[("session-lock", exporter.address)], &quicker_file(own.path()));
    assert_calm(prometheus.address, "min(count_over_time(session_lock_exporter_up[1m]))");

    let (seen, end) = (Fired::default(), Instant::now() + PLENTY);
    thread::scope(|scope| {
        for (alert, cause) in CAUSES {
            let (seen, dir) = (&seen, root.path().join(alert));
            let fires = move || {
                assert!(Instant::now() < end, "{alert} does not fire");
                thread::sleep(MOMENT);
                seen.has(alert)
            };
            scope.spawn(move || cause(&dir, &fires));
        }
        let locks = LockDir::open(&healthy).expect("a directory for locks");
        while Instant::now() < end && !CAUSES.iter().all(|(alert, _)| seen.has(alert)) {
            drop(locks.lock("s").blocking().expect("free"));
            seen.look(prometheus.address);
            thread::sleep(MOMENT);
        }
    });
    let mut seen = seen.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    seen.retain(|(alert, directory)| !may_fire(alert, directory));
    assert!(seen.is_empty(), "without a cause: {seen:?}");
    exporter.end();
}

#[test]
fn an_exporter_that_is_down_and_one_that_is_missing_are_told() {
    if !has("an_exporter_that_is_down_and_one_that_is_missing_are_told", "prometheus", "prometheus") {
        return;
    }
    let (dir, own) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let rules = quicker_file(own.path());
    let exporter = exporter(dir.path(), &[]);
    let instance = exporter.address.to_string();
    let one = prometheus(own.path(), &[("session-lock", exporter.address)], &rules);
    assert_calm(one.address, "count_over_time(up[1m])");
    drop(exporter);
    let tells = |prometheus, alert: &str, label: &str, value: &str| {
        firing(prometheus).iter().any(|labels| text(labels, "alertname") == alert && text(labels, label) == value)
    };
    wait_until("it is down", || tells(one.address, "SessionLockExporterDown", "instance", &instance));
    let own = tempfile::tempdir().expect("a third");
    let other = prometheus(own.path(), &[("another", one.address)], &rules);
    wait_until("it is missing", || tells(other.address, "SessionLockExporterMissing", "job", "session-lock"));
    for (prometheus, fires) in [(one.address, "SessionLockExporterDown"), (other.address, "SessionLockExporterMissing")]
    {
        let firing = firing(prometheus);
        assert!(firing.iter().all(|labels| text(labels, "alertname") == fires), "{firing:?}");
    }
}
