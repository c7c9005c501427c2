//! What is in the directory: lock files that need somebody, what the dead left, the counters.

use session_lock::metrics::SlotStates;
use session_lock::{Inspection, LockDir, State, Swept};

use super::{Finding, Severity};

const SWEEP: &str =
    "nothing has to be done, since whoever locks takes them over; `session-lock sweep --yes` removes them now";
const NEW_COUNTERS: &str = "remove .session-lock/metrics-v1 while no process uses the directory; the counts begin anew";

pub(super) fn findings(locks: &LockDir) -> Result<Vec<Finding>, String> {
    let found = locks.inspect_all().map_err(|error| error.to_string())?;
    let swept = locks.sweep().dry_run().blocking().map_err(|error| error.to_string())?;
    let mut findings: Vec<_> = found.iter().filter_map(of_lock).collect();
    findings.extend(left_claims(&found));
    findings.extend(left_files(&swept));
    Ok(findings)
}

/// One that somebody has to look at. The words have what to do after the last semicolon.
fn of_lock(lock: &Inspection) -> Option<Finding> {
    let severity = match lock.state {
        State::Free | State::Held => return None,
        State::Reclaimable if lock.note.is_none() => return None,
        State::ForeignHeld => Severity::Note,
        State::Reclaimable | State::Corrupt | State::Inherited | State::Unknown => Severity::Warning,
        State::NotAClaim => Severity::Fault,
    };
    let words = lock.to_string();
    let (what, remedy) = words.rsplit_once("; ").unwrap_or((&words, "look at it (session-lock show)"));
    Some(Finding::new(severity, what, remedy))
}

fn left_claims(found: &[Inspection]) -> Option<Finding> {
    let left: Vec<_> = found.iter().filter(|lock| lock.state == State::Reclaimable && lock.note.is_none()).collect();
    let first = left.first()?;
    let what = format!("lock files of dead owners: {}, the first of {}", left.len(), first.name);
    Some(Finding::new(Severity::Warning, what, SWEEP))
}

fn left_files(swept: &Swept) -> Vec<Finding> {
    let kinds = [
        (swept.spares, "spare files of dead processes in .session-lock"),
        (swept.unfinished, "directories .session-lock-<hex digits> that a killed process left"),
    ];
    let left = kinds.into_iter().filter(|(count, _)| *count > 0);
    left.map(|(count, what)| Finding::new(Severity::Warning, format!("{what}: {count}"), SWEEP)).collect()
}

/// Of the counters. That they cannot be read follows from a fault of the directory, if there is one.
pub(super) fn of_counters(locks: &LockDir, of_directory: &[Finding]) -> Vec<Finding> {
    match locks.metrics() {
        Ok(metrics) => of_slots(metrics.slots),
        Err(_) if !of_directory.is_empty() => Vec::new(),
        Err(error) => vec![Finding::new(Severity::Warning, error.to_string(), NEW_COUNTERS)],
    }
}

fn of_slots(slots: SlotStates) -> Vec<Finding> {
    let mut findings = Vec::new();
    if slots.damaged > 0 {
        let what = format!("slots of counters that are damaged, whose counts are lost: {}", slots.damaged);
        findings.push(Finding::new(Severity::Warning, what, NEW_COUNTERS));
    }
    if slots.is_full() {
        let what =
            format!("all slots of counters are taken, {} by living processes: new ones are not counted", slots.living);
        findings.push(Finding::new(Severity::Warning, what, NEW_COUNTERS));
    }
    findings
}
