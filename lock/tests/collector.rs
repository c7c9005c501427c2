//! A registry of the crate `prometheus` shows what the directory's processes have counted, as the exporter does.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use prometheus::core::Collector as _;
use prometheus::{Encoder, Registry, TextEncoder};
use session_lock::metrics::{BOUNDS, FAMILIES, Kind, Value};
use session_lock::{Collector, LockDir};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use support::process::OtherProcess;
use support::{SHORT, lock_dir, wait_until};

fn page(registry: &Registry) -> String {
    let mut page = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut page).expect("a Vec takes every write");
    String::from_utf8(page).expect("the format is UTF-8")
}

/// The samples of a page, by name and labels.
fn samples(page: &str) -> BTreeMap<&str, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("series and value");
            (series, value.parse().expect("a number"))
        })
        .collect()
}

fn registered(directories: &[(&str, &LockDir)]) -> Registry {
    let registry = Registry::new();
    for (name, locks) in directories {
        registry.register(Box::new(Collector::new(name, locks))).expect("each name once");
    }
    registry
}

/// Holds, waits in vain, a dead process's counts and a living other one.
fn busy_directory() -> (tempfile::TempDir, LockDir, OtherProcess) {
    let (dir, locks) = lock_dir();
    OtherProcess::hold(dir.path(), "dead").kill();
    let holder = OtherProcess::hold(dir.path(), "held");
    for _ in 0..3 {
        locks.lock("s").blocking().expect("free").release().expect("held");
    }
    locks.lock("held").timeout(SHORT).blocking().expect_err("held by another process");
    locks.lock("dead").blocking().expect("its owner is dead").release().expect("held");
    // A hold that lasts is counted a little later; from then on nothing changes.
    let held = || locks.metrics().expect("readable").get("session_lock_held", "");
    wait_until(|| held() == Some(Value::Number(1)));
    (dir, locks, holder)
}

#[test]
fn a_page_says_what_the_directory_says() {
    let (_dir, locks, _holder) = busy_directory();
    let page = page(&registered(&[("a \"b\"", &locks)]));
    let metrics = locks.metrics().expect("readable");
    let mut expected = BTreeMap::new();
    let directory = r#"directory="a \"b\"""#;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    for (family, values) in metrics.families() {
        for (value, counted) in family.values.iter().zip(values) {
            let labels = family.label.map_or(directory.to_owned(), |label| format!("{directory},{label}=\"{value}\""));
            // The catalogue's labels are sorted as the page has them.
            let labels = match family.label {
                Some(label) if label < "directory" => format!("{label}=\"{value}\",{directory}"),
                _ => labels,
            };
            match counted {
                Value::Number(number) => drop(expected.insert(format!("{}{{{labels}}}", family.name), number as f64)),
                Value::Seconds(time) => {
                    expected.insert(format!("{}{{{labels}}}", family.name), time.as_secs_f64());
                }
                Value::Histogram { buckets, sum, .. } => {
                    let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                    for (bound, count) in bounds.zip(&buckets) {
                        expected.insert(format!("{}_bucket{{{labels},le=\"{bound}\"}}", family.name), *count as f64);
                    }
                    let count = *buckets.last().expect("the one without a bound");
                    expected.insert(format!("{}_count{{{labels}}}", family.name), count as f64);
                    expected.insert(format!("{}_sum{{{labels}}}", family.name), sum.as_secs_f64());
                }
            }
        }
    }
    for (state, count) in [
        ("living", metrics.slots.living),
        ("inherited", metrics.slots.inherited),
        ("damaged", metrics.slots.damaged),
        ("other_version", metrics.slots.other_version),
    ] {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        expected.insert(format!("session_lock_slots{{{directory},state=\"{state}\"}}"), count as f64);
    }
    expected.insert(format!("session_lock_up{{{directory}}}"), 1.0);
    let expected: BTreeMap<_, _> = expected.iter().map(|(series, value)| (series.as_str(), *value)).collect();
    assert_eq!(samples(&page), expected);

    // Not zeros throughout.
    let held = samples(&page)[&*format!("session_lock_held{{{directory}}}")];
    let acquired = samples(&page)[&*format!("session_lock_acquire_total{{{directory},outcome=\"acquired\"}}")];
    let reclaimed = samples(&page)[&*format!("session_lock_reclaim_total{{{directory},reason=\"owner-exited\"}}")];
    let reclaimed_one = [held, reclaimed].map(|number| number.to_string()) == ["1", "1"];
    // The dead owner's acquire counts only if it was killed late enough.
    assert!(reclaimed_one && acquired >= 5.0, "{page}");
    for family in FAMILIES {
        let kind = match family.kind {
            Kind::Counter | Kind::Seconds => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert!(page.contains(&format!("# TYPE {} {kind}\n", family.name)), "{}", family.name);
    }
}

#[test]
fn directories_stand_side_by_side_under_names_of_their_own() {
    let ((_a, a), (_b, b)) = (lock_dir(), lock_dir());
    a.lock("s").blocking().expect("free").release().expect("held");
    let registry = registered(&[("a", &a), ("b", &b)]);
    let page = page(&registry);
    for (directory, count) in [("a", 1), ("b", 0)] {
        let line = format!("session_lock_acquire_total{{directory=\"{directory}\",outcome=\"acquired\"}} {count}\n");
        assert!(page.contains(&line), "{line} is not in {page}");
    }
    let twice = registry.register(Box::new(Collector::new("a", &b)));
    assert!(matches!(twice, Err(prometheus::Error::AlreadyReg)), "{twice:?}");
}

/// What the registry knows of the metrics beforehand is what it gets.
#[test]
fn what_is_gathered_was_described() {
    let (_dir, locks) = lock_dir();
    let collector = Collector::new("a", &locks);
    let described: Vec<_> = collector.desc().into_iter().map(|desc| (&*desc.fq_name, &*desc.help)).collect();
    let gathered = collector.collect();
    let gathered: Vec<_> = gathered.iter().map(|family| (family.name(), family.help())).collect();
    assert_eq!(described, gathered);
}

#[test]
fn a_directory_that_cannot_be_read_is_down_and_nothing_else() {
    let (dir, locks) = lock_dir();
    locks.lock("s").blocking().expect("free").release().expect("held");
    let registry = registered(&[("a", &locks)]);
    let counters = dir.path().join(".session-lock/metrics-v1");
    fs::remove_file(&counters).expect("it is there");
    fs::create_dir(&counters).expect("created");
    locks.metrics().expect_err("no counters there");
    assert_eq!(samples(&page(&registry)), BTreeMap::from([(r#"session_lock_up{directory="a"}"#, 0.0)]));
    fs::remove_dir(&counters).expect("removed");
    assert_eq!(samples(&page(&registry))[r#"session_lock_up{directory="a"}"#].to_string(), "1");
}

#[test]
fn promtool_has_nothing_to_say() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("skipped: promtool_has_nothing_to_say: needs promtool (Debian: prometheus)");
        return;
    }
    let (_dir, locks, _holder) = busy_directory();
    let page = page(&registered(&[("a", &locks), ("b \"\\\n", &locks)]));
    let mut judge = Command::new("promtool");
    judge.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut judge = judge.spawn().expect("it starts");
    judge.stdin.take().expect("piped").write_all(page.as_bytes()).expect("it reads");
    let judged = judge.wait_with_output().expect("it ends");
    let said = [judged.stdout, judged.stderr].concat();
    assert!(judged.status.success() && said.is_empty(), "{} of\n{page}", String::from_utf8_lossy(&said));
}
