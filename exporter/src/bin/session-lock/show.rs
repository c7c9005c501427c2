//! `session-lock show`: everything about one lock.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use serde_json::{Value, json};
use session_lock::metrics::Contention;
use session_lock::verdict::OwnerProcess;
use session_lock::{Inspection, shown};
use session_lock_exporter::json;

use crate::fault::Fault;
use crate::output::{age, print_json, say};
use crate::place::Place;

const AFTER: &str = "\
The first line is the verdict: state, holder, why, and what to do. The claim is what its holder wrote; the kernel decides the \
state, whatever stands there.

Exit codes: 0 looked, also if the lock is free; 2 could not look; 64 wrong usage.

Example: session-lock --dir /srv/sessions show 42.jsonl";

/// Says all about one session's lock: verdict and why, claim, evidence, who waits and who did
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct ShowOptions {
    /// The session.
    name: String,

    /// The entry of /api/v1/locks, with `evidence`, and `contention` as in /api/v1/contention.
    #[arg(long)]
    json: bool,
}

pub(crate) fn show(place: &Place, options: &ShowOptions) -> Result<ExitCode, Fault> {
    let locks = place.to_look()?;
    let lock = locks.inspect(&options.name).map_err(Fault::new)?;
    let (waits, past) = match locks.metrics() {
        Ok(metrics) => (of(metrics.waits, &lock), of(metrics.contentions, &lock)),
        Err(error) => {
            say(&format!("who waits is not known: {error}"));
            Default::default()
        }
    };
    let now = SystemTime::now();
    if options.json {
        let mut value = json::lock(&lock, now);
        value["evidence"] = evidence_json(&lock);
        value["contention"] = json::contention(&waits, &past, now);
        print_json(&value)?;
    } else {
        print(&lock, &waits, &past, now)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn of(records: Vec<Contention>, lock: &Inspection) -> Vec<Contention> {
    records.into_iter().filter(|record| record.session == lock.name).collect()
}

fn evidence_json(lock: &Inspection) -> Value {
    json!({
        "process": process(lock.process).0,
        "pidHere": lock.pid_here,
        "reason": lock.reason.map(session_lock::verdict::Reason::as_str),
        "parked": lock.waiters.parked,
        "note": lock.note,
    })
}

/// As a name and in words.
fn process(process: OwnerProcess) -> (&'static str, &'static str) {
    match process {
        OwnerProcess::Gone => ("gone", "no process has the claim's pid"),
        OwnerProcess::Another => ("another", "the claim's pid belongs to another process now"),
        OwnerProcess::Present => ("present", "there is such a process, and nothing says that it is another"),
        OwnerProcess::Unknown => ("unknown", "not known: the claim has no pid, or the pid means nothing here"),
    }
}

fn print(lock: &Inspection, waits: &[Contention], past: &[Contention], now: SystemTime) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{lock}")?;
    let json = json::lock(lock, now);
    if let Some(claim) = json["holder"].as_object() {
        writeln!(out, "\nclaim")?;
        for (field, value) in claim {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(out, "  {field:<12} {}", shown(&text))?;
        }
        writeln!(out, "\nevidence")?;
        writeln!(out, "  {:<12} {}", "process", process(lock.process).1)?;
        if let Some(pid) = lock.pid_here {
            writeln!(out, "  {:<12} {pid}", "pid here")?;
        }
        if let Some(reason) = lock.reason {
            writeln!(out, "  {:<12} {reason}", "reason")?;
        }
        if let Some(note) = &lock.note {
            writeln!(out, "  {:<12} {}", "note", shown(note))?;
        }
    }
    for (heading, records) in [("waiting", waits), ("waited", past)] {
        if !records.is_empty() {
            writeln!(out, "\n{heading}")?;
        }
        for record in records {
            writeln!(out, "  {}", waiter(record, now))?;
        }
    }
    out.flush()
}

fn waiter(record: &Contention, now: SystemTime) -> String {
    let label = record.label.as_ref().map_or_else(String::new, |label| format!(", {label:?}"));
    let time = match record.waited {
        Some(waited) => format!("{waited:.1?}, {} ago", age(record.since + waited, now)),
        None => format!("for {}", age(record.since, now)),
    };
    format!("pid {}{label}: {time}, behind {}", record.pid, record.holder())
}
