//! A real Prometheus with the rules scrapes a real exporter of a directory in which something happens: each panel's expression
//! then has something to show, and the alert that nobody may miss fires.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use session_lock::{Guard, LockDir};

use crate::expression::substituted;
use crate::files::{alerts, dashboards, expressions, has, list, panels, rule_files, rules, text};
use crate::runbook::blocks;
use crate::serving::{Serving, contend, exporter, get, http, json, prometheus, service, wait_until};

/// Spans are recorded, so that there are exemplars; nobody takes them.
const NO_COLLECTOR: &str = "http://127.0.0.1:9";

/// What the traffic below has to show on a panel: more than nothing.
const TOLD: [(&str, &str); 15] = [
    ("session-lock.json", "Held"),
    ("session-lock.json", "Oldest hold"),
    ("session-lock.json", "Longest wait"),
    ("session-lock.json", "Waiting"),
    ("session-lock.json", "Claims replaced"),
    ("session-lock.json", "Directories readable"),
    ("session-lock.json", "Acquires"),
    ("session-lock.json", "Wait"),
    ("session-lock.json", "Contended acquires"),
    ("session-lock.json", "Blocked time"),
    ("session-lock.json", "Hold"),
    ("session-lock.json", "Reclaims"),
    ("session-lock.json", "Held longest"),
    ("session-lock.json", "Slots of counters"),
    ("stress.json", "Reclaimed"),
];

fn ask(prometheus: SocketAddr, query: &str) -> Value {
    let encoded: Vec<_> = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (_, answer) = http(prometheus, "POST", "/api/v1/query", form, format!("query={}", encoded.concat()).as_bytes());
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(text(&answer, "status"), "success", "{query}: {answer}");
    answer
}

/// The values that an expression has now, one for each series.
pub(crate) fn values(prometheus: SocketAddr, query: &str) -> Vec<f64> {
    let answer = ask(prometheus, query);
    let series = list(&answer["data"], "result").iter();
    series.map(|one| one["value"][1].as_str().expect("a value").parse().expect("a number")).collect()
}

/// Has a holder die while it holds, and somebody else take its claim over.
fn reclaim(dir: &Path, dying: Serving, next: &Serving) {
    // Nobody is there for the answer, because there is none.
    let mut asked = TcpStream::connect(dying.address).expect("it listens");
    let request = b"POST /sessions/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nnever\n";
    asked.write_all(request).expect("it reads");
    wait_until("it holds", || dir.join("slow.lock").exists());
    drop(dying);
    let address = next.address;
    let taken = thread::spawn(move || http(address, "POST", "/sessions/slow", "", b"next\n").0);
    let mut reader = File::open(dir.join("slow")).expect("a writer comes");
    assert_eq!(taken.join().expect("an answer"), 204);
    let mut written = String::new();
    reader.read_to_string(&mut written).expect("text");
    assert_eq!(written, "next\n");
}

/// Puts another file in the place of a living holder's claim, and waits until the holder knows.
pub(crate) fn replace(dir: &Path, locks: &LockDir) -> Guard {
    let guard = locks.lock("replaced").blocking().expect("free");
    fs::write(dir.join("other"), "{}").expect("written");
    // A hold is watched once it has lasted a moment.
    thread::sleep(Duration::from_millis(100));
    fs::rename(dir.join("other"), dir.join("replaced.lock")).expect("renamed");
    wait_until("the holder knows", || guard.is_lost().is_some());
    guard
}

fn assert_panels(prometheus: SocketAddr) {
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let place = (file.as_str(), text(panel, "title"));
            for expression in expressions(panel) {
                let found = values(prometheus, &substituted(expression));
                assert!(!found.is_empty(), "{place:?}: no series: {expression}");
                if TOLD.contains(&place) {
                    assert!(found.iter().any(|value| *value > 0.0), "{place:?}: {found:?}: {expression}");
                }
            }
        }
    }
    for place in TOLD {
        let titles = dashboards().into_iter().filter(|(file, _)| file == place.0);
        let found = titles
            .flat_map(|(_, one)| panels(&one).iter().map(|panel| text(panel, "title").to_owned()).collect::<Vec<_>>());
        assert!(found.into_iter().any(|title| title == place.1), "no panel {place:?}");
    }
}

