//! What makes a dashboard fit for others: the rules of Grafana's dashboard-linter, and some of our own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::catalogue::Catalogue;
use crate::expression::selected;
use crate::files::{dashboards, expressions, list, listed, panels, root, text, yaml};

/// Counters that a panel shows as they are, and why.
const AS_THEY_ARE: [(&str, &str); 1] =
    [("Claims replaced", "increase() does not see a counter that is 1 when it is first scraped")];

/// Panels of these are about Prometheus' own series, which have no exporter.
const OF_NO_EXPORTER: [&str; 1] = ["ALERTS"];

fn each_panel(check: impl Fn(&str, &Value)) {
    for (file, dashboard) in dashboards() {
        let panels = panels(&dashboard);
        assert!(!panels.is_empty(), "{file}");
        for panel in panels {
            check(&format!("{file}, {}", text(panel, "title")), panel);
        }
    }
}

#[test]
fn dashboards_are_complete_and_cannot_be_edited() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(!text(&dashboard, "title").is_empty() && !text(&dashboard, "description").is_empty(), "{file}");
        assert_eq!(dashboard["editable"], json!(false), "{file}");
        assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36), "{file}");
        let uid = text(&dashboard, "uid").to_owned();
        assert!((1..=40).contains(&uid.len()), "{file}: a uid has 1 to 40 characters: {uid}");
        assert!(uids.insert(uid), "{file}: its uid is another's");
        for annotation in list(&dashboard["annotations"], "list") {
            assert_eq!(text(&annotation["datasource"], "uid"), "$datasource", "{file}: {annotation}");
        }
        let ids: Vec<_> = list(&dashboard, "panels").iter().map(|panel| panel["id"].as_u64()).collect();
        assert!(ids.iter().all(Option::is_some), "{file}: {ids:?}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{file}: {ids:?}");
    }
}

#[test]
fn panels_lie_side_by_side() {
    for (file, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in list(&dashboard, "panels") {
            let at = |side: &str| panel["gridPos"][side].as_u64().expect("a number");
            assert!(at("x") + at("w") <= 24, "{file}: {}", panel["gridPos"]);
            for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
                assert!(taken.insert((x, y)), "{file}, {}: another panel is there", text(panel, "title"));
            }
        }
    }
}

#[test]
fn variables_are_what_the_linter_wants() {
    for (file, dashboard) in dashboards() {
        let variables = list(&dashboard["templating"], "list");
        let named = |name: &str| {
            let found = variables.iter().find(|variable| text(variable, "name") == name);
            found.unwrap_or_else(|| panic!("{file}: no variable {name}"))
        };
        let source = named("datasource");
        assert_eq!((text(source, "type"), text(source, "query")), ("datasource", "prometheus"), "{file}");
        assert_eq!(text(source, "label"), "Data source", "{file}");
        for (name, label) in [("job", "Job"), ("instance", "Instance"), ("directory", "Directory")] {
            let variable = named(name);
            assert_eq!((text(variable, "type"), text(variable, "label")), ("query", label), "{file}");
            assert_eq!(text(&variable["datasource"], "uid"), "$datasource", "{file}: {name}");
            assert_eq!((&variable["multi"], &variable["includeAll"]), (&json!(true), &json!(true)), "{file}: {name}");
            assert_eq!(text(variable, "allValue"), ".+", "{file}: {name}");
            assert_eq!(variable["refresh"], json!(2), "{file}: {name}: with the time range");
        }
    }
}

#[test]
fn panels_say_what_they_show_in_which_unit_from_where() {
    each_panel(|place, panel| {
        assert!(!text(panel, "title").is_empty(), "{place}: a title");
        assert!(text(panel, "description").ends_with('.'), "{place}: a description in sentences");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{place}: a unit");
        assert_eq!(text(&panel["datasource"], "uid"), "$datasource", "{place}");
        assert!(!expressions(panel).is_empty(), "{place}: no expression");
        let references: BTreeSet<_> = list(panel, "targets").iter().map(|target| text(target, "refId")).collect();
        assert_eq!(references.len(), list(panel, "targets").len(), "{place}: {references:?}");
        for target in list(panel, "targets") {
            assert_eq!(text(&target["datasource"], "uid"), "$datasource", "{place}");
            assert!(!text(target, "legendFormat").is_empty(), "{place}: a legend");
        }
    });
}

/// A series whose labels are not in its legend looks like another.
#[test]
fn legends_tell_series_apart() {
    each_panel(|place, panel| {
        let targets = list(panel, "targets");
        for target in targets.iter().filter(|target| !["__auto", "{{le}}"].contains(&text(target, "legendFormat"))) {
            let (expression, legend) = (text(target, "expr"), text(target, "legendFormat"));
            let groups = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
            for label in groups.flat_map(|labels| labels.split(", ")).filter(|label| !["job", "le"].contains(label)) {
                assert!(legend.contains(&format!("{{{{{label}}}}}")), "{place}: {legend} without {label}");
            }
        }
        let legends: BTreeSet<_> = targets.iter().map(|target| text(target, "legendFormat")).collect();
        assert_eq!(legends.len(), targets.len(), "{place}: two queries with one legend");
    });
}

