//! `session-lock doctor`: what keeps locks from working here, or will.
//!
//! | File | Asks |
//! |---|---|
//! | `machine.rs` | /proc, limits, inotify, leases |
//! | `directory.rs` | file system, permissions, the state directory |
//! | `locks.rs` | lock files, leftovers, counters |
//!
//! It writes nothing: leases are asked about in /proc/sys, and the rest follows from what is there.

mod directory;
mod locks;
mod machine;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use session_lock::shown;

use crate::fault::Fault;
use crate::output::print_json;
use crate::place::Place;

const AFTER: &str = "\
A fault: locks cannot be had, or their promise is not kept. A warning: they can, but something is lost or will be. A note is \
nothing wrong. Nothing in the directory is changed. It speaks for the user and the limits that it runs with, so run it as the \
programs run that lock.

Exit codes: 0 nothing is wrong; 1 there are faults or warnings; 2 could not look; 64 wrong usage.

Example: session-lock --dir /srv/sessions doctor";

/// Looks for what keeps locks from working here, or will, and says what to do
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct DoctorOptions {
    /// An array of objects: severity, what, remedy.
    #[arg(long)]
    json: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    Note,
    Warning,
    Fault,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// Something that was found.
struct Finding {
    severity: Severity,
    what: String,
    remedy: String,
}

impl Finding {
    fn new(severity: Severity, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity, what: what.into(), remedy: remedy.into() }
    }
}

pub(crate) fn doctor(place: &Place, options: &DoctorOptions) -> Result<ExitCode, Fault> {
    // Before the directory is open, which takes an inotify instance of its own.
    let mut findings = machine::findings(&place.dir);
    let locks =
        session_lock::LockDir::options().any_permissions().any_file_system().open(&place.dir).map_err(Fault::new)?;
    let of_directory = directory::findings(place).map_err(Fault::new)?;
    let of_locks = locks::findings(&locks).map_err(Fault::new)?;
    let of_counters = locks::of_counters(&locks, &of_directory);
    findings.extend(of_directory.into_iter().chain(of_locks).chain(of_counters));
    if options.json { print_json(&as_json(&findings)) } else { print(&findings, place) }?;
    let is_healthy = findings.iter().all(|finding| finding.severity == Severity::Note);
    Ok(if is_healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(findings: &[Finding]) -> Value {
    let finding = |finding: &Finding| json!({ "severity": finding.severity.as_str(), "what": finding.what, "remedy": finding.remedy });
    findings.iter().map(finding).collect()
}

fn print(findings: &[Finding], place: &Place) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in findings {
        let Finding { severity, what, remedy } = finding;
        writeln!(out, "{}: {}; {}", severity.as_str(), shown(what), shown(remedy))?;
    }
    if findings.iter().all(|finding| finding.severity == Severity::Note) {
        writeln!(out, "nothing is wrong with {}", shown(&place.dir.to_string_lossy()))?;
    }
    out.flush()
}
