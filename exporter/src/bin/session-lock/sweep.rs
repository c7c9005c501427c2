//! `session-lock sweep`: what dead owners left, told or removed.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use session_lock::{DEFAULT_GRACE, Kept, LockDir, SweepOutcome, Swept, SweptClaim, shown};

use crate::fault::Fault;
use crate::output::print_json;
use crate::place::{Place, told};

const AFTER: &str = "\
Nobody needs it: an acquire takes a dead owner's lock over by itself. A living owner's lock is never touched.

Exit codes: 0 nothing is left; 1 something would be removed (without --yes), or could not be (with it); 2 could not look; 64 \
wrong usage.

Example: session-lock --dir /srv/sessions sweep --yes";

/// Says what dead owners left, and with --yes removes it
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct SweepOptions {
    /// Remove it.
    #[arg(long)]
    yes: bool,

    /// How long an older program's dead lock file is watched before it is removed.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    grace: Option<Duration>,

    /// An object: removed (whether it was done), claims, spares and unfinished.
    #[arg(long)]
    json: bool,
}

pub(crate) fn sweep(place: &Place, options: &SweepOptions) -> Result<ExitCode, Fault> {
    let swept = if options.yes {
        let grace = options.grace.unwrap_or(DEFAULT_GRACE);
        let locks = place.to_lock(LockDir::options().grace(grace)).map_err(|error| Fault::new(told(&error)))?;
        locks.sweep().blocking()
    } else {
        place.to_look()?.sweep().dry_run().blocking()
    };
    let swept = swept.map_err(Fault::new)?;
    if options.json { print_json(&as_json(&swept, options.yes)) } else { print(&swept, options.yes) }?;
    let failed = |claim: &SweptClaim| matches!(claim.outcome, SweepOutcome::Kept { why: Kept::Failed(_) });
    let is_left = if options.yes { swept.claims.iter().any(failed) } else { removed(&swept) > 0 };
    Ok(if is_left { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// How much was removed, or would be.
fn removed(swept: &Swept) -> usize {
    let claims = swept.claims.iter().filter(|claim| matches!(claim.outcome, SweepOutcome::Removed { .. })).count();
    claims + swept.spares + swept.unfinished
}

fn print(swept: &Swept, done: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for claim in &swept.claims {
        match &claim.outcome {
            SweepOutcome::Removed { reason, from } if !done => {
                writeln!(out, "{}: would be removed, left by {from}: {reason}", shown(&claim.name))?;
            }
            _ => writeln!(out, "{claim}")?,
        }
    }
    let verb = if done { "removed" } else { "would be removed" };
    for (count, what) in [(swept.spares, "spare files"), (swept.unfinished, "unfinished state directories")] {
        if count > 0 {
            writeln!(out, "{what} of dead processes: {count} {verb}")?;
        }
    }
    match (removed(swept), done) {
        (0, _) => writeln!(out, "nothing is left of the dead")?,
        (_, true) => {}
        (_, false) => writeln!(out, "nothing was changed; --yes removes it")?,
    }
    out.flush()
}

fn as_json(swept: &Swept, done: bool) -> Value {
    let claim = |claim: &SweptClaim| {
        let (outcome, reason) = match &claim.outcome {
            SweepOutcome::Removed { reason, .. } => ("removed", Some(reason.as_str())),
            _ => ("kept", None),
        };
        json!({ "session": claim.name, "outcome": outcome, "reason": reason, "words": claim.to_string() })
    };
    json!({
        "removed": done,
        "claims": swept.claims.iter().map(claim).collect::<Value>(),
        "spares": swept.spares,
        "unfinished": swept.unfinished,
    })
}
