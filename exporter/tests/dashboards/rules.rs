//! The rules, their tests, and the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use crate::catalogue::Catalogue;
use crate::expression::faults;
use crate::files::{alerts, has, list, listed, read, rule_files, rules, text, yaml};
use crate::runbook::{blocks, spans};

const RUNBOOK: &str = "dashboards/RUNBOOK.md#";

fn judged(judge: &str, arguments: &[&str], files: &[PathBuf]) {
    let judged = Command::new(judge).args(arguments).args(files).output().expect("it was there");
    let said = [judged.stdout, judged.stderr].concat();
    assert!(judged.status.success(), "{judge} {arguments:?}: {}", String::from_utf8_lossy(&said));
}

fn rule_tests() -> Vec<PathBuf> {
    listed("rules/tests", ".yml")
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    if has("promtool_takes_the_rules_and_their_tests_pass", "promtool", "prometheus") {
        judged("promtool", &["check", "rules", "--lint-fatal"], &rule_files());
        judged("promtool", &["test", "rules"], &rule_tests());
    }
}

#[test]
fn promtool_takes_the_configuration_of_prometheus() {
    if has("promtool_takes_the_configuration_of_prometheus", "promtool", "prometheus") {
        judged("promtool", &["check", "config"], &listed("prometheus", ".yml"));
    }
}

#[test]
fn amtool_takes_the_configuration_of_alertmanager() {
    if has("amtool_takes_the_configuration_of_alertmanager", "amtool", "prometheus-alertmanager") {
        judged("amtool", &["check-config"], &listed("alertmanager", ".yml"));
    }
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let mut cases: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for path in rule_tests() {
        for test in list(&yaml(&path), "tests") {
            for case in list(test, "alert_rule_test") {
                let fires = !list(case, "exp_alerts").is_empty();
                cases.entry(text(case, "alertname").to_owned()).or_default().insert(fires);
            }
        }
    }
    let both = BTreeSet::from([false, true]);
    for (alert, _) in alerts() {
        assert_eq!(cases.remove(&alert), Some(both.clone()), "{alert}: whether it fires, in its cases");
    }
    assert!(cases.is_empty(), "no alert: {cases:?}");
}

#[test]
fn rules_name_only_what_is_served() {
    let known = Catalogue::served();
    for rule in rules() {
        let found = faults(text(&rule, "expr"), &known);
        assert!(found.is_empty(), "{}{}: {found:?}", text(&rule, "alert"), text(&rule, "record"));
    }
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_happened_where() {
    for (alert, rule) in alerts() {
        let severity = text(&rule["labels"], "severity");
        assert!(["critical", "warning"].contains(&severity), "{alert}: {severity:?}");
        let annotations = &rule["annotations"];
        let (summary, description) = (text(annotations, "summary"), text(annotations, "description"));
        assert!(summary.ends_with('.') && description.ends_with('.'), "{alert}: sentences");
        let about_directory = !text(&rule, "expr").contains("up{job=");
        assert!(!about_directory || summary.contains("{{ $labels.directory }}"), "{alert}: {summary}");
        assert!(!about_directory || description.contains("{{ $labels.directory }}"), "{alert}: {description}");
        let values = description.matches("{{ $value").count();
        // A count that is extrapolated has decimals that mean nothing.
        let readable =
            ["{{ $value | humanizePercentage }}", "{{ $value | humanizeDuration }}", "{{ $value | printf \"%.0f\" }}"];
        let shown: usize = readable.iter().map(|form| description.matches(form).count()).sum();
        assert_eq!(values, shown, "{alert}: for people: {description}");
        let compared = text(&rule, "expr").contains(" > ");
        assert_eq!(compared, values > 0, "{alert}: the value that was compared");
    }
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|character| character.is_alphanumeric() || "-_".contains(*character)).collect()
}

fn headings(level: &str) -> Vec<String> {
    let runbook = read("RUNBOOK.md");
    runbook.lines().filter_map(|line| line.strip_prefix(level)?.strip_prefix(' ')).map(str::to_owned).collect()
}

#[test]
fn each_alert_has_its_section_in_the_runbook_and_each_section_its_alert() {
    let sections: BTreeSet<String> =
        headings("##").into_iter().filter(|heading| heading.starts_with("SessionLock")).collect();
    let alerts = alerts();
    for (alert, rule) in &alerts {
        let url = text(&rule["annotations"], "runbook_url");
        assert_eq!(url.strip_prefix(RUNBOOK), Some(&*anchor(alert)), "{alert}");
        assert!(sections.contains(alert), "RUNBOOK.md has no section {alert}");
    }
    let names: BTreeSet<String> = alerts.into_iter().map(|(alert, _)| alert).collect();
    assert_eq!(sections, names);
}

#[test]
fn each_section_of_an_alert_says_what_it_means_and_what_to_do() {
    let runbook = read("RUNBOOK.md");
    for section in runbook.split("\n## ").filter(|section| section.starts_with("SessionLock")) {
        for part in ["**Meaning.**", "**Look.**", "**Do.**", "**Numbers.**"] {
            assert!(section.contains(part), "{}: {part}", section.lines().next().unwrap_or_default());
        }
    }
}

#[test]
fn links_within_the_runbook_lead_somewhere() {
    let runbook = read("RUNBOOK.md");
    let anchors: BTreeSet<String> = headings("##").iter().map(|heading| anchor(heading)).collect();
    for link in runbook.split("](#").skip(1) {
        let target = link.split(')').next().unwrap_or_default();
        assert!(anchors.contains(target), "#{target}");
    }
}

#[test]
fn the_runbooks_expressions_name_only_what_is_served() {
    let known = Catalogue::served();
    let mut named = spans();
    named.retain(|span| span.starts_with("session_lock_"));
    assert!(!named.is_empty());
    for expression in blocks("promql").iter().flat_map(|block| block.lines()).chain(named.iter().map(String::as_str)) {
        let found = faults(expression, &known);
        assert!(found.is_empty(), "{expression}: {found:?}");
    }
}

#[test]
fn anchors_are_made_as_githubs() {
    assert_eq!(anchor("How to look: `a_b`, C-d!"), "how-to-look-a_b-c-d");
}
