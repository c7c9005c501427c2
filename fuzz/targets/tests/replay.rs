//! Every kept input of every target, with the ordinary compiler: the corpora, and what was once a finding.

use std::fs;
use std::path::{Path, PathBuf};

use session_lock_fuzz_targets::differential::{Difference, differences};
use session_lock_fuzz_targets::{TARGETS, Target};

fn fuzz() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The inputs in `fuzz/<kind>/<target>`, by name.
fn inputs(kind: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(fuzz().join(kind).join(target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("readable");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

fn replay(name: &str) {
    let Target { run, .. } = TARGETS.iter().find(|target| target.name == name).expect("a target has this name");
    // These two take lock files as they are, and share them.
    let corpus = inputs("corpus", if name == "differential" { "payload_bytes" } else { name });
    assert!(corpus.len() > 1, "there are inputs of {name}");
    for (path, bytes) in corpus.into_iter().chain(inputs("regressions", name)) {
        // With the one that fails as the last line.
        eprintln!("{}", path.display());
        run(&bytes);
    }
    run(&[]);
}

macro_rules! replays {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($target)),*]);
        }
    };
}

replays! { payload_bytes payload_structured payload_roundtrip verdict on_disk schedule metrics_slots differential }

/// A row that nothing is an example of may be an excuse for something else.
#[test]
fn each_listed_difference_has_an_example_and_a_row() {
    let found: Vec<Difference> =
        inputs("corpus", "payload_bytes").iter().flat_map(|(_, bytes)| differences(bytes)).collect();
    let list = fs::read_to_string(fuzz().join("DIFFERENCES.md")).expect("the list is there");
    for difference in Difference::ALL {
        assert!(found.contains(&difference), "no input of the corpus shows {difference:?}");
        assert!(list.contains(&format!("| `{difference:?}` |")), "DIFFERENCES.md has no row for {difference:?}");
    }
}

#[test]
fn each_target_is_a_binary() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("the fuzz crate is there");
    for Target { name, .. } in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no binary");
        assert!(fuzz().join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} has no glue");
    }
}
