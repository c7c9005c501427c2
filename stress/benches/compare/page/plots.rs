//! Which plots there are, and of which figures.

use super::svg::{Bar, Bars, Curves, Point, Series};
use crate::report::Figure;
use crate::results::Results;
use anyhow::Context;
use std::io::ErrorKind;
use std::path::Path;

/// Beside the page.
const DIR: &str = "benches/plots";

struct Plot {
    file: &'static str,
    title: &'static str,
    section: &'static str,
    /// What was measured, of one unit. `hold 0 ms: acquisitions` also stands for `2 x hold 0 ms: acquisitions`.
    what: &'static [&'static str],
    kind: Kind,
}

enum Kind {
    /// Of each subject, against this.
    Curves { x: &'static str },
    /// A bar for each subject.
    Bars,
}

const PLOTS: &[Plot] = &[
    Plot {
        file: "uncontended.svg",
        title: "Acquire and release, alone: p50",
        section: "uncontended",
        what: &["acquire + release p50"],
        kind: Kind::Bars,
    },
    Plot {
        file: "processes-rate.svg",
        title: "Acquisitions of all processes on one lock; no hold, no think",
        section: "contended",
        what: &["hold 0 ms, no think: acquisitions"],
        kind: Kind::Curves { x: "processes" },
    },
    Plot {
        file: "processes-hand-over.svg",
        title: "Hand-over p50; hold 1 ms, think 0-4 ms",
        section: "contended",
        what: &["hold 1 ms, think 0-4 ms: hand-over p50"],
        kind: Kind::Curves { x: "processes" },
    },
    Plot {
        file: "held.svg",
        title: "Acquire and release while others hold other locks: p50",
        section: "held",
        what: &["acquire + release p50, other locks held"],
        kind: Kind::Curves { x: "locks held" },
    },
    Plot {
        file: "waiters-memory.svg",
        title: "Memory of waiting acquires in one process",
        section: "waiters",
        what: &["more memory"],
        kind: Kind::Curves { x: "waiters" },
    },
    Plot {
        file: "waiters-threads.svg",
        title: "Threads of waiting acquires in one process",
        section: "waiters",
        what: &["threads"],
        kind: Kind::Curves { x: "waiters" },
    },
    Plot {
        file: "tasks.svg",
        title: "Acquisitions of the tasks of one process on one lock",
        section: "tasks",
        what: &["acquisitions per second, tasks of one process"],
        kind: Kind::Curves { x: "tasks" },
    },
    Plot {
        file: "sweep.svg",
        title: "A sweep of dead claims",
        section: "sweep",
        what: &["sweep of dead claims"],
        kind: Kind::Curves { x: "dead claims" },
    },
    Plot {
        file: "scrape-time.svg",
        title: "A scrape of the exporter",
        section: "scrape",
        what: &["scrape p50", "scrape p99", "CPU per scrape"],
        kind: Kind::Curves { x: "files" },
    },
    Plot {
        file: "scrape-memory.svg",
        title: "Memory of the exporter at its peak",
        section: "scrape",
        what: &["memory at its peak, scrapes"],
        kind: Kind::Curves { x: "files" },
    },
];

/// Draws what there are figures for, and removes what an earlier run has drawn of others.
pub(super) fn write(page: &Path, results: &Results) -> anyhow::Result<()> {
    let dir = page.join(DIR);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for plot in PLOTS {
        let file = dir.join(plot.file);
        let done = match plot.drawn(results) {
            Some(picture) => std::fs::write(&file, picture),
            None => std::fs::remove_file(&file).or_else(|error| match error.kind() {
                ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        };
        done.with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// What the page shows of them.
pub(super) fn links(results: &Results, section: &str) -> String {
    let plots = PLOTS.iter().filter(|plot| plot.section == section && plot.drawn(results).is_some());
    plots.map(|plot| format!("\n![{}]({DIR}/{})\n", plot.title, plot.file)).collect::<Vec<_>>().concat()
}

impl Plot {
    fn drawn(&self, results: &Results) -> Option<String> {
        let figures = results.report.figures.iter().filter(|figure| figure.section == self.section);
        let found: Vec<_> = figures.filter_map(|figure| self.found(figure)).collect();
        let several = |one: for<'a> fn(&Found<'a>) -> &'a str| found.iter().any(|it| one(it) != one(&found[0]));
        let (subjects, whats) = (several(|it| &it.figure.subject), several(|it| it.what));
        let places = several(|it| &it.figure.file_system);
        let unit = found.first()?.figure.unit.name();
        let Kind::Curves { x } = self.kind else { return Some(self.bars(&found, unit)) };
        let mut series: Vec<Series> = Vec::new();
        for it in &found {
            let Some(at) = it.at else { continue };
            let place = &it.figure.file_system;
            let names = [(subjects, &*it.figure.subject), (whats, it.what), (places || !(subjects || whats), place)];
            let name = names.iter().filter(|(told, _)| *told).map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
            let of = (it.figure.subject.clone(), it.what.to_owned());
            match series.iter_mut().find(|one| one.name == name) {
                Some(one) => one.points.push(point(at, it.figure)),
                None => series.push(Series { name, of, place: place.clone(), points: vec![point(at, it.figure)] }),
            }
        }
        // One point is no curve.
        series.retain(|one| one.points.len() > 1);
        let curves = Curves { title: self.title, x, y: unit, series };
        (!curves.series.is_empty()).then(|| curves.svg())
    }

    fn bars(&self, found: &[Found<'_>], unit: &str) -> String {
        let bar = |it: &Found<'_>| Bar {
            subject: it.figure.subject.clone(),
            place: it.figure.file_system.clone(),
            value: point(0, it.figure),
        };
        Bars { title: self.title, unit, all: found.iter().map(bar).collect() }.svg()
    }

    /// Whether the plot shows it, and where: what is before ` x ` is a number of processes.
    fn found<'a>(&self, figure: &'a Figure) -> Option<Found<'a>> {
        if let Some(what) = self.what.iter().find(|what| figure.what == **what) {
            return Some(Found { figure, what, at: figure.at });
        }
        let (processes, rest) = figure.what.split_once(" x ")?;
        let what = self.what.iter().find(|what| rest == **what)?;
        Some(Found { figure, what, at: processes.parse().ok() })
    }
}

struct Found<'a> {
    figure: &'a Figure,
    what: &'static str,
    at: Option<u64>,
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn point(at: u64, figure: &Figure) -> Point {
    Point { at: at as f64, value: figure.value, least: figure.least, greatest: figure.greatest }
}
