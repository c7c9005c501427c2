//! The command line: `stress`, `stress run`, `stress selftest`.
//!
//! | Exit code | Meaning |
//! |---|---|
//! | 0 | valid |
//! | 1 | a violation was found (selftest: a broken lock was not caught, or a sound one was blamed) |
//! | 2 | inconclusive: too little happened, or something could not be judged |
//! | 254 | the command line is wrong |
//! | 255 | the tool itself failed |

use std::fs;
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::field::Empty;

use crate::crew::pid_namespaces;
use crate::options::RunOptions;
use crate::progress::Progress;
use crate::report::Results;
use crate::run_dir::RunDir;
use crate::selftest::{SelftestOptions, selftest};
use crate::supervisor::{Until, supervise};
use crate::telemetry;
use crate::worker::{WorkerOptions, work};

/// Where the environment names none.
const SERVICE: &str = "session-lock-stress";

const USAGE: u8 = 254;
const FAILED: u8 = 255;

/// Runs many processes against session-lock, with faults, and looks for two owners.
///
/// Without a command: `run` with its defaults. To change one, say `stress run`, then the option.
#[derive(Debug, Parser)]
#[command(name = "stress", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str =
    "Exit codes: 0 valid, 1 violation, 2 inconclusive, 254 wrong usage, 255 the tool itself failed";

const SELFTEST_EXIT_CODES: &str = "Exit codes: 0 every broken lock was caught and no sound one blamed, 1 not so, \
                                    254 wrong usage, 255 the tool itself failed";

#[derive(Debug, Subcommand)]
enum Command {
    /// Let workers compete for locks, kill and stop them, and judge what they did
    ///
    /// ^C ends the run early, with a report; a second one ends it at once.
    #[command(after_help = EXIT_CODES)]
    Run(RunOptions),
    /// Check the tool itself: locks known to be broken have to be caught, sound ones not to be blamed
    #[command(after_help = SELFTEST_EXIT_CODES)]
    Selftest(SelftestOptions),
    /// One worker of a run
    #[command(hide = true)]
    Worker(WorkerOptions),
}

/// Does what the command line asks for, and says how it went by the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            error.print().ok();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match catch_unwind(|| execute(cli.command)) {
        Ok(Ok(code)) => code.into(),
        Ok(Err(error)) => {
            writeln!(io::stderr(), "stress: {error:#}").ok();
            FAILED.into()
        }
        Err(_) => FAILED.into(),
    }
}

fn execute(command: Option<Command>) -> anyhow::Result<u8> {
    match command {
        None => execute(Cli::parse_from(["stress", "run"]).command),
        Some(Command::Run(options)) => run(&options),
        Some(Command::Selftest(options)) => {
            let _spans = telemetry::start(SERVICE)?;
            let seed = options.seed.unwrap_or_else(fresh_seed);
            let bound = humantime::format_duration(options.bound);
            writeln!(io::stderr(), "seed {seed}; replay: {} selftest --seed {seed} --bound '{bound}'", program()).ok();
            let _span = tracing::info_span!("selftest", seed).entered();
            Ok(selftest(&options, seed, &interrupt()?)?.exit_code())
        }
        Some(Command::Worker(options)) => work(&options).map(|()| 0),
    }
}

fn run(options: &RunOptions) -> anyhow::Result<u8> {
    let _spans = telemetry::start(SERVICE)?;
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let lock = options.lock.name();
    let span = tracing::info_span!("run", seed, lock, workers = options.workers, verdict = Empty).entered();
    let replay = options.replay(&program(), seed);
    writeln!(io::stderr(), "seed {seed}; replay: {replay}").ok();
    if options.pidns {
        pid_namespaces()?;
    }
    let dir = RunDir::prepare(options.dir.as_deref(), options.locks, options.workers)?;
    writeln!(io::stderr(), "run directory {}", dir.path().display()).ok();
    let progress = Progress::start(&options.lock.name(), options.duration);
    let outcome = supervise(options, seed, &dir, Until::Time, &interrupt()?, progress)?;
    let results = Results::of(outcome, options, seed, replay, &dir);
    span.record("verdict", results.verdict.name());
    let mut json = serde_json::to_string_pretty(&results)?;
    json.push('\n');
    fs::write(dir.results(), &json).with_context(|| format!("cannot write {}", dir.results().display()))?;
    let report = if options.json { json } else { format!("\n{results}") };
    // A reader that has gone away does not change the verdict, which is in results.json.
    io::stdout().write_all(report.as_bytes()).ok();
    Ok(results.verdict.exit_code())
}

/// The name this program was called by, so that a replay can be pasted.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "stress".into())
}

/// Small enough to be typed.
fn fresh_seed() -> u64 {
    fastrand::u64(..1_000_000_000)
}

/// A flag that the first ^C raises, so that the run ends with a report; the second ends the tool.
fn interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let raised = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, FAILED.into(), Arc::clone(&raised))?;
        flag::register(signal, Arc::clone(&raised))?;
    }
    Ok(raised)
}
