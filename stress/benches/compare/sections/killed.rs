//! From the SIGKILL of an owner to the next one, which waits in another process than the one that kills.

use crate::peers::Subject;
use crate::report::{Figure, Missing, Report, Unit};
use crate::run::{Place, Run};
use crate::turn::{micros, percentile};
use crate::worker::now;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

const SECTION: &str = "killed";
/// How long the owner had held, how long the next one had waited, and how often in a full run: a hold that has lasted
/// is watched, and a wait that has lasted is written down, so that each costs something at another time.
pub(crate) const CASES: [Case; 3] = [
    Case { name: "owner killed at once", held_ms: 0, waited_ms: 10, kills: 100 },
    Case { name: "owner killed after 100 ms", held_ms: 100, waited_ms: 10, kills: 40 },
    Case { name: "owner killed, next waits for 50 ms", held_ms: 0, waited_ms: 50, kills: 100 },
];

#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    held_ms: u64,
    waited_ms: u64,
    kills: usize,
}

const FAST: [&str; 3] = ["session-lock", "OFD lock", "floor"];
/// How often, and how long a wait may be.
const SLOW: [(&str, usize); 2] = [("SoftFileLock", 10), ("proper-lockfile", 1)];
const BOUND_MS: u16 = 25_000;

pub(crate) fn run(run: &Run, report: &mut Report) {
    for place in &run.places {
        for case in CASES {
            let mut samples: [Vec<u64>; FAST.len()] = Default::default();
            let dirs = FAST.map(|_| place.fresh("killed"));
            for kill in 0..run.either(case.kills, 10) {
                for ((name, dir), samples) in FAST.iter().zip(&dirs).zip(&mut samples) {
                    match takeover(run, Subject::of(name), dir.path(), kill, case) {
                        Ok(took) => samples.push(took),
                        Err(why) => missing(report, name, place, why),
                    }
                }
            }
            for (name, samples) in FAST.iter().zip(samples) {
                add(report, place, name, case.name, samples);
            }
        }
    }
    if run.quick {
        let why = "it takes seconds; run without --quick".to_owned();
        return missing(report, "SoftFileLock, proper-lockfile", &run.places[0], why);
    }
    let place = &run.places[0];
    for (name, kills) in SLOW {
        let subject = Subject::of(name);
        if let Some(why) = subject.missing(run) {
            missing(report, name, place, why);
            continue;
        }
        let (dir, mut samples) = (place.fresh("killed"), Vec::new());
        for kill in 0..kills {
            match takeover(run, subject, dir.path(), kill, CASES[0]) {
                Ok(took) => samples.push(took),
                Err(why) => missing(report, name, place, why),
            }
        }
        add(report, place, name, CASES[0].name, samples);
    }
}

fn missing(report: &mut Report, name: &str, place: &Place, why: String) {
    let subject = format!("{name} on {}", place.file_system);
    report.missing.push(Missing { section: SECTION, subject, why });
}

/// The rounds are the kills: the figure is their percentile, between the fastest and the slowest.
fn add(report: &mut Report, place: &Place, subject: &str, what: &str, mut samples: Vec<u64>) {
    if samples.is_empty() {
        return;
    }
    for percent in [50, 99] {
        let value = micros(percentile(&mut samples, percent));
        let all: Vec<_> = samples.iter().copied().map(micros).collect();
        let what = format!("{what}: p{percent}");
        let figure = Figure::of(SECTION, &place.file_system, subject, &what, Unit::Microseconds, &all);
        report.figures.push(Figure { value, ..figure });
    }
}

/// Nanoseconds. Each has a session of its own, so that a claim that the last one left costs nothing.
fn takeover(run: &Run, subject: &Subject, dir: &Path, kill: usize, case: Case) -> Result<u64, String> {
    let mut holder = Process::start(run, subject, dir, kill);
    holder.line("asking")?;
    holder.line("")?;
    std::thread::sleep(Duration::from_millis(case.held_ms));
    let mut waiter = Process::start(run, subject, dir, kill);
    waiter.line("asking")?;
    std::thread::sleep(Duration::from_millis(case.waited_ms));
    if waiter.has_said_something(0) {
        return Err("two owners".into());
    }
    let killed = now();
    holder.child.kill().expect("our child");
    // Until it is waited for there is a process of its pid, and some peers ask for no more.
    holder.child.wait().expect("our child");
    let acquired = waiter.line("")?.parse::<u64>().map_err(|error| error.to_string())?;
    Ok(acquired.saturating_sub(killed))
}

/// One that asks and holds. It is ended when dropped.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(run: &Run, subject: &Subject, dir: &Path, kill: usize) -> Self {
        let mut command = subject.command(run, "owner");
        command.arg(dir).arg(format!("s{kill}")).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a worker starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    fn has_said_something(&self, within_ms: u16) -> bool {
        let output = self.output.get_ref();
        !self.output.buffer().is_empty()
            || poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], PollTimeout::from(within_ms)) == Ok(1)
    }

    /// The next line, which begins like this.
    fn line(&mut self, begins: &str) -> Result<String, String> {
        if !self.has_said_something(BOUND_MS) {
            return Err(format!("no owner after {} s", BOUND_MS / 1_000));
        }
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| error.to_string())?;
        let line = line.trim_end().to_owned();
        if line.is_empty() || !line.starts_with(begins) { Err(format!("it said {line:?}")) } else { Ok(line) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        self.child.wait().expect("our child");
    }
}
