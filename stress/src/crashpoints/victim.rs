//! The process that is traced: it acquires and releases once within its marked section, and once more after it.
//!
//! It says what it does on standard output, one line each, and where the judge has something to do first it waits for a line
//! on standard input. What it says is checked, not believed.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use clap::Args;
use nix::sys::prctl::set_name;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};

use super::scenario::Scenario;
use crate::peers::{Acquired, Asked, End, Held, Implementation, Peer};

/// What the tool tells a victim it starts.
#[derive(Debug, Args)]
pub(crate) struct VictimOptions {
    /// None: it is not traced, holds the lock, and says so
    #[arg(long, value_enum)]
    pub(crate) scenario: Option<Scenario>,
    /// Holds before the one that matters
    #[arg(long, default_value_t = 0)]
    pub(crate) holds: u32,
    #[arg(long, value_enum)]
    pub(crate) lock: Implementation,
    #[arg(long)]
    pub(crate) sessions: PathBuf,
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) bound: Duration,
}

/// The exit code of a victim that hung.
pub(super) const HUNG: i32 = 3;
/// A hold that is older has a watch on its claim.
const WATCHED_AFTER: Duration = Duration::from_millis(60);
/// How long it rests before it looks again whether it has acquired.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
type InTask<'a> = Pin<Box<dyn Future<Output = Acquired> + Send + 'a>>;
/// The lock that everything is about.
const LOCK: u16 = 0;

/// It, for so long.
pub(super) const fn asked(timeout: Duration) -> Asked {
    Asked { worker: 0, lock: LOCK, timeout }
}

/// Releases it; a hold that was lost counts as a failure here, since only one scenario takes claims away.
pub(super) fn released(held: Box<dyn Held>) -> anyhow::Result<()> {
    match held.release()? {
        End::Released => Ok(()),
        End::Lost => anyhow::bail!("the hold was lost before its release"),
    }
}

/// The whole life of a victim.
pub(crate) fn die(options: &VictimOptions) -> anyhow::Result<()> {
    set_name(c"stress-victim")?;
    cut_short(options.bound);
    let Some(scenario) = options.scenario else { return hold(options) };
    ptrace::traceme()?;
    raise(Signal::SIGSTOP)?;
    // A process that is traced is slow.
    let peer = options.lock.open(&options.sessions, options.grace, Some(Duration::MAX))?;
    for _ in 0..options.holds {
        released(acquire(&*peer, options.bound)?)?;
    }
    let held = if scenario.begins_inside() { Some(inside(&*peer, options)?) } else { None };
    let mut next = if scenario.hands_on() { Some(peer.acquire_in_task(asked(Duration::MAX))) } else { None };
    if let Some(next) = &mut next {
        anyhow::ensure!(poll(next).is_pending(), "acquired what it holds already");
    }
    say("begin")?;
    if scenario.disturbs() {
        hear()?;
    }
    match (held, next) {
        (Some(held), None) => end(held)?,
        (Some(held), Some(next)) => {
            end(held)?;
            begin_and_end(finish(next))?;
        }
        (None, _) => begin_and_end(peer.acquire(asked(options.timeout)))?,
    }
    say("end")?;
    hear()?;
    match acquire(&*peer, options.bound).and_then(|held| Ok((held.token(), released(held)?))) {
        Ok((token, ())) => say(&format!("again {token}"))?,
        Err(error) => say(&format!("again-failed {error:#}"))?,
    }
    drop(peer);
    say("bye")
}

fn begin_and_end(acquired: Acquired) -> anyhow::Result<()> {
    match acquired {
        Ok(Some(held)) => {
            say(&format!("acquired {}", held.token()))?;
            hear()?;
            end(held)
        }
        Ok(None) => say("timeout"),
        Err(error) => say(&format!("failed {error:#}")),
    }
}

fn poll(acquire: &mut InTask<'_>) -> Poll<Acquired> {
    acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Looks again and again: a wake-up would need a second thread.
fn finish(mut acquire: InTask<'_>) -> Acquired {
    loop {
        if let Poll::Ready(acquired) = poll(&mut acquire) {
            return acquired;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn end(held: Box<dyn Held>) -> anyhow::Result<()> {
    match released(held) {
        Ok(()) => say("released"),
        Err(error) => say(&format!("release-failed {error:#}")),
    }
}

/// A hold that has lasted long enough to be watched.
fn inside(peer: &dyn Peer, options: &VictimOptions) -> anyhow::Result<Box<dyn Held>> {
    let held = acquire(peer, options.bound)?;
    say(&format!("holding {}", held.token()))?;
    hear()?;
    thread::sleep(WATCHED_AFTER);
    Ok(held)
}

/// Holds until standard input ends, or a kill comes.
fn hold(options: &VictimOptions) -> anyhow::Result<()> {
    let peer = options.lock.open(&options.sessions, options.grace, None)?;
    for _ in 0..options.holds {
        released(acquire(&*peer, options.bound)?)?;
    }
    let held = acquire(&*peer, options.bound)?;
    say(&format!("holding {}", held.token()))?;
    hear()?;
    released(held)
}

fn acquire(peer: &dyn Peer, timeout: Duration) -> anyhow::Result<Box<dyn Held>> {
    peer.acquire(asked(timeout))?.ok_or_else(|| anyhow::anyhow!("not acquired within {timeout:?}"))
}

/// One write, so that the tracer sees a line as one call.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())?;
    Ok(out.flush()?)
}

fn hear() -> anyhow::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(())
}

/// Ends the process when it has not ended by itself. The thread begins before the tracing does, so it is not traced.
#[expect(clippy::disallowed_methods, reason = "a victim that hangs in its lock cannot return")]
fn cut_short(bound: Duration) {
    thread::spawn(move || {
        thread::sleep(bound.saturating_mul(2));
        std::process::exit(HUNG);
    });
}
