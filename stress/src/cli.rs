//! The command line: `stress` and its commands.
//!
//! | Exit code | Meaning |
//! |---|---|
//! | 0 | valid |
//! | 1 | a violation was found (selftest: a broken lock was not caught, or a sound one was blamed) |
//! | 2 | inconclusive: too little happened, or something could not be judged |
//! | 254 | the command line is wrong |
//! | 255 | the tool itself failed |

use std::io::{self, Write};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::field::Empty;

use crate::check::{CheckOptions, check};
use crate::crashpoints::{CrashpointsOptions, VictimOptions, crashpoints, die};
use crate::groups;
use crate::groups::enter::{EnterOptions, enter};
use crate::groups::gate::{JoinOptions, PorterOptions, join, wait_for_group};
use crate::groups::process::{GroupOptions, lead};
use crate::groups::tether::{TetherOptions, tether};
use crate::judge::{JudgeOptions, rejudge};
use crate::listing::{HistoryOptions, print};
use crate::options::RunOptions;
use crate::progress::Progress;
use crate::replay::ReplayOptions;
use crate::report::Results;
use crate::run_dir::RunDir;
use crate::selftest::{SelftestOptions, selftest};
use crate::supervisor::{Until, supervise};
use crate::telemetry;
use crate::verdict::Verdict;
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
                                    2 inconclusive, 254 wrong usage, 255 the tool itself failed";

const CHECK_EXIT_CODES: &str = "Exit codes: 0 every property holds, 1 one is broken, 2 unknown: out of memory, or a \
                                counterexample that cannot be played any more, 254 wrong usage, 255 the tool itself failed. \
                                With --ablations or --controls: 1 a step that is left out breaks nothing and has no reason \
                                to stay, a broken lock is not caught, or a mended one is blamed";

#[derive(Debug, Subcommand)]
enum Command {
    /// Let workers compete for locks, kill and stop them, and judge what they did
    ///
    /// ^C ends the run early, with a report; a second one ends it at once.
    #[command(after_help = EXIT_CODES)]
    Run(RunOptions),
    /// Run an earlier run's plan again: the same options and the same seed, in a new directory
    #[command(after_help = EXIT_CODES)]
    Replay(ReplayOptions),
    /// Check the tool itself: locks known to be broken have to be caught, sound ones not to be blamed
    #[command(after_help = SELFTEST_EXIT_CODES)]
    Selftest(SelftestOptions),
    /// Judge the history that a run has kept, once more
    #[command(after_help = EXIT_CODES)]
    Judge(JudgeOptions),
    /// Print the history that a run has kept: one record a line, as JSON
    History(HistoryOptions),
    /// Kill or fail an acquire and a release at every one of their system calls, and look at what follows
    #[command(after_help = EXIT_CODES)]
    Crashpoints(CrashpointsOptions),
    /// Search all that can happen to the protocol on a simulated kernel, mix by mix of who takes part
    #[command(after_help = CHECK_EXIT_CODES)]
    Check(CheckOptions),
    /// Be a group of the runs in a directory, one after the other, until ^C or SIGTERM: for `run --topology joined`
    Join(JoinOptions),
    /// One worker of a run
    #[command(hide = true)]
    Worker(WorkerOptions),
    /// One process that a walk over crash points kills
    #[command(hide = true)]
    Victim(VictimOptions),
    /// The parent of some workers
    #[command(hide = true)]
    Group(GroupOptions),
    /// What stands outside of a group's namespaces
    #[command(hide = true)]
    Enter(EnterOptions),
    /// What lets a group in that somebody else has started
    #[command(hide = true)]
    Porter(PorterOptions),
    /// Another program, which dies with the supervisor
    #[command(hide = true)]
    Tether(TetherOptions),
    /// What undoes a run whose supervisor is gone
    #[command(hide = true)]
    Janitor,
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
        Some(Command::Replay(options)) => {
            let plan = options.plan()?;
            writeln!(io::stderr(), "again what began {} and was {}", plan.begun, plan.verdict).ok();
            run(&options.again(plan)?)
        }
        Some(Command::Selftest(options)) => {
            let _spans = telemetry::start(SERVICE)?;
            let seed = options.seed.unwrap_or_else(fresh_seed);
            let bound = humantime::format_duration(options.bound);
            writeln!(
                io::stderr(),
                "seed {seed}; replay: {} selftest --seed {seed} --bound '{bound}' --kills {}",
                program(),
                options.kills
            )
            .ok();
            let _span = tracing::info_span!("selftest", seed).entered();
            Ok(selftest(&options, seed, &interrupt()?)?.exit_code())
        }
        Some(Command::Judge(options)) => {
            let (verdict, words) = rejudge(&options)?;
            io::stdout().write_all(words.as_bytes()).ok();
            Ok(verdict.exit_code())
        }
        Some(Command::History(options)) => print(&options, io::stdout().lock()).map(|()| 0),
        Some(Command::Crashpoints(options)) => Ok(crashpoints(&options, &*interrupt()?)?.exit_code()),
        Some(Command::Check(options)) => Ok(check(&options, &*interrupt()?)?.exit_code()),
        Some(Command::Worker(options)) => work(&options).map(|()| 0),
        Some(Command::Victim(options)) => die(&options).map(|()| 0),
        Some(Command::Group(options)) => lead(&options).map(|()| 0),
        Some(Command::Enter(options)) => enter(&options),
        Some(Command::Join(options)) => join(&options, &*interrupt()?).map(|()| 0),
        Some(Command::Porter(options)) => wait_for_group(&options).map(|()| 0),
        Some(Command::Tether(options)) => tether(&options),
        Some(Command::Janitor) => groups::janitor::sweep().map(|()| 0),
    }
}

fn run(options: &RunOptions) -> anyhow::Result<u8> {
    let _spans = telemetry::start(SERVICE)?;
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let lock = options.lock.name();
    let span = tracing::info_span!("run", seed, lock, workers = options.workers, verdict = Empty).entered();
    let replay = options.replay(&program(), seed);
    writeln!(io::stderr(), "seed {seed}; replay: {replay}").ok();
    if let Some(fault) = options.contradiction() {
        let (fault, topology) = (fault.name(), options.topology.name());
        writeln!(io::stderr(), "stress: the fault {fault} cannot be done in the topology {topology}").ok();
        return Ok(USAGE);
    }
    let interrupted = interrupt()?;
    groups::check(options)?;
    let dir = RunDir::prepare(options.dir.as_deref(), options.locks, options.crew())?;
    writeln!(io::stderr(), "run directory {}", dir.path().display()).ok();
    let progress = Progress::start(&options.lock.name(), options.duration);
    let outcome = supervise(options, seed, &dir, Until::Time, &interrupted, progress)?;
    let results = Results::of(outcome, options, seed, replay, &dir);
    span.record("verdict", results.verdict.name());
    let written = results.write(&dir).map(|()| results.verdict.exit_code());
    // A reader that has gone away does not change the verdict, which is in results.json.
    if options.json {
        io::stdout().write_all(results.json()?.as_bytes()).ok();
    } else {
        write!(anstream::stdout(), "\n{}", results.painted()).ok();
    }
    match written {
        Err(error) if results.verdict == Verdict::Violation => {
            // What was found outweighs what is missing of the report.
            writeln!(io::stderr(), "stress: {error:#}").ok();
            Ok(results.verdict.exit_code())
        }
        written => written,
    }
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
