//! A program that dies with the supervisor, which it would not do by itself: the engine's command line.

use std::os::unix::process::{CommandExt, parent_id};
use std::process::Command;

use anyhow::{Context, anyhow};
use clap::Args;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// What to execute, and for whom.
#[derive(Debug, Args)]
pub(crate) struct TetherOptions {
    /// The process to die with
    #[arg(long)]
    parent: u32,
    #[arg(last = true, required = true)]
    words: Vec<String>,
}

/// Becomes this program. Returns only if that fails.
pub(crate) fn tether(options: &TetherOptions) -> anyhow::Result<u8> {
    set_pdeathsig(Signal::SIGKILL)?;
    if parent_id() != options.parent {
        return Err(anyhow!("the supervisor is gone"));
    }
    let (program, words) = options.words.split_first().context("no program is named")?;
    Err(Command::new(program).args(words).exec()).with_context(|| format!("cannot start {program}"))
}

/// The command line of a program that will die with this process.
pub(crate) fn tethered(program: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("stress").args(["tether", "--parent", &std::process::id().to_string(), "--", program]);
    command
}
