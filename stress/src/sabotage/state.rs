//! The state directory deleted while the locks are in use.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::{if_there, is_full};

/// What the lock keeps beside the claims.
const STATE: &str = ".session-lock";

/// So often files that appear meanwhile are deleted as well, before the directory is moved away instead.
const ATTEMPTS: u32 = 100;

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Moved away as a whole, then deleted.
    AtOnce,
    /// As `rm -r` does it: each file where it is, then the directory.
    FileByFile,
}

/// Deletes the state directory; `false` if there is none. Links in it are deleted, never followed.
pub(super) fn delete(
    sessions: &Path,
    aside: &Path,
    way: Way,
    announce: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let state = sessions.join(STATE);
    if !if_there(fs::symlink_metadata(&state))?.is_some_and(|found| found.is_dir()) {
        return Ok(false);
    }
    announce()?;
    if way == Way::FileByFile && emptied_and_removed(&state)? {
        return Ok(true);
    }
    let moved = aside.join("state");
    let gone = match if_there(fs::rename(&state, &moved)) {
        Ok(Some(())) => emptied_and_removed(&moved)?,
        Ok(None) => true,
        // A new name may need room.
        Err(error) if is_full(&error) => emptied_and_removed(&state)?,
        Err(error) => return Err(error.into()),
    };
    anyhow::ensure!(gone, "{} gets new files again and again", state.display());
    Ok(true)
}

/// `false`: there were new files each time.
fn emptied_and_removed(dir: &Path) -> io::Result<bool> {
    for _ in 0..ATTEMPTS {
        match if_there(fs::remove_dir_all(dir)) {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
