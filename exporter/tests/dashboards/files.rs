//! The files of `dashboards/`, read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Where they are.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards").canonicalize().expect("it is beside the exporter")
}

pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("dashboards/{name}: {error}"))
}

/// The files with this ending in a directory, in the order of their names; there is one at least.
pub(crate) fn listed(directory: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).expect("a directory");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    assert!(!paths.is_empty(), "dashboards/{directory} has no *{ending}");
    paths
}

pub(crate) fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("readable");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

pub(crate) fn rule_files() -> Vec<PathBuf> {
    listed("rules", ".rules.yml")
}

/// All rules of all groups.
pub(crate) fn rules() -> Vec<Value> {
    let files = rule_files();
    let groups = files.iter().flat_map(|path| list(&yaml(path), "groups").to_vec());
    groups.flat_map(|group| list(&group, "rules").to_vec()).collect()
}

/// Those that are alerts, by their names.
pub(crate) fn alerts() -> Vec<(String, Value)> {
    let rules = rules().into_iter();
    rules.filter_map(|rule| Some((rule["alert"].as_str()?.to_owned(), rule.clone()))).collect()
}

/// Grafana's dashboards, by their files' names.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let parsed = |path: PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("readable");
        (name, serde_json::from_str(&text).expect("JSON"))
    };
    listed("grafana", ".json").into_iter().map(parsed).collect()
}

/// The panels of a dashboard that show something: not its rows, but what is in them.
pub(crate) fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = list(dashboard, "panels").iter().flat_map(|panel| std::iter::once(panel).chain(list(panel, "panels")));
    all.filter(|panel| text(panel, "type") != "row").collect()
}

/// The expressions of a panel.
pub(crate) fn expressions(panel: &Value) -> Vec<&str> {
    list(panel, "targets").iter().map(|target| text(target, "expr")).collect()
}

/// Whether this program is there, which is part of a package of Debian; says so if not.
pub(crate) fn has(test: &str, program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: {test}: needs {program} (Debian: {package})");
    }
    found
}
