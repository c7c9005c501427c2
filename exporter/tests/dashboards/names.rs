//! What the dashboards name is served, and what is served is on a panel.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::Catalogue;
use crate::expression::{faults, selected};
use crate::files::{dashboards, expressions, list, panels, text};

/// Metrics on no panel, and why.
const NOT_SHOWN: [(&str, &str); 4] = [
    ("process_virtual_memory_bytes", "address space is not used up; resident memory is shown"),
    ("process_threads", "follows the number of directories that hang, which `up` and the duration of looks show"),
    ("process_start_time_seconds", "a restart shows as a gap of `up`"),
    ("session_lock_exporter_http_requests_in_flight", "a gauge of milliseconds; the rate of requests is shown"),
];

#[test]
fn panels_name_only_what_is_served() {
    let known = Catalogue::served();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for expression in expressions(panel) {
                let found = faults(expression, &known);
                assert!(found.is_empty(), "{file}, {}: {expression}: {found:?}", text(panel, "title"));
            }
        }
        for annotation in list(&dashboard["annotations"], "list") {
            assert_eq!(faults(text(annotation, "expr"), &known), [""; 0], "{file}: {annotation}");
        }
        for variable in list(&dashboard["templating"], "list").iter().filter(|one| text(one, "type") == "query") {
            let query = text(&variable["query"], "query");
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (selector, label) = inner.and_then(|inner| inner.rsplit_once(", ")).expect("label_values(…, …)");
            // The label is one that a sum can be by.
            assert_eq!(faults(&format!("sum by ({label}) ({selector})"), &known), [""; 0], "{file}: {query}");
        }
    }
}

#[test]
fn every_metric_is_on_a_panel_or_not_shown_for_a_reason() {
    let known = Catalogue::served();
    let dashboards = dashboards();
    let all = dashboards.iter().flat_map(|(_, dashboard)| panels(dashboard)).flat_map(expressions);
    let series: BTreeSet<String> = all.flat_map(selected).map(|selected| selected.name).collect();
    let shown: BTreeSet<&str> = series.iter().filter_map(|series| known.metric(series)).collect();
    let not_shown = BTreeMap::from(NOT_SHOWN);
    for metric in &known.metrics {
        let reason = not_shown.get(metric.as_str());
        assert_ne!(shown.contains(metric.as_str()), reason.is_some(), "{metric}: on a panel, or not shown: {reason:?}");
    }
    for metric in not_shown.keys() {
        assert!(known.metrics.contains(*metric), "{metric} is not served");
    }
}
