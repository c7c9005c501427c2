//! What the lock is to reach, computed from a run's figures. Nothing fails here: a machine with other work misses goals, too.

use crate::peers::{SUBJECTS, Subject, Tells};
use crate::report::{Figure, Report, shown};
use crate::sections::contended::{HARDEST, USUAL};
use crate::sections::killed;
use serde::Serialize;

const OURS: &str = "session-lock";
pub(crate) const FLOOR: &str = "floor";
const OFD: &str = "OFD lock";
pub(crate) const NONE_QUALIFIES: &str = "no peer survives a stampede and two PID namespaces and tells who holds";

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) file_system: String,
    pub(crate) what: String,
    limit: Limit,
    value: Option<f64>,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// It is only told.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Reached,
    Missed,
    NotMeasured,
    NoLimit,
}

impl Goal {
    fn new(file_system: &str, what: impl Into<String>, limit: Limit, value: Option<f64>) -> Self {
        let outcome = match (limit, value) {
            (_, None) => Outcome::NotMeasured,
            (Limit::None, _) => Outcome::NoLimit,
            (Limit::AtMost(most), Some(value)) if value <= most => Outcome::Reached,
            (Limit::AtLeast(least), Some(value)) if value >= least => Outcome::Reached,
            _ => Outcome::Missed,
        };
        Self { file_system: file_system.to_owned(), what: what.into(), limit, value, outcome }
    }

    /// Otherwise it is only told.
    pub(crate) fn has_limit(&self) -> bool {
        !matches!(self.limit, Limit::None)
    }

    pub(crate) fn limit(&self) -> String {
        match self.limit {
            Limit::AtMost(most) => format!("<= {}", shown(most)),
            Limit::AtLeast(least) => format!(">= {}", shown(least)),
            Limit::None => "-".into(),
        }
    }

    pub(crate) fn value(&self) -> String {
        self.value.map_or_else(|| "-".into(), shown)
    }
}

/// Every goal, for each file system where it is one.
pub(crate) fn of(report: &Report) -> Vec<Goal> {
    let mut places = Vec::new();
    for figure in &report.figures {
        if !places.contains(&figure.file_system) {
            places.push(figure.file_system.clone());
        }
    }
    let goals = places.iter().flat_map(|place| {
        let figures = Figures { report, place };
        [figures.uncontended(), figures.usual(), figures.hardest(), figures.killed(), figures.many()].concat()
    });
    goals.collect()
}

/// Those of one file system.
struct Figures<'a> {
    report: &'a Report,
    place: &'a str,
}

