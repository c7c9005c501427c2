//! `session-lock completions` and `session-lock man`: what a package installs.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::fault::Fault;

const COMPLETIONS_AFTER: &str = "\
Exit codes: 0 done; 2 could not write; 64 wrong usage.

Example: session-lock completions bash > /etc/bash_completion.d/session-lock";

const MAN_AFTER: &str = "\
Exit codes: 0 done; 2 could not write; 64 wrong usage.

Example: session-lock man --out /usr/local/share/man/man1";

/// Prints the completions for a shell
#[derive(Args)]
#[command(after_long_help = COMPLETIONS_AFTER)]
pub(crate) struct CompletionsOptions {
    /// The shell.
    shell: Shell,
}

/// Prints the manual page, or writes the pages of all commands
#[derive(Args)]
#[command(after_long_help = MAN_AFTER)]
pub(crate) struct ManOptions {
    /// Write session-lock.1 and a page for each command into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn completions(options: &CompletionsOptions) -> Result<ExitCode, Fault> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "session-lock", &mut script);
    print(&script)
}

pub(crate) fn man(options: &ManOptions) -> Result<ExitCode, Fault> {
    let Some(directory) = &options.out else {
        let mut page = Vec::new();
        Man::new(Arguments::command()).render(&mut page)?;
        return print(&page);
    };
    clap_mangen::generate_to(Arguments::command(), directory).map_err(|error| {
        let directory = directory.to_string_lossy();
        Fault::new(format!("cannot write manual pages to {}: {error}", session_lock::shown(&directory)))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn print(bytes: &[u8]) -> Result<ExitCode, Fault> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
