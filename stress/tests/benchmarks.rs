//! Of the page of the comparison, what its generator relies on. The figures are of whoever measured last.

use std::fs;
use std::path::Path;

#[test]
fn every_block_of_the_page_is_there_once_and_ends() {
    let page = page();
    let mut names = Vec::new();
    for part in page.split("<!-- compare ").skip(1) {
        let (name, rest) = part.split_once(": begin -->\n").expect("a marker that begins a block");
        assert!(rest.contains("<!-- end -->"), "{name} does not end");
        assert!(!names.contains(&name), "{name} is there twice");
        names.push(name);
    }
    assert!(names.contains(&"goals"), "{names:?}");
    assert_eq!(page.matches("<!-- end -->").count(), names.len(), "{names:?}");
}

#[test]
fn the_page_shows_the_plots_that_are_there() {
    let page = page();
    let shown = page.split("](benches/plots/").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let mut shown: Vec<_> = shown.map(str::to_owned).collect();
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/plots");
    let files = fs::read_dir(plots).expect("a directory of plots").flatten();
    let mut there: Vec<_> = files.map(|file| file.file_name().into_string().expect("a name")).collect();
    shown.sort();
    there.sort();
    assert_eq!(shown, there);
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("BENCHMARKS.md")).expect("a page")
}
