//! `session-lock run`: a command under a lock, as flock(1) runs it.
//!
//! The lock is this process's, whose descriptors are closed on exec: the command does not hold it, and neither does what the
//! command leaves running. So this process has to be there as long as the command is: it passes signals on and does not
//! end by them, and the command is told to end when this process is killed (`tether.rs`).

pub(crate) mod exit;
mod signals;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal, kill_process};
use session_lock::{Guard, LockDir, LockError, Loss};
use tokio::process::{Child, Command};

use crate::fault::Fault;
use crate::output::say;
use crate::place::{Place, told};
use crate::tether;
use signals::Signals;

const AFTER: &str = "\
Unlike under flock(1), the command does not hold the lock itself: this process does, and its files are closed in the command. \
The lock is free when the command has ended, whatever the command has left running. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 \
and SIGUSR2 are passed on to the command; what a terminal sends by a key has reached it already. When this process is killed, \
the lock is free at once, and the command gets SIGTERM, perhaps more than once: one that ignores that goes on without the \
lock, so let the storage check SESSION_LOCK_TOKEN where that matters.

The command's environment has SESSION_LOCK_SESSION, the session's name, and SESSION_LOCK_TOKEN, a number that grows with every \
hold of the session.

Exit codes: the command's own; 128+N if signal N ended it; 1, or -E, if the lock was not had in time; 64 wrong usage; 65 something \
that is no lock is in the way; 66 the directory cannot be used; 69 the command cannot be started; 71 the system refused something; \
73 nothing can be written there.

Example: session-lock --dir /srv/sessions run 42.jsonl --timeout 10s --label nightly -- ./compact 42.jsonl";

/// Runs a command while holding a session's lock
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct RunOptions {
    /// The session.
    name: String,

    /// How long to wait for the lock: seconds, such as 2.5, or 100ms, 5m; 0 tries once. Without it, without end.
    #[arg(short = 'w', long, visible_alias = "wait", value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,

    /// Do not wait for the lock.
    #[arg(short = 'n', long, visible_aliases = ["nb", "nonblock"], conflicts_with = "timeout")]
    no_wait: bool,

    /// The exit code if the lock was not had in time.
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = 1)]
    conflict_exit_code: u8,

    /// Text for people who ask whose lock it is, written into the lock file; at most 128 bytes.
    #[arg(long, env = "SESSION_LOCK_LABEL")]
    label: Option<String>,

    /// What to do when somebody takes the lock file away and puts another one there: nobody who uses this lock comes in, but
    /// others may.
    #[arg(long, value_name = "ACTION", default_value = "report")]
    on_lost: OnLost,

    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnLost {
    /// Say so on stderr.
    Report,
    /// Say so, and send the command SIGTERM.
    Terminate,
}

/// A number is seconds, as for flock(1).
fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

pub(crate) fn run(place: &Place, options: &RunOptions) -> Result<ExitCode, Fault> {
    let locks =
        place.to_lock(LockDir::options()).map_err(|error| Fault::with_code(told(&error), exit::not_opened(&error)))?;
    let guard = acquire(&locks, options)?;
    // From here on signals are the command's. While there was none to pass them on to, they ended this process.
    let signals = Signals::catch().map_err(|error| refused("catch signals", &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| refused("prepare for the command", &error))?;
    let status = runtime.block_on(run_under(&guard, signals, options))?;
    if let Err(error) = guard.release() {
        say(&error.to_string());
    }
    Ok(passed_on(status).into())
}

fn acquire(locks: &LockDir, options: &RunOptions) -> Result<Guard, Fault> {
    let mut lock = locks.lock(&options.name);
    if let Some(timeout) = options.timeout.or(options.no_wait.then_some(Duration::ZERO)) {
        lock = lock.timeout(timeout);
    }
    if let Some(label) = &options.label {
        lock = lock.label(label);
    }
    lock.blocking().map_err(|error| match error {
        LockError::Timeout { .. } => Fault::with_code(error, options.conflict_exit_code),
        error => Fault::with_code(&error, exit::not_acquired(&error)),
    })
}

async fn run_under(guard: &Guard, mut signals: Signals, options: &RunOptions) -> Result<ExitStatus, Fault> {
    let mut command = Command::from(tether::tethered(&options.command));
    command.env("SESSION_LOCK_SESSION", guard.session()).env("SESSION_LOCK_TOKEN", guard.token().to_string());
    let mut child = command.spawn().map_err(|error| refused("start the command", &error))?;
    let mut lost = Some(guard.lost());
    loop {
        let is_lost = async { if let Some(lost) = &mut lost { lost.await } else { std::future::pending().await } };
        tokio::select! {
            status = child.wait() => return status.map_err(|error| refused("wait for the command", &error)),
            signal = signals.next() => send(&child, signal),
            how = is_lost => {
                lost = None;
                tell_lost(&child, guard.session(), how, options.on_lost);
            }
        }
    }
}

fn tell_lost(child: &Child, session: &str, loss: Loss, action: OnLost) {
    let session = session_lock::shown(session);
    match action {
        OnLost::Report => say(&format!("{session} is not held any more: {loss}; the command goes on (--on-lost)")),
        OnLost::Terminate => {
            say(&format!("{session} is not held any more: {loss}; the command is terminated"));
            send(child, Signal::TERM);
        }
    }
}

/// To the command, which has not been waited for: so nobody else has its pid.
fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(errno) = kill_process(pid, signal)
    {
        say(&format!("the command cannot be sent signal {}: {errno}", signal.as_raw()));
    }
}

/// As a shell tells how a command ended.
fn passed_on(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::OS)
}

fn refused(what: &str, error: &std::io::Error) -> Fault {
    Fault::with_code(format!("cannot {what}: {error}"), exit::OS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration;

    #[test]
    fn a_number_is_seconds() {
        for (text, expected) in [("2", 2000), ("0.25", 250), (".5", 500), ("0", 0), ("100ms", 100), ("1m 1s", 61_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for text in ["-1", "x", "", "NaN", "inf", "1e300", "5 parsecs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
