//! What is in a directory, to see later that nothing of it has changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One name: all that a change of the file behind it would show in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    identity: (u64, u64),
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: u64,
    modified: (i64, i64),
    target: Option<PathBuf>,
    content: Option<Vec<u8>>,
}

/// Everything below `dir`, by path, but for the arbiters, the counters and a state directory that holds nothing
/// else: those are permanent.
pub fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    add(dir, &mut found);
    let state = dir.join(".session-lock");
    if state.is_dir() && !found.keys().any(|path| path.parent() == Some(&state)) {
        found.remove(&state);
    }
    found
}

fn add(dir: &Path, found: &mut BTreeMap<PathBuf, Entry>) {
    // A directory that may not be read shows nothing to compare.
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("readable").path();
        let is_permanent = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with("arbiter-") || name == "metrics-v1"
        });
        let metadata = fs::symlink_metadata(&path).expect("nobody else is here");
        if is_permanent && metadata.is_file() && metadata.nlink() == 1 {
            continue;
        }
        let kind = metadata.file_type();
        let is_directory = kind.is_dir();
        found.insert(
            path.clone(),
            Entry {
                identity: (metadata.dev(), metadata.ino()),
                mode: metadata.mode(),
                owner: (metadata.uid(), metadata.gid()),
                links: metadata.nlink(),
                // A directory's own size and times change with its names, which are listed.
                size: if is_directory { 0 } else { metadata.size() },
                modified: if is_directory { (0, 0) } else { (metadata.mtime(), metadata.mtime_nsec()) },
                target: fs::read_link(&path).ok(),
                content: (kind.is_file() && !kind.is_fifo() && metadata.size() <= 1 << 20)
                    .then(|| fs::read(&path).ok())
                    .flatten(),
            },
        );
        if is_directory {
            add(&path, found);
        }
    }
}