fn assert_rules(prometheus: SocketAddr) {
    let answer = json(prometheus, "/api/v1/rules");
    let groups = list(&answer["data"], "groups").iter();
    let loaded: Vec<&Value> = groups.flat_map(|group| list(group, "rules")).collect();
    assert_eq!(loaded.len(), rules().len());
    for rule in loaded {
        assert_eq!(text(rule, "health"), "ok", "{rule}");
    }
}

/// The labels of the alerts that fire now.
pub(crate) fn firing(prometheus: SocketAddr) -> Vec<Value> {
    let answer = json(prometheus, "/api/v1/alerts");
    let all = list(&answer["data"], "alerts").iter().filter(|alert| text(alert, "state") == "firing");
    all.map(|alert| alert["labels"].clone()).collect()
}

fn assert_runbook(prometheus: SocketAddr) {
    for query in blocks("promql").iter().flat_map(|block| block.lines()) {
        let found = values(prometheus, query);
        // Nothing was there a week ago.
        assert!(query.contains("offset") || !found.is_empty(), "the runbook's expression has no series: {query}");
    }
}

/// The panels' links to the exporter's pages, with the lock of a row in the place of Grafana's fields.
fn assert_links(exporter: SocketAddr) {
    let (directory, session) = ("${__data.fields.directory:percentencode}", "${__data.fields.session:percentencode}");
    let mut of_a_lock = 0;
    for (file, dashboard) in dashboards() {
        for link in dashboard.to_string().split("\"${exporter}").skip(1).filter_map(|rest| rest.split('"').next()) {
            let page = get(exporter, &link.replace(directory, "sessions").replace(session, "held"));
            if link.contains(session) {
                of_a_lock += 1;
                assert!(page.contains("held by another process"), "{file}: {link}: {page}");
            }
        }
    }
    assert!(of_a_lock > 0, "no panel leads to a lock");
}

#[test]
fn panels_show_and_rules_tell_what_happens_in_a_directory() {
    let name = "panels_show_and_rules_tell_what_happens_in_a_directory";
    if !has(name, "prometheus", "prometheus") {
        return;
    }
    let (dir, own) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let web = own.path().join("web.yml");
    fs::write(&web, "{}\n").expect("written");
    let web = web.to_str().expect("a plain path");
    let locks = LockDir::open(dir.path()).expect("a directory for locks");
    let exporter = exporter(dir.path(), &["--locks.detail", "5", "--web.config.file", web]);
    let prometheus = prometheus(own.path(), &[("session-lock", exporter.address)], &rule_files());
    let scrapes = || values(prometheus.address, "count_over_time(up[10m])").first().copied().unwrap_or_default();
    // Rates need a sample from before.
    wait_until("a first scrape", || scrapes() >= 1.0);

    let (holder, waiter) =
        (service(dir.path(), "holder", "60", NO_COLLECTOR), service(dir.path(), "waiter", "60", NO_COLLECTOR));
    contend(dir.path(), &holder, &waiter);
    reclaim(dir.path(), holder, &waiter);
    let lost = replace(dir.path(), &locks);
    let held = locks.lock("held").blocking().expect("free");
    thread::scope(|scope| {
        scope.spawn(|| locks.lock("held").blocking().expect("free in time"));
        let waits = || get(exporter.address, "/metrics").contains("session_lock_waiting_seconds{");
        wait_until("one waits", waits);
        let until = scrapes() + 4.0;
        wait_until("it was scraped", || scrapes() >= until);
        wait_until("the lost claim is told", || {
            let told = firing(prometheus.address);
            told.iter().any(|labels| text(labels, "alertname") == "SessionLockClaimReplaced")
        });
        assert_panels(prometheus.address);
        assert_links(exporter.address);
        drop(held);
    });
    assert_rules(prometheus.address);
    assert_runbook(prometheus.address);
    let known: Vec<String> = alerts().into_iter().map(|(alert, _)| alert).collect();
    let firing = firing(prometheus.address);
    let names: Vec<&str> = firing.iter().map(|labels| text(labels, "alertname")).collect();
    assert!(names.iter().all(|name| known.iter().any(|alert| alert == name)), "{firing:?}");
    assert!(!names.iter().any(|name| name.contains("Exporter")), "{firing:?}");
    drop(lost);
    waiter.end();
    exporter.end();
}
