//! One run of the comparison: how much of it, where, and how it starts itself.

use crate::machine::file_system;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(crate) struct Run {
    /// Fewer rounds and shorter turns, to see that everything works.
    pub(crate) quick: bool,
    /// The disk, and memory where there is `/dev/shm`.
    pub(crate) places: Vec<Place>,
    executable: PathBuf,
}

impl Run {
    pub(crate) fn new(quick: bool) -> Self {
        let parents = [Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new("/dev/shm")];
        let places = parents.into_iter().filter(|parent| parent.is_dir()).map(Place::on).collect();
        Self { quick, places, executable: std::env::current_exe().expect("this program has a path") }
    }

    /// The one for a full run, or the other one for a quick run.
    pub(crate) fn either<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// This executable, to be started as the role of this name.
    pub(crate) fn role(&self, name: &str) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(["--role", name]);
        command
    }
}

/// Where something is measured. It is removed at the end of the run.
pub(crate) struct Place {
    /// `ext4`, `tmpfs`.
    pub(crate) file_system: String,
    dir: TempDir,
}

impl Place {
    fn on(parent: &Path) -> Self {
        let dir = tempfile::tempdir_in(parent).expect("a temporary directory");
        Self { file_system: file_system(dir.path()), dir }
    }

    /// A new, empty directory.
    pub(crate) fn fresh(&self, name: &str) -> TempDir {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&format!("{name}-")).tempdir_in(self.dir.path()).expect("a directory")
    }
}
