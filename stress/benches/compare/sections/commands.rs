//! A command under a lock, beside flock(1) and beside the command alone.

use crate::report::{Figure, Missing, Report, Unit};
use crate::run::Run;
use crate::turn::{micros, percentile};
use crate::worker::now;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SECTION: &str = "commands";

pub(crate) fn run(run: &Run, report: &mut Report) {
    let tool = tool();
    if let Err(why) = &tool {
        report.missing.push(Missing { section: SECTION, subject: "session-lock run".into(), why: why.clone() });
    }
    let (rounds, commands) = run.either((10, 30), (3, 15));
    for place in &run.places {
        let dir = place.fresh("commands");
        let mut subjects = vec![("true alone", Command::new("true"))];
        let mut flock = Command::new("flock");
        flock.arg(dir.path().join("flock")).arg("true");
        subjects.push(("flock(1)", flock));
        if let Ok(tool) = &tool {
            let mut ours = Command::new(tool);
            ours.args(["run", "s", "--", "true"]).env("SESSION_LOCK_DIR", dir.path());
            subjects.push(("session-lock run", ours));
        }
        let mut medians: Vec<Vec<f64>> = subjects.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for ((name, command), medians) in subjects.iter_mut().zip(&mut medians) {
                match (0..commands).map(|_| timed(command)).collect::<Result<Vec<_>, _>>() {
                    Ok(mut times) => medians.push(micros(percentile(&mut times, 50))),
                    Err(why) => {
                        let why = format!("{why}; is it installed?");
                        report.missing.push(Missing { section: SECTION, subject: (*name).into(), why });
                    }
                }
            }
        }
        for ((name, _), medians) in subjects.iter().zip(&medians) {
            if !medians.is_empty() {
                let what = "one command p50";
                report.figures.push(Figure::of(SECTION, &place.file_system, name, what, Unit::Microseconds, medians));
            }
        }
    }
}

fn timed(command: &mut Command) -> Result<u64, String> {
    let began = now();
    let status = command.stdin(Stdio::null()).status().map_err(|error| error.to_string())?;
    if status.success() { Ok(now() - began) } else { Err(status.to_string()) }
}

/// The binary `session-lock`: beside this executable, or built.
fn tool() -> Result<PathBuf, String> {
    let this = std::env::current_exe().expect("this program has a path");
    let [release, target] = [2, 3].map(|nth| this.ancestors().nth(nth).unwrap_or(Path::new(".")));
    let beside = release.join("session-lock");
    if !beside.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "-p", "session-lock-exporter", "--bins", "--target-dir"]).arg(target);
        let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().map_err(|error| error.to_string())?;
        if !built.success() {
            return Err("cargo build --release -p session-lock-exporter --bins fails".into());
        }
    }
    if beside.is_file() { Ok(beside) } else { Err(format!("no {}", beside.display())) }
}
