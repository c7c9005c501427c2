//! The directory, as each command opens it.

use std::path::PathBuf;

use clap::Args;
use session_lock::{LockDir, OpenError, Options};

use crate::fault::Fault;

/// Which directory, and what is taken on trust about it.
#[derive(Args)]
#[command(next_help_heading = "Directory")]
pub(crate) struct Place {
    /// The directory of the sessions.
    #[arg(long, global = true, value_name = "PATH", default_value = ".", env = "SESSION_LOCK_DIR")]
    pub(crate) dir: PathBuf,

    /// Take any file system: you answer for it that all who use the directory run on one kernel.
    #[arg(long, global = true)]
    any_file_system: bool,

    /// Lock also where everybody may write, or where a sticky bit keeps users from each other's claims.
    #[arg(long, global = true)]
    any_permissions: bool,
}

impl Place {
    /// For those who lock.
    pub(crate) fn to_lock(&self, options: Options) -> Result<LockDir, OpenError> {
        let options = if self.any_permissions { options.any_permissions() } else { options };
        self.on_file_system(options).open(&self.dir)
    }

    /// For those who look: whether the directory can hold locks is what those who lock have to ask.
    pub(crate) fn to_look(&self) -> Result<LockDir, Fault> {
        self.on_file_system(LockDir::options().any_permissions())
            .open(&self.dir)
            .map_err(|error| Fault::new(told(&error)))
    }

    fn on_file_system(&self, options: Options) -> Options {
        if self.any_file_system { options.any_file_system() } else { options }
    }
}

/// The error, and the option for what a program would take the responsibility with.
pub(crate) fn told(error: &OpenError) -> String {
    match error {
        OpenError::FileSystem { .. } => format!("{error} (--any-file-system)"),
        OpenError::Permissions { .. } => format!("{error} (--any-permissions)"),
        _ => error.to_string(),
    }
}
