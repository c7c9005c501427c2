//! Holds the code to the layers of ARCHITECTURE.md.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn architecture() -> String {
    fs::read_to_string(crate_root().join("../ARCHITECTURE.md")).expect("ARCHITECTURE.md is in the repository")
}

fn backticked(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Module to the number of its layer, from the table under "## Layers".
fn layers() -> BTreeMap<String, usize> {
    let text = architecture();
    let section = text.split("## Layers").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the section");
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.enumerate().flat_map(|(layer, row)| backticked(row).into_iter().map(move |module| (module, layer))).collect()
}

/// Every source file of the crate but its tests, with the module it belongs to and its code without comments.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = crate_root().join("src");
    let mut found = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let relative = path.strip_prefix(&root).expect("below the root");
            let first = relative.components().next().expect("a component").as_os_str().to_string_lossy();
            let module = first.trim_end_matches(".rs").to_owned();
            if module != "tests" && module != "lib" {
                let text = fs::read_to_string(&path).expect("readable");
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let code: String =
                    text.lines().map(|line| line.split("//").next().unwrap_or(line).to_owned() + "\n").collect();
                found.push((module, path.clone(), code));
            }
        }
    }
    found
}

fn used_modules(code: &str) -> Vec<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(name).collect()
}

#[test]
fn a_module_uses_its_own_layer_and_the_ones_above() {
    let layers = layers();
    let mut seen = 0;
    for (module, path, code) in sources() {
        let layer = layers.get(&module).unwrap_or_else(|| panic!("{module} is in no layer of ARCHITECTURE.md"));
        for used in used_modules(&code) {
            let other = layers.get(&used).unwrap_or_else(|| panic!("{}: crate::{used} is no module", path.display()));
            assert!(other <= layer, "{}: {module} may not use {used}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "the test reads the imports");
    let modules: Vec<_> = sources().into_iter().map(|(module, ..)| module).collect();
    for module in layers.keys() {
        assert!(modules.contains(module), "ARCHITECTURE.md names {module}, which is not there");
    }
}

#[test]
fn the_core_knows_no_clock_path_or_descriptor() {
    let text = architecture();
    let rule =
        text.split("The core of the pure layer, ").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("the rule");
    let (modules, banned) = rule.split_once(" knows none of these").expect("modules, then words");
    let (modules, banned) = (backticked(modules), backticked(banned));
    assert!(modules.len() >= 4 && banned.len() >= 8, "{modules:?} {banned:?}");
    for (module, path, code) in sources() {
        for word in banned.iter().filter(|_| modules.contains(&module)) {
            assert!(!code.contains(word.as_str()), "{}: {word}", path.display());
        }
    }
}

#[test]
fn unsafe_stands_only_at_the_door() {
    let mut at_the_door = 0;
    for (module, path, code) in sources() {
        let uses = code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| *word == "unsafe").count();
        if module == "sys" {
            at_the_door += uses;
        } else {
            assert_eq!(uses, 0, "{}", path.display());
        }
    }
    assert!(at_the_door > 0, "the test reads the code");
}

#[test]
fn paths_are_shown_without_their_control_characters() {
    for (_, path, code) in sources() {
        assert!(!code.contains(".display()"), "{}: show the path through shown::shown_path", path.display());
    }
}
