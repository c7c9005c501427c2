//! Several processes on one lock.

use crate::peers::{SUBJECTS, Subject, Waits};
use crate::report::{Figure, Missing, Report, Unit};
use crate::run::{Place, Run};
use crate::turn::{Together, Turn};
use std::time::Duration;

const SECTION: &str = "contended";
/// Those of every case.
const EVERYWHERE: [&str; 3] = ["session-lock", "floor", "OFD lock"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    processes: u64,
    hold_us: u64,
    think_max_us: u64,
}

/// What sessions look like, and the most that can be asked: the peers' cases.
pub(crate) const USUAL: Case = Case { processes: 8, hold_us: 1_000, think_max_us: 4_000 };
pub(crate) const HARDEST: Case = Case { processes: 8, hold_us: 0, think_max_us: 0 };

const CASES: [Case; 8] = [
    Case { processes: 2, hold_us: 0, think_max_us: 0 },
    Case { processes: 2, hold_us: 0, think_max_us: 4_000 },
    Case { processes: 2, hold_us: 1_000, think_max_us: 0 },
    Case { processes: 2, hold_us: 1_000, think_max_us: 4_000 },
    HARDEST,
    Case { processes: 8, hold_us: 0, think_max_us: 4_000 },
    Case { processes: 8, hold_us: 1_000, think_max_us: 0 },
    USUAL,
];

impl Case {
    /// Begins what its figures measure.
    pub(crate) fn name(self) -> String {
        let Self { processes, hold_us, think_max_us } = self;
        let think = if think_max_us == 0 { "no think".into() } else { format!("think 0-{} ms", think_max_us / 1_000) };
        format!("{processes} x hold {} ms, {think}", hold_us / 1_000)
    }
}

pub(crate) fn run(run: &Run, report: &mut Report) {
    for (nth, place) in run.places.iter().enumerate() {
        for case in CASES {
            if run.quick && nth > 0 && case != USUAL && case != HARDEST {
                continue;
            }
            // What interpreters and polls cost differs little between file systems.
            let with_peers = nth == 0 && (case == USUAL || case == HARDEST);
            let mut subjects = Vec::new();
            for subject in SUBJECTS.iter().filter(|subject| with_peers || EVERYWHERE.contains(&subject.name)) {
                match subject.missing(run) {
                    None => subjects.push(subject),
                    Some(why) if case == USUAL => {
                        report.missing.push(Missing { section: SECTION, subject: subject.name.into(), why });
                    }
                    Some(_) => (),
                }
            }
            measure(run, place, case, &subjects, report);
        }
    }
}

fn measure(run: &Run, place: &Place, case: Case, subjects: &[&'static Subject], report: &mut Report) {
    let dirs: Vec<_> = subjects.iter().map(|_| place.fresh("contended")).collect();
    let mut turns: Vec<Vec<Together>> = subjects.iter().map(|_| Vec::new()).collect();
    let goal = case == USUAL || case == HARDEST;
    let (rounds, length) = run.either((if goal { 4 } else { 2 }, 600), (if goal { 3 } else { 1 }, 200));
    let Case { processes, hold_us, think_max_us } = case;
    for round in 0..rounds {
        for nth in 0..subjects.len() {
            let at = (nth + round) % subjects.len();
            let subject = subjects[at];
            let of_all = EVERYWHERE.contains(&subject.name);
            // One turn has to do for those that poll, and has to be long enough for their pauses.
            if subject.waits != Waits::Queue && round > 0 {
                continue;
            }
            let length = if subject.waits == Waits::Queue { length } else { run.either(2_000, 500) };
            if !of_all && run.quick && round > 0 {
                continue;
            }
            let turn = Turn { subject, dir: dirs[at].path(), processes, hold_us, think_max_us };
            match turn.together(run, Duration::from_millis(length)) {
                Ok(together) => turns[at].push(together),
                Err(why) => {
                    let subject = format!("{} on {}, {}", subject.name, place.file_system, case.name());
                    report.missing.push(Missing { section: SECTION, subject, why });
                }
            }
        }
    }
    add(case, place, subjects, &turns, report);
}

fn add(case: Case, place: &Place, subjects: &[&'static Subject], turns: &[Vec<Together>], report: &mut Report) {
    type Value = fn(&Together) -> Option<f64>;
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let values: [(&str, Unit, Value); 8] = [
        ("acquisitions", Unit::PerSecond, |turn| Some(turn.per_second)),
        ("hand-over p50", Unit::Microseconds, |turn| turn.handover_us.map(|[p50, _]| p50)),
        ("hand-over p99", Unit::Microseconds, |turn| turn.handover_us.map(|[_, p99]| p99)),
        ("longest wait", Unit::Milliseconds, |turn| Some(turn.longest_wait_ms)),
        ("Jain index", Unit::Ratio, |turn| Some(turn.jain)),
        ("fewest of a process", Unit::Count, |turn| Some(turn.least)),
        ("CPU of an acquisition", Unit::Microseconds, |turn| Some(turn.cpu_us)),
        ("overlapping holds", Unit::Count, |turn| Some(turn.overlaps as f64)),
    ];
    for (what, unit, value) in values {
        for (subject, turns) in subjects.iter().zip(turns) {
            let rounds: Vec<_> = turns.iter().filter_map(value).collect();
            if !rounds.is_empty() {
                let what = format!("{}: {what}", case.name());
                report.figures.push(Figure::of(SECTION, &place.file_system, subject.name, &what, unit, &rounds));
            }
        }
    }
}
