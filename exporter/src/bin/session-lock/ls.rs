//! `session-lock ls`: the locks of a directory.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value;
use session_lock::payload::Payload;
use session_lock::{Inspection, State, shown};
use session_lock_exporter::json;

use crate::fault::Fault;
use crate::output::{age, print_json, print_table, say};
use crate::place::Place;

const AFTER: &str = "\
WAITING counts those that say so and those parked in the kernel's queue, at least: a process that waits for less than 10 ms \
says nothing.

Exit codes: 0 looked, also if there is nothing; 2 could not look; 64 wrong usage.

Example: session-lock --dir /srv/sessions ls --state held --json";

/// Lists the sessions that have a lock file: state, holder, age, token, how many wait
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct LsOptions {
    /// Only locks in this state; can be given more than once.
    #[arg(long = "state", value_name = "STATE", value_parser = states())]
    states: Vec<String>,

    /// An array of the entries that /api/v1/locks of the exporter has.
    #[arg(long)]
    json: bool,
}

fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(State::ALL.map(State::as_str))
}

pub(crate) fn ls(place: &Place, options: &LsOptions) -> Result<ExitCode, Fault> {
    let locks = place.to_look()?;
    let mut found = locks.inspect_all().map_err(Fault::new)?;
    let is_empty = found.is_empty();
    let is_asked_for = |lock: &Inspection| options.states.iter().any(|state| state == lock.state.as_str());
    found.retain(|lock| options.states.is_empty() || is_asked_for(lock));
    let now = SystemTime::now();
    if options.json {
        print_json(&found.iter().map(|lock| json::lock(lock, now)).collect::<Value>())?;
    } else if is_empty {
        say(&format!("no session in {} has a lock file", shown(&place.dir.to_string_lossy())));
    } else if found.is_empty() {
        say("no lock is in that state");
    } else {
        // The kernel's queue is known all the same.
        let waits = locks.metrics().map(|metrics| metrics.waits).unwrap_or_default();
        let mut waiting: HashMap<&str, usize> = HashMap::new();
        for wait in &waits {
            *waiting.entry(&wait.session).or_default() += 1;
        }
        let row = |lock: &Inspection| row(lock, waiting.get(lock.name.as_str()).copied().unwrap_or(0), now);
        print_table(&["SESSION", "STATE", "HOLDER", "AGE", "TOKEN", "WAITING"], found.iter().map(row))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(lock: &Inspection, say_so: usize, now: SystemTime) -> Vec<String> {
    let payload = lock.holder.as_ref().and_then(|holder| holder.payload.as_ref());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        shown(&lock.name).to_string(),
        lock.state.as_str().to_owned(),
        or_dash(payload.map(|payload| holder(payload, lock.pid_here))),
        or_dash(payload.and_then(|payload| payload.created_at).map(|at| age(at, now))),
        or_dash(payload.and_then(|payload| payload.token).map(|token| token.to_string())),
        lock.waiters.parked.unwrap_or(0).max(say_so).to_string(),
    ]
}

/// `4711@node "run 17"`, and the pid that means something here.
fn holder(payload: &Payload, pid_here: Option<u32>) -> String {
    let parts = [
        Some(payload.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())),
        payload.host.as_ref().map(|host| format!("@{}", shown(host))),
        pid_here.map(|pid| format!(" ({pid} here)")),
        payload.label.as_ref().map(|label| format!(" {label:?}")),
    ];
    parts.into_iter().flatten().collect()
}
