//! `session-lock`: a directory of session locks from a terminal, one file for each command.
//!
//! | Exit code | When |
//! |---|---|
//! | 0 | done, or nothing is wrong |
//! | 1 | `doctor` found something, `sweep` left something to do |
//! | 2 | what was asked for could not be looked at, or not be done |
//! | 64 | wrong usage |
//!
//! `run` has those of flock(1) instead: `run/exit.rs`. What goes wrong is one line on stderr; a reader of stdout that goes away
//! early ends the program without a word.

mod arguments;
mod doctor;
mod fault;
mod ls;
mod manual;
mod output;
mod place;
mod run;
mod show;
mod sweep;
mod tether;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use fault::Fault;
use tether::TetherOptions;

/// Wrong usage, as sysexits.h and flock(1) have it.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    // Before anything else is parsed, so that neither help nor completions tell of it.
    let done = match words.get(1) {
        Some(word) if word == tether::WORD => {
            TetherOptions::try_parse_from(&words[1..]).map(|options| tether::tether(&options))
        }
        _ => Arguments::try_parse_from(&words).map(|arguments| command(&arguments)),
    };
    done.map_or_else(|error| told(&error), |done| done.unwrap_or_else(Fault::told))
}

fn command(arguments: &Arguments) -> Result<ExitCode, Fault> {
    let place = &arguments.place;
    match &arguments.command {
        Command::Ls(options) => ls::ls(place, options),
        Command::Show(options) => show::show(place, options),
        Command::Watch(options) => watch::watch(place, options),
        Command::Run(options) => run::run(place, options),
        Command::Sweep(options) => sweep::sweep(place, options),
        Command::Doctor(options) => doctor::doctor(place, options),
        Command::Completions(options) => manual::completions(options),
        Command::Man(options) => manual::man(options),
    }
}

/// Help and the version are asked for; anything else is wrong usage.
fn told(error: &clap::Error) -> ExitCode {
    // Whoever does not read it does not want it.
    error.print().ok();
    if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS }
}
