//! The command line. What a command takes stands in the command's own file.

use clap::{Parser, Subcommand};
use session_lock_exporter::BUILD;

use crate::doctor::DoctorOptions;
use crate::ls::LsOptions;
use crate::manual::{CompletionsOptions, ManOptions};
use crate::place::Place;
use crate::run::RunOptions;
use crate::show::ShowOptions;
use crate::sweep::SweepOptions;
use crate::watch::WatchOptions;

/// Looks at a directory of session locks, and runs commands under them.
///
/// Names, labels and hosts are shown with their control characters escaped; --json has them as they are.
#[derive(Parser)]
#[command(name = "session-lock", version = BUILD, max_term_width = 120, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Ls(LsOptions),
    Show(ShowOptions),
    Watch(WatchOptions),
    Run(RunOptions),
    Sweep(SweepOptions),
    Doctor(DoctorOptions),
    Completions(CompletionsOptions),
    Man(ManOptions),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    /// So that nobody has to look into the code for what a script can rely on.
    #[test]
    fn every_command_tells_its_exit_codes_and_has_an_example() {
        for command in Arguments::command().get_subcommands() {
            let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for part in ["Exit codes:", "Example:"] {
                assert!(after.contains(part), "{name}: {part} {after}");
            }
        }
    }
}
