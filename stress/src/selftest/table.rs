//! The table of a self test: a row for each lock under each load, then the verdict on the tool.

use std::io::Write;
use std::time::Duration;

use crate::outlet::Outlet;
use crate::peers::Implementation;
use crate::report::Results;
use crate::verdict::Verdict;

/// What is known of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Broken,
    Sound,
}

/// One lock under one load, in one run or several.
#[derive(Debug)]
pub(super) struct Row {
    lock: Implementation,
    is: Is,
    load: String,
    /// `None`: it has not run.
    found: Option<Verdict>,
    skipped: Option<String>,
    acquired: u64,
    pub(super) kills: u64,
    pub(super) runs: u64,
    pub(super) elapsed: Duration,
    /// How the shortest violation happened.
    pub(super) story: Option<String>,
    /// The report of the run that a sound lock was not valid in.
    report: Option<String>,
}

impl Row {
    pub(super) fn new(lock: Implementation, is: Is, load: String) -> Self {
        let (acquired, kills, runs, elapsed) = (0, 0, 0, Duration::ZERO);
        Self { lock, is, load, found: None, skipped: None, acquired, kills, runs, elapsed, story: None, report: None }
    }

    pub(super) fn skipped(self, why: String) -> Self {
        Self { skipped: Some(why), ..self }
    }

    pub(super) fn is_violation(&self) -> bool {
        self.found == Some(Verdict::Violation)
    }

    /// Counts one more run. A broken lock's last run says what was found, a sound one's worst.
    pub(super) fn add(&mut self, results: &Results) {
        self.acquired += results.findings.acquired;
        self.kills += results.findings.kills;
        self.runs += 1;
        self.elapsed += results.elapsed();
        self.found = Some(match (self.is, self.found) {
            (Is::Sound, Some(found)) => found.worse(results.verdict),
            _ => results.verdict,
        });
        if self.is == Is::Sound && results.verdict != Verdict::Valid {
            self.report.get_or_insert_with(|| results.to_string());
        }
    }

    /// What the row says about the tool.
    fn verdict(&self) -> Verdict {
        match (self.is, self.found) {
            (_, None) => Verdict::Inconclusive,
            (Is::Broken, Some(Verdict::Violation)) => Verdict::Valid,
            (Is::Broken, Some(_)) => Verdict::Violation,
            (Is::Sound, Some(found)) => found,
        }
    }
}

/// All rows so far.
pub(super) struct Table {
    out: Outlet,
    rows: Vec<Row>,
}

impl Table {
    /// Prints the head.
    pub(super) fn start(mut out: Outlet) -> anyhow::Result<Self> {
        let (lock, is, found, acquired, kills, seconds) = ("lock", "is", "found", "acquisitions", "kills", "seconds");
        writeln!(out, "{lock:<20} {is:<7} {found:<13} {acquired:>12} {kills:>6} {seconds:>8}  under")?;
        Ok(Self { out, rows: Vec::new() })
    }

    pub(super) fn print(&mut self, row: Row) -> anyhow::Result<()> {
        let Row { acquired, kills, load, .. } = &row;
        let (name, is) = (row.lock.name(), if row.is == Is::Broken { "broken" } else { "sound" });
        if let Some(why) = &row.skipped {
            writeln!(self.out, "{name:<20} {is:<7} skipped: {why}")?;
        } else {
            let (found, seconds) = (row.found.map_or("-", Verdict::name), row.elapsed.as_secs_f64());
            writeln!(self.out, "{name:<20} {is:<7} {found:<13} {acquired:>12} {kills:>6} {seconds:>8.2}  {load}")?;
        }
        if let Some(report) = &row.report {
            writeln!(self.out, "\n{report}")?;
        }
        self.rows.push(row);
        Ok(())
    }

    fn of(&self, lock: Implementation) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.lock == lock)
    }

    /// How often workers with the lock of this project were killed.
    pub(super) fn kills(&self) -> u64 {
        self.of(Implementation::SessionLock).map(|row| row.kills).sum()
    }

    /// Prints that not all have run. What was found by then stands.
    pub(super) fn interrupt(mut self) -> anyhow::Result<Verdict> {
        let found = self.rows.iter().map(Row::verdict).fold(Verdict::Inconclusive, Verdict::worse);
        let words = match found {
            Verdict::Violation => "FAILED: a broken lock was not caught, or a sound one was blamed; interrupted",
            Verdict::Valid | Verdict::Inconclusive => "INCONCLUSIVE: interrupted",
        };
        writeln!(self.out, "\n{words}")?;
        Ok(found)
    }

    /// Prints the stories and what follows.
    pub(super) fn conclude(mut self) -> anyhow::Result<Verdict> {
        for row in &self.rows {
            if let Some(story) = &row.story {
                writeln!(self.out, "\n{}: {story}", row.lock.name())?;
            }
        }
        let false_alarms = self.of(Implementation::SessionLock).filter(|row| row.is_violation()).count();
        let (kills, all) = (self.kills(), self.of(Implementation::SessionLock).map(|row| row.runs).sum::<u64>());
        writeln!(self.out, "\nfalse alarms: {false_alarms} in {all} runs of the sound lock with {kills} kills")?;
        let verdict = self.rows.iter().map(Row::verdict).fold(Verdict::Valid, Verdict::worse);
        let words = match verdict {
            Verdict::Valid => "every broken lock was caught, and no sound one was blamed",
            Verdict::Violation => "FAILED: a broken lock was not caught, or a sound one was blamed",
            Verdict::Inconclusive => "INCONCLUSIVE: a control was skipped, or a sound lock's run means nothing",
        };
        writeln!(self.out, "{words}")?;
        Ok(verdict)
    }
}
