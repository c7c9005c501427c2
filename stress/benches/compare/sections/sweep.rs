//! What it takes to sweep the claims of dead owners: of processes of this crate that were killed, and of older peers.

use super::cost::{Cost, ms};
use super::held::{holder, session};
use super::member::{Member, ready, told};
use crate::report::{Figure, Report, Unit};
use crate::run::{Place, Run};
use session_lock::{LockDir, SweepOutcome};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

const SECTION: &str = "sweep";
/// Of a process that never was.
const FOREIGN: &str = r#"{"pid":4194303,"createdAt":"2026-01-01T00:00:00.000Z","starttime":1}"#;
/// A hold takes a descriptor, and so does each of 256 arbiters.
const PER_HOLDER: u64 = 2_500;

#[derive(Clone, Copy)]
enum Owners {
    OfThisCrate,
    OlderPeers,
}

impl Owners {
    /// In the table. A sweep waits one grace for all claims of older peers.
    fn name(self) -> &'static str {
        match self {
            Self::OfThisCrate => "killed processes",
            Self::OlderPeers => "older peers (1 s grace)",
        }
    }
}

pub(crate) fn run(run: &Run, report: &mut Report) {
    let counts: &[u64] = run.either(&[1_000, 10_000], &[1_000]);
    for place in &run.places {
        for &count in counts {
            for owners in [Owners::OfThisCrate, Owners::OlderPeers] {
                let rounds: Vec<_> = (0..run.either(4, 1)).map(|_| sweep(run, place, owners, count)).collect();
                let mut figure = |what: &str, unit, value: &dyn Fn(&Swept) -> f64| {
                    let values: Vec<_> = rounds.iter().map(value).collect();
                    let figure = Figure::of(SECTION, &place.file_system, owners.name(), what, unit, &values);
                    report.figures.push(figure.at(count));
                };
                #[expect(clippy::cast_precision_loss, reason = "a small number")]
                let claims = count as f64;
                figure("sweep of dead claims", Unit::Milliseconds, &|swept| swept.took_ms);
                figure("sweep, CPU per claim", Unit::Microseconds, &|swept| swept.cpu_ms * 1e3 / claims);
                figure("sweep, time per claim", Unit::Microseconds, &|swept| swept.took_ms * 1e3 / claims);
                figure("sweep, more memory at its peak", Unit::Mebibytes, &|swept| swept.mib);
            }
        }
    }
}

struct Swept {
    took_ms: f64,
    cpu_ms: f64,
    mib: f64,
}

fn sweep(run: &Run, place: &Place, owners: Owners, count: u64) -> Swept {
    let dir = place.fresh("sweep");
    match owners {
        Owners::OfThisCrate => leave_own(run, dir.path(), 0..count),
        Owners::OlderPeers => leave_foreign(dir.path(), 0..count),
    }
    let mut command = run.role("sweep");
    command.arg(dir.path());
    let mut sweeper = Member::start(command);
    let before = Cost::of(sweeper.pid());
    sweeper.tell("sweep");
    let [took_ms, removed] = sweeper.numbers();
    let after = Cost::of(sweeper.pid());
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let expected = count as f64;
    assert!((removed - expected).abs() < 0.5, "{removed} of {count} removed");
    Swept { took_ms, cpu_ms: ms(after.cpu.saturating_sub(before.cpu)), mib: after.peak_mib - before.resident_mib }
}

/// Sweeps a directory.
pub(crate) fn sweeper(arguments: &[String]) {
    let [dir] = arguments else { panic!("{arguments:?}") };
    let locks = LockDir::open(dir).expect("a directory for locks");
    ready();
    told();
    let began = Instant::now();
    let swept = locks.sweep().blocking().expect("listed");
    let took = began.elapsed();
    let removed = swept.claims.iter().filter(|claim| matches!(claim.outcome, SweepOutcome::Removed { .. })).count();
    println!("{} {removed}", ms(took));
    told();
}

/// Claims of processes that are killed while they hold.
pub(super) fn leave_own(run: &Run, dir: &Path, mut sessions: Range<u64>) {
    while !sessions.is_empty() {
        let next = sessions.start..sessions.end.min(sessions.start + PER_HOLDER);
        sessions.start = next.end;
        drop(holder(run, dir, next));
    }
}

pub(super) fn leave_foreign(dir: &Path, sessions: Range<u64>) {
    for nth in sessions {
        fs::write(dir.join(session(nth) + ".lock"), FOREIGN).expect("written");
    }
}
