//! The judge does not know the lock: only the peers and the search over its protocol may import it, and its exporter only
//! what sends spans.

use std::fs;
use std::path::Path;

const MAY: [&str; 2] = ["peers/session.rs", "model/"];

#[test]
fn only_the_peer_and_the_model_import_the_lock() {
    let importers = importers("session_lock::");
    let forbidden: Vec<_> = importers.iter().filter(|path| !MAY.iter().any(|may| path.starts_with(may))).collect();
    assert!(forbidden.is_empty(), "{forbidden:?} import the lock");
    assert!(importers.iter().any(|path| path == MAY[0]), "the search finds what is there: {importers:?}");
}

#[test]
fn only_spans_come_from_the_exporter() {
    assert_eq!(importers("session_lock_exporter"), ["telemetry.rs"]);
}

/// The sources whose code says this.
fn importers(word: &str) -> Vec<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut importers = Vec::new();
    visit(&sources, &mut |path| {
        let text = fs::read_to_string(path).expect("a source is text");
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.any(|line| line.contains(word)) {
            importers.push(path.strip_prefix(&sources).expect("it lies there").display().to_string());
        }
    });
    importers
}

fn visit(dir: &Path, take: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).expect("a directory of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            visit(&path, take);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            take(&path);
        }
    }
}