impl Figures<'_> {
    fn find(&self, section: &str, subject: &str, what: &str, at: Option<u64>) -> Option<&Figure> {
        self.report.figures.iter().find(|figure| {
            let names = [figure.section, &figure.file_system, &figure.subject, &figure.what];
            names == [section, self.place, subject, what] && figure.at == at
        })
    }

    fn value(&self, section: &str, subject: &str, what: &str) -> Option<f64> {
        self.find(section, subject, what, None).map(|figure| figure.value)
    }

    /// This lock's figure by somebody's.
    fn beside(&self, other: &str, section: &str, what: &str) -> Option<f64> {
        Some(self.value(section, OURS, what)? / self.value(section, other, what)?)
    }

    fn goal(&self, what: impl Into<String>, limit: Limit, value: Option<f64>) -> Goal {
        Goal::new(self.place, what, limit, value)
    }

    fn uncontended(&self) -> Vec<Goal> {
        let (section, p50) = ("uncontended", "acquire + release p50");
        let mut goals = vec![
            self.goal("acquire + release p50, / floor", Limit::AtMost(1.25), self.beside(FLOOR, section, p50)),
            self.goal("allocations of acquire + release", Limit::AtMost(0.0), self.value(section, OURS, "allocations")),
        ];
        for peer in SUBJECTS {
            let limit = if peer.qualifies() { Limit::AtMost(1.0) } else { Limit::None };
            if peer.tells == Tells::Nobody || peer.name == OURS {
                continue;
            }
            let what = format!("acquire + release p50, / {} ({})", peer.name, gives(peer));
            goals.push(self.goal(what, limit, self.beside(peer.name, section, p50)));
        }
        goals
    }

    fn usual(&self) -> Vec<Goal> {
        let [section, case] = ["contended", &USUAL.name()];
        let what = |what: &str| format!("{case}: {what}");
        let beside = |other: &str, name: &str| self.beside(other, section, &what(name));
        vec![
            self.goal(what("rate / OFD lock"), Limit::AtLeast(0.98), beside(OFD, "acquisitions")),
            self.goal(what("hand-over p50 / floor"), Limit::AtMost(2.0), beside(FLOOR, "hand-over p50")),
            self.goal(what("longest wait / OFD lock"), Limit::AtMost(2.0), beside(OFD, "longest wait")),
            self.goal(what("Jain index"), Limit::AtLeast(0.99), self.value(section, OURS, &what("Jain index"))),
        ]
    }

    fn hardest(&self) -> Vec<Goal> {
        let [section, case] = ["contended", &HARDEST.name()];
        let what = |what: &str| format!("{case}: {what}");
        let fewest = self.find(section, OURS, &what("fewest of a process"), None).map(|figure| figure.least);
        vec![
            self.goal(what("rate / floor"), Limit::AtLeast(0.8), self.beside(FLOOR, section, &what("acquisitions"))),
            self.goal(what("fewest of a process in any round"), Limit::AtLeast(1.0), fewest),
            self.goal(what("overlapping holds"), Limit::AtMost(0.0), self.overlapping()),
        ]
    }

    /// Of this lock, in every case and round.
    fn overlapping(&self) -> Option<f64> {
        let figures = self.report.figures.iter().filter(|figure| {
            figure.file_system == self.place && figure.subject == OURS && figure.what.ends_with("overlapping holds")
        });
        figures.map(|figure| figure.greatest).reduce(f64::max)
    }

    fn killed(&self) -> Vec<Goal> {
        let goals = killed::CASES.map(|killed::Case { name: case, .. }| {
            let [p50, p99] = ["p50", "p99"].map(|percentile| format!("{case}: {percentile}"));
            let ms = self.value("killed", OURS, &p99).map(|us| us / 1e3);
            [
                self.goal(format!("{p50}, / OFD lock"), Limit::AtMost(1.5), self.beside(OFD, "killed", &p50)),
                self.goal(format!("{p99} (ms)"), Limit::AtMost(5.0), ms),
            ]
        });
        goals.concat()
    }

    /// Of the sections with many tasks, locks, waiters and files.
    fn many(&self) -> Vec<Goal> {
        let at = |section: &str, subject: &str, what: &str, at: u64| {
            self.find(section, subject, what, Some(at)).map(|figure| figure.value)
        };
        let waiting = "session-lock, a lock each";
        let mut goals = vec![
            self.goal(
                "1,000 tasks on one lock / hand-overs of two processes",
                Limit::AtLeast(5.0),
                self.value("tasks", OURS, "1,000 tasks / hand-overs of two processes"),
            ),
            // Some tenures of one millisecond.
            self.goal(
                "longest wait of another process beside 1,000 tasks (ms)",
                Limit::AtMost(10.0),
                at("tasks", "the other process", "longest wait", 1_000),
            ),
            self.goal(
                "acquire p50 with 10,000 locks held / with none",
                Limit::AtMost(1.3),
                at("held", OURS, "held / none held", 10_000),
            ),
            self.goal(
                "memory of 1,000 waiters on 1,000 locks (MiB)",
                Limit::AtMost(64.0),
                at("waiters", waiting, "more memory", 1_000),
            ),
            self.goal("metrics on / off", Limit::AtMost(1.1), self.value("observed", "counters", "p50, / neither")),
            self.goal(
                "stress, 8 workers on 8 locks, / its calls bare",
                if self.place == "tmpfs" { Limit::None } else { Limit::AtLeast(0.7) },
                self.value("throughput", "stress / bare, every call", "rate"),
            ),
        ];
        if self.place == "tmpfs" {
            let rate = self.value("throughput", "stress", "acquisitions per second");
            goals.push(self.goal("stress, 8 workers on 8 locks, per second", Limit::AtLeast(100_000.0), rate));
        } else {
            let figure = |what: &str| at("scrape", "exporter", what, 10_000);
            goals.push(self.goal("scrape of 10,000 files p99 (ms)", Limit::AtMost(100.0), figure("scrape p99")));
            let memory = figure("memory at its peak, scrapes");
            goals.push(self.goal("scrape of 10,000 files, memory (MiB)", Limit::AtMost(50.0), memory));
        }
        goals
    }
}

/// Which of the three a peer gives.
fn gives(peer: &Subject) -> String {
    if peer.qualifies() {
        return "gives all three".into();
    }
    let lacks = [(peer.stampede, "stampede"), (peer.namespaces, "two PID namespaces")];
    let mut lacks: Vec<_> = lacks.into_iter().filter(|(given, _)| !given).map(|(_, name)| name).collect();
    if peer.tells != Tells::Holder {
        lacks.push("tells a pid only");
    }
    format!("not: {}", lacks.join(", "))
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its result")]
pub(crate) fn print(goals: &[Goal]) {
    println!("peers");
    let yes = |given: bool| if given { "yes" } else { "no" };
    println!("    {:18} {:>9} {:>11} {:>6}", "", "stampede", "namespaces", "tells");
    for Subject { name, stampede, namespaces, tells, why, .. } in SUBJECTS.iter().filter(|one| one.name != FLOOR) {
        let (stampede, namespaces) = (yes(*stampede), yes(*namespaces));
        println!("    {name:18} {stampede:>9} {namespaces:>11} {:>6}   {why}", tells.name());
    }
    println!("\ngoals");
    for outcome in [Outcome::Missed, Outcome::Reached, Outcome::NoLimit, Outcome::NotMeasured] {
        for goal in goals.iter().filter(|goal| goal.outcome == outcome) {
            let Goal { file_system, what, .. } = goal;
            println!("    {:12} {:>9} {:>10}   {file_system}: {what}", outcome.name(), goal.value(), goal.limit());
        }
    }
    if !SUBJECTS.iter().any(Subject::qualifies) {
        println!("    {NONE_QUALIFIES}");
    }
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "missed",
            Self::NotMeasured => "not measured",
            Self::NoLimit => "told",
        }
    }
}
