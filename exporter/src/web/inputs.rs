//! The files that settings are made of, and whether they are still what they were.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Larger than any chain of certificates.
const MOST_BYTES: u64 = 1 << 20;

/// What each file held when it was read, in the order of reading.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Inputs(Vec<(PathBuf, Result<Vec<u8>, String>)>);

impl Inputs {
    /// Reads a file and remembers what came of it.
    pub(super) fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let content = read(path);
        self.0.push((path.to_owned(), content.clone()));
        content
    }

    /// Whether reading again gives the same.
    pub(super) fn unchanged(&self) -> bool {
        self.0.iter().all(|(path, content)| read(path) == *content)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    // Looked at before it is opened: opening a pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let mut content = Vec::new();
    fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut content)).map_err(failed)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(format!("{}: larger than {MOST_BYTES} bytes", path.display()));
    }
    Ok(content)
}
