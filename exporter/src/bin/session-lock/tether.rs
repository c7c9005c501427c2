//! `session-lock tether`, of which no help tells: becomes a command that is sent `SIGTERM` when its runner is gone.
//!
//! A program of its own between fork and exec, because what may be called there otherwise needs unsafe code: prctl(2)
//! `PR_SET_PDEATHSIG`, which an exec keeps, unless it is of a set-user-ID program.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{Command, ExitCode};

use clap::Parser;
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::fault::Fault;
use crate::run::exit::{OS, UNAVAILABLE};

/// The first argument that asks for it.
pub(crate) const WORD: &str = "tether";

/// What to become, and for whom.
#[derive(Parser)]
pub(crate) struct TetherOptions {
    /// The process to end with.
    #[arg(long)]
    parent: u32,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The command, to be started by this thread, which has to last as long as this process: the kernel means the thread.
pub(crate) fn tethered(words: &[OsString]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("session-lock").args([WORD, "--parent", &std::process::id().to_string(), "--"]).args(words);
    command
}

/// Becomes the command. Returns only if that fails, with flock(1)'s exit code for it.
pub(crate) fn tether(options: &TetherOptions) -> Result<ExitCode, Fault> {
    let refused = |errno: Errno| Fault::with_code(format!("cannot tie the command to its runner: {errno}"), OS);
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(refused)?;
    if parent_id() != options.parent {
        return Err(Fault::with_code("the runner was killed, and the command is not started", OS));
    }
    let (program, words) = options.command.split_first().ok_or_else(|| Fault::with_code("no command", crate::USAGE))?;
    let error = Command::new(program).args(words).exec();
    let code = if error.kind() == std::io::ErrorKind::OutOfMemory { OS } else { UNAVAILABLE };
    let program = program.to_string_lossy();
    Err(Fault::with_code(format!("cannot start {}: {error}", session_lock::shown(&program)), code))
}
