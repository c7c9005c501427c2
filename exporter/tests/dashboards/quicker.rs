//! The rules with all their times made shorter by one factor, so that a test can wait for them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::files::{list, rule_files, rules, text, yaml};

/// The shortest window, five minutes, becomes five scrapes of a second each; an hour, a minute.
const FACTOR: u32 = 60;
const ENDS_OF_WORDS: [char; 6] = [' ', '\n', '(', ')', '[', ']'];

/// All groups, in a form that Prometheus reads: JSON is YAML.
pub(crate) fn quicker_rules() -> String {
    let groups = rule_files().into_iter().flat_map(|path| list(&yaml(&path), "groups").to_vec()).map(|mut group| {
        group["rules"] = list(&group, "rules").iter().map(quicker).collect();
        group
    });
    json!({ "groups": groups.collect::<Vec<_>>() }).to_string()
}

fn quicker(rule: &Value) -> Value {
    let mut quicker = rule.clone();
    quicker["expr"] = quicker_expression(text(rule, "expr")).into();
    if rule["for"].is_string() {
        quicker["for"] = shorter(text(rule, "for")).into();
    }
    quicker
}

/// Windows, offsets, and what a metric in seconds is compared with. How many are too many stays, and so do shares.
fn quicker_expression(expression: &str) -> String {
    let mut quicker = String::new();
    let (mut metric, mut before) = ("", "");
    for word in expression.split_inclusive(ENDS_OF_WORDS) {
        let bare = word.trim_end_matches(ENDS_OF_WORDS);
        if before.ends_with('[') || before.trim_end() == "offset" {
            quicker += &shorter(bare);
        } else if before.trim_end() == ">" && metric.trim_end().ends_with("_seconds") {
            let seconds: f64 = bare.parse().unwrap_or_else(|error| panic!("{bare}: {error}"));
            quicker += &(seconds / f64::from(FACTOR)).to_string();
        } else {
            quicker += bare;
        }
        quicker += &word[bare.len()..];
        // Indentation is no word.
        if !bare.is_empty() {
            (metric, before) = (before, word);
        }
    }
    quicker
}

fn shorter(duration: &str) -> String {
    let duration = humantime::parse_duration(duration).unwrap_or_else(|error| panic!("{duration}: {error}"));
    format!("{}ms", (duration / FACTOR).as_millis())
}

#[test]
fn times_become_shorter_and_nothing_else() {
    for (expression, quicker) in [
        ("increase(a_total{b=\"5m\"}[10m]) > 20", "increase(a_total{b=\"5m\"}[10000ms]) > 20"),
        ("a\n  - last_over_time(a[1d] offset 10m) > 0", "a\n  - last_over_time(a[1440000ms] offset 10000ms) > 0"),
        ("a:ratio_rate5m > 0.144", "a:ratio_rate5m > 0.144"),
        ("longest_wait_seconds > 60", "longest_wait_seconds > 1"),
        ("oldest_hold_seconds > 1800", "oldest_hold_seconds > 30"),
    ] {
        assert_eq!(quicker_expression(expression), quicker);
    }
}

/// Rates need some samples.
#[test]
fn no_window_is_shorter_than_four_scrapes_of_a_second() {
    for rule in rules() {
        let expression = quicker_expression(text(&rule, "expr"));
        for window in expression.split('[').skip(1).filter_map(|rest| rest.split(']').next()) {
            let window = humantime::parse_duration(window).expect("one of ours");
            assert!(window >= Duration::from_secs(4), "{window:?}: {expression}");
        }
    }
}
