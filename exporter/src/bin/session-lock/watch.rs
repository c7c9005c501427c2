//! `session-lock watch`: a line for each change, by looking again and again.

mod change;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::json;
use session_lock::{LockDir, shown};

use crate::fault::Fault;
use crate::place::Place;
use change::{Change, Seen};

const AFTER: &str = "\
First a line for each lock as it is, then one for each change: acquired, released, left (its owner is gone), reclaimed, waiting, \
waited (it waits no more), lost (somebody took a claim away; the counters do not say whose), gone, or the new state's name. \
What begins and ends between two looks is not seen: the metrics count everything.

Exit codes: ends by ^C, and so with 130 for a shell; 2 when the directory cannot be looked at any more; 64 wrong usage.

Example: session-lock --dir /srv/sessions watch 42.jsonl --interval 200ms --json";

/// Prints a line for each change of the locks, with the time in UTC
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct WatchOptions {
    /// Only this session.
    name: Option<String>,

    /// How long to wait between two looks, such as 200ms or 5s; at least 10ms.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,

    /// A JSON object for each line: at, change, session, words, and lock as in /api/v1/locks.
    #[arg(long)]
    json: bool,
}

/// One poll: the kernel takes no interval of a million years.
const LONGEST_POLL: Duration = Duration::from_hours(1);

/// Looking without a pause would take a whole processor.
const SHORTEST: Duration = Duration::from_millis(10);

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < SHORTEST { Err("at least 10ms".to_owned()) } else { Ok(interval) }
}

pub(crate) fn watch(place: &Place, options: &WatchOptions) -> Result<ExitCode, Fault> {
    let locks = place.to_look()?;
    if let Some(name) = &options.name {
        locks.inspect(name).map_err(Fault::new)?;
    }
    let mut before = None;
    loop {
        let now = look(&locks, options.name.as_deref(), before.as_ref())?;
        let at = SystemTime::now();
        for change in now.since(before.as_ref()) {
            print(&change, at, options)?;
        }
        before = Some(now);
        pause(options.interval)?;
    }
}

/// Lets the time pass, unless the reader of stdout goes away: where nothing changes, no write would tell.
fn pause(interval: Duration) -> Result<(), Fault> {
    let out = io::stdout();
    let begin = Instant::now();
    loop {
        let left = interval.saturating_sub(begin.elapsed()).min(LONGEST_POLL);
        // Asked for nothing: what is told is an error or a hang-up.
        let mut stdout = [PollFd::new(&out, PollFlags::empty())];
        match poll(&mut stdout, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) if begin.elapsed() >= interval => return Ok(()),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Err(Fault::NobodyReads),
            Err(errno) => return Err(Fault::new(format!("cannot wait for the next look: {errno}"))),
        }
    }
}

fn look(locks: &LockDir, only: Option<&str>, before: Option<&Seen>) -> Result<Seen, Fault> {
    let mut found = locks.scan().map_err(Fault::new)?;
    found.retain(|lock| only.is_none_or(|only| only == lock.name));
    Ok(match locks.metrics() {
        Ok(mut metrics) => {
            metrics.waits.retain(|wait| only.is_none_or(|only| only == wait.session));
            Seen::new(found, metrics)
        }
        // Nobody has begun or ended to wait as far as is known.
        Err(_) => Seen::without_counters(found, before),
    })
}

fn print(change: &Change, at: SystemTime, options: &WatchOptions) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let time = humantime::format_rfc3339_millis(at);
    if options.json {
        let lock = change.lock.as_ref().map(|lock| session_lock_exporter::json::lock(lock, at));
        let line = json!({
            "at": time.to_string(), "change": change.what, "session": change.session, "words": change.words, "lock": lock,
        });
        writeln!(out, "{line}")?;
    } else {
        let session = change.session.as_deref().map_or_else(|| "-".to_owned(), |name| shown(name).to_string());
        writeln!(out, "{time} {:<12} {session}: {}", change.what, change.words)?;
    }
    out.flush()
}
