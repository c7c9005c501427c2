//! One process alone: acquire and release, its system calls, and its allocations.

use crate::peers::{SUBJECTS, Subject};
use crate::report::{Figure, Missing, Report, Unit};
use crate::run::Run;
use crate::turn::{Turn, ends_well};
use crate::worker::now;
use std::path::Path;
use std::process::{Command, Stdio};

const SECTION: &str = "uncontended";
const OPERATIONS: u64 = 1_000;
/// Enough that what comes once in a while is seen, and few enough for strace.
const TRACED: [u64; 2] = [100, 600];
const TRACE_NS: u64 = 30_000_000_000;

pub(crate) fn run(run: &Run, report: &mut Report) {
    let mut subjects = Vec::new();
    for subject in SUBJECTS {
        match subject.missing(run) {
            None => subjects.push(subject),
            Some(why) => report.missing.push(Missing { section: SECTION, subject: subject.name.into(), why }),
        }
    }
    for (nth, place) in run.places.iter().enumerate() {
        let dirs: Vec<_> = subjects.iter().map(|_| place.fresh("uncontended")).collect();
        let mut measured: Vec<Measured> = subjects.iter().map(|_| Measured::default()).collect();
        for round in 0..run.either(15, 3) {
            // Nobody always comes after the same one.
            for place_in_round in 0..subjects.len() {
                let at = (place_in_round + round) % subjects.len();
                let turn =
                    Turn { subject: subjects[at], dir: dirs[at].path(), processes: 1, hold_us: 0, think_max_us: 0 };
                measured[at].add(turn.alone(run, OPERATIONS));
            }
        }
        for ((subject, dir), measured) in subjects.iter().zip(&dirs).zip(measured) {
            measured.report(&place.file_system, subject, report);
            // The calls are the same everywhere; only this project's own are looked at in each place.
            if nth > 0 && !["session-lock", "floor"].contains(&subject.name) {
                continue;
            }
            match system_calls(run, subject, dir.path()) {
                Ok(calls) => report.figures.push(Figure::of(
                    SECTION,
                    &place.file_system,
                    subject.name,
                    "system calls",
                    Unit::Count,
                    &[calls],
                )),
                Err(why) => {
                    let subject = format!("{} on {}, system calls", subject.name, place.file_system);
                    report.missing.push(Missing { section: SECTION, subject, why });
                }
            }
        }
    }
}

#[derive(Default)]
struct Measured {
    p50: Vec<f64>,
    p99: Vec<f64>,
    allocations: Vec<f64>,
    failed: Option<String>,
}

impl Measured {
    fn add(&mut self, turn: Result<crate::turn::Alone, String>) {
        match turn {
            Ok(alone) => {
                self.p50.push(alone.p50_us);
                self.p99.push(alone.p99_us);
                self.allocations.extend(alone.allocations);
            }
            Err(why) => self.failed = Some(why),
        }
    }

    fn report(self, file_system: &str, subject: &Subject, report: &mut Report) {
        let figures = [
            ("acquire + release p50", Unit::Microseconds, &self.p50),
            ("acquire + release p99", Unit::Microseconds, &self.p99),
            ("allocations", Unit::Count, &self.allocations),
        ];
        for (what, unit, rounds) in figures {
            if !rounds.is_empty() {
                report.figures.push(Figure::of(SECTION, file_system, subject.name, what, unit, rounds));
            }
        }
        if let Some(why) = self.failed {
            let subject = format!("{} on {file_system}, some rounds", subject.name);
            report.missing.push(Missing { section: SECTION, subject, why });
        }
    }
}

/// For one operation: what many need more than few.
#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn system_calls(run: &Run, subject: &Subject, dir: &Path) -> Result<f64, String> {
    let mut counts = [0; 2];
    for (operations, count) in TRACED.into_iter().zip(&mut counts) {
        *count = traced(run, subject, dir, operations)?;
    }
    // A tenth of them comes before.
    let operations = (TRACED[1] - TRACED[0]) * 11 / 10;
    Ok(counts[1].saturating_sub(counts[0]) as f64 / operations as f64)
}

fn traced(run: &Run, subject: &Subject, dir: &Path, operations: u64) -> Result<u64, String> {
    let out = tempfile::tempdir().expect("a temporary directory");
    let (summary, stamps) = (out.path().join("summary"), out.path().join("stamps"));
    let worker = subject.command(run, "worker");
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "-c", "-o"]).arg(&summary).arg(worker.get_program()).args(worker.get_args());
    for (name, value) in worker.get_envs() {
        command.env(name, value.expect("none is removed"));
    }
    command.arg(dir).args(["s", "0", "0", "0", &format!("x{operations}"), "0"]).arg(stamps);
    let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.map_err(|error| format!("strace does not start ({error}); install strace"))?;
    if !ends_well(child, now() + TRACE_NS) {
        return Err("strace failed; it needs the right to trace".into());
    }
    let text = std::fs::read_to_string(summary).map_err(|error| error.to_string())?;
    let total = text.lines().rev().find(|line| line.trim_end().ends_with(" total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.ok_or_else(|| "strace has no total".into())
}