#[test]
fn expressions_follow_the_variables() {
    let known = Catalogue::served();
    each_panel(|place, panel| {
        for selector in expressions(panel).into_iter().flat_map(selected) {
            if OF_NO_EXPORTER.contains(&selector.name.as_str()) {
                continue;
            }
            let labels = known.labels(&selector.name).unwrap_or_default();
            for label in ["job", "instance", "directory"].into_iter().filter(|label| labels.contains(label)) {
                let matcher = (label.to_owned(), format!("${label}"));
                assert!(selector.matchers.contains(&matcher), "{place}: {} follows no ${label}", selector.name);
            }
        }
    });
}

#[test]
fn counters_are_shown_as_rates_over_the_right_time() {
    each_panel(|place, panel| {
        for expression in expressions(panel) {
            for range in expression.split('[').skip(1).filter_map(|rest| rest.split(']').next()) {
                assert!(["$__rate_interval", "$__range"].contains(&range), "{place}: [{range}]");
            }
            for selector in selected(expression) {
                let counts = ["_total", "_bucket", "_sum", "_count"].iter().any(|end| selector.name.ends_with(end));
                let reason = AS_THEY_ARE.iter().find(|(title, _)| *title == text(panel, "title"));
                assert!(selector.over_time == counts || reason.is_some(), "{place}: {}", selector.name);
            }
        }
    });
}

#[test]
fn quantiles_show_exemplars_and_lead_to_traces() {
    each_panel(|place, panel| {
        for target in list(panel, "targets").iter().filter(|target| text(target, "expr").contains("_bucket")) {
            assert_eq!(target["exemplar"], json!(true), "{place}");
            let links = panel["fieldConfig"]["defaults"]["links"].to_string();
            assert!(links.contains("/explore?") && links.contains("${tempo}"), "{place}: {links}");
        }
    });
    for (file, dashboard) in dashboards() {
        let all = panels(&dashboard).into_iter().flat_map(expressions);
        let quantiles = all.filter(|expression| expression.starts_with("histogram_quantile")).count();
        assert_eq!(quantiles, 6, "{file}: p50, p90 and p99 of waits and of holds");
    }
}

/// A link knows only the variables that its dashboard has, and leads to a dashboard that there is.
#[test]
fn links_lead_somewhere() {
    let dashboards = dashboards();
    let uids: BTreeSet<_> = dashboards.iter().map(|(_, dashboard)| text(dashboard, "uid")).collect();
    for (file, dashboard) in &dashboards {
        let variables = list(&dashboard["templating"], "list").iter().map(|variable| text(variable, "name"));
        let known: BTreeSet<_> = variables.chain(["__from", "__to", "__url_time_range", "__data"]).collect();
        let of_panels =
            panels(dashboard).into_iter().flat_map(|panel| list(&panel["fieldConfig"]["defaults"], "links"));
        for url in list(dashboard, "links").iter().chain(of_panels).map(|link| text(link, "url")) {
            let used = url.split("${").skip(1).filter_map(|rest| rest.split(['}', ':', '.']).next());
            used.for_each(|variable| assert!(known.contains(variable), "{file}: {url}: no variable {variable}"));
            let to = url.strip_prefix("/d/").and_then(|rest| rest.split('?').next());
            assert!(to.is_none_or(|uid| uids.contains(uid)), "{file}: {url}: no such dashboard");
            assert!(["/d/", "/explore?", "${exporter}/"].iter().any(|begin| url.starts_with(begin)), "{file}: {url}");
        }
    }
}

#[test]
fn an_exemplar_leads_to_the_traces_that_are_provisioned() {
    let all: Vec<Value> = listed("provisioning/datasources", ".yml").iter().map(|path| yaml(path)).collect();
    let sources: Vec<&Value> = all.iter().flat_map(|file| list(file, "datasources")).collect();
    let of = |kind: &str| {
        let found = sources.iter().find(|source| text(source, "type") == kind);
        found.unwrap_or_else(|| panic!("no data source of the type {kind}"))
    };
    of("alertmanager");
    let destinations = list(&of("prometheus")["jsonData"], "exemplarTraceIdDestinations");
    let to: Vec<_> = destinations.iter().map(|to| (text(to, "name"), text(to, "datasourceUid"))).collect();
    assert_eq!(to, [("trace_id", text(of("tempo"), "uid"))]);
}

#[test]
fn the_committed_dashboards_are_what_the_generator_makes() {
    let generator = root().join("grafana/generate.py");
    let made = tempfile::tempdir().expect("a directory");
    let Ok(ran) = Command::new("python3").arg(generator).arg(made.path()).output() else {
        eprintln!("skipped: the_committed_dashboards_are_what_the_generator_makes: needs python3");
        return;
    };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let name = |path: &Path| path.file_name().expect("a file").to_owned();
    let committed = listed("grafana", ".json");
    let made_files = fs::read_dir(made.path()).expect("readable").count();
    assert_eq!(made_files, committed.len());
    for path in committed {
        let made = fs::read(made.path().join(name(&path))).expect("it makes the same files");
        assert!(made == fs::read(&path).expect("readable"), "{}: run dashboards/grafana/generate.py", path.display());
    }
}
