//! From findings to a verdict. Unknown never rounds up to a pass.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::oracle::Findings;

/// What a run has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Enough happened, all of it could be judged, and no rule was broken.
    Valid,
    /// A rule was broken.
    Violation,
    /// Too little happened to mean anything, or something could not be judged.
    Inconclusive,
}

impl Verdict {
    /// The exit code that stands for it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Violation => 1,
            Self::Inconclusive => 2,
        }
    }

    /// The verdict in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Violation => "violation",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// What follows from both: a violation outweighs every doubt, and a doubt every pass.
    #[must_use]
    pub const fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Violation, _) | (_, Self::Violation) => Self::Violation,
            (Self::Inconclusive, _) | (_, Self::Inconclusive) => Self::Inconclusive,
            (Self::Valid, Self::Valid) => Self::Valid,
        }
    }
}

/// The verdict in one sentence, for people.
#[must_use]
pub fn sentence(verdict: Verdict, findings: &Findings) -> String {
    let Findings { acquired, violations, .. } = findings;
    match (verdict, findings.inherent_overlaps()) {
        (Verdict::Valid, 0) => format!("valid: never two owners in {acquired} acquisitions"),
        (Verdict::Valid, 1) => format!("valid: no violation in {acquired} acquisitions; 1 overlap no lock could avoid"),
        (Verdict::Valid, overlaps) => {
            format!("valid: no violation in {acquired} acquisitions; {overlaps} overlaps no lock could avoid")
        }
        (Verdict::Violation, _) => format!("VIOLATION: {violations} found in {acquired} acquisitions"),
        (Verdict::Inconclusive, _) => "INCONCLUSIVE: no violation found, but that means nothing here".to_owned(),
    }
}

/// How much has to happen before a run without a violation means something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Acquisitions: ten a second, and at least 50.
    pub acquisitions: u64,
    /// Kills within a hold: an eighth of the kills asked for.
    pub kills_inside: u64,
    /// Takeovers: as many.
    pub takeovers: u64,
    /// Acquisitions after a hold of another worker: one a second, and at least 5. Who competes with nobody shows nothing.
    pub passed_on: u64,
    /// Of each side, where there are two, acquisitions: one in two seconds, and at least one.
    #[serde(default)]
    pub of_each_side: u64,
    /// Takeovers by ours of dead older peers' claims: one, if a kill inside one of their holds is among those needed.
    #[serde(default)]
    pub takeovers_of_older: u64,
    /// Cancelled acquires: one where workers are tasks, which cancel.
    #[serde(default)]
    pub cancelled: u64,
    /// The faults asked for, each with how often it has to happen: once, if it was due once by its rate.
    #[serde(default)]
    pub faults: Vec<(Fault, u64)>,
}

/// Something that a run was to show, and how much of it there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// What.
    pub name: String,
    /// The fault that it is about.
    pub fault: Option<Fault>,
    /// So much of it.
    pub count: u64,
    /// At least so much had to be.
    pub needed: u64,
}

/// The first strike of a fault comes after at most so many of its mean gaps.
const FIRST: f64 = 1.5;

impl Needs {
    /// What a run of this length with so many kills a second needs.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floors of small positive numbers")]
    pub fn of(duration: Duration, kills_per_second: f64) -> Self {
        let seconds = duration.as_secs_f64();
        let faults = if kills_per_second > 0.0 { ((seconds * kills_per_second / 8.0) as u64).max(1) } else { 0 };
        Self {
            acquisitions: ((seconds * 10.0) as u64).max(50),
            kills_inside: faults,
            takeovers: faults,
            passed_on: (seconds as u64).max(5),
            of_each_side: 0,
            takeovers_of_older: 0,
            cancelled: 0,
            faults: Vec::new(),
        }
    }

    /// And that each of these faults happens, if at its rate it was due in that time.
    #[must_use]
    pub fn with_faults(mut self, duration: Duration, per_second: &[(Fault, f64)]) -> Self {
        let due = |rate: f64| u64::from(rate * duration.as_secs_f64() >= FIRST);
        self.faults = per_second.iter().map(|&(fault, rate)| (fault, due(rate))).collect();
        self
    }

    /// And that `ours` and `older` workers both take part.
    #[must_use]
    pub fn with_sides(mut self, duration: Duration, ours: u16, older: u16) -> Self {
        if ours > 0 && older > 0 {
            self.of_each_side = (duration.as_secs() / 2).max(1);
            let kills = self.kills_inside * u64::from(older) / (u64::from(ours) + u64::from(older));
            self.takeovers_of_older = kills.min(1);
        }
        self
    }

    /// What had to be shown, and what of it was. A fault that was asked for, but not due, is there with a need of 0.
    #[must_use]
    pub fn marks(&self, findings: &Findings) -> Vec<Mark> {
        let counted = [
            (findings.acquired, self.acquisitions, "acquisitions"),
            (findings.kills_inside, self.kills_inside, "kills inside holds"),
            (findings.takeovers, self.takeovers, "takeovers"),
            (findings.passed_on, self.passed_on, "acquisitions after another worker's hold"),
            (findings.acquired_by_ours(), self.of_each_side, "acquisitions by the lock under test"),
            (findings.acquired_by_older, self.of_each_side, "acquisitions by older peers"),
            (findings.takeovers_of_older, self.takeovers_of_older, "takeovers of dead older peers' claims"),
            (findings.cancelled, self.cancelled, "cancelled acquires"),
        ];
        let counted = counted.into_iter().filter(|(_, needed, _)| *needed > 0);
        let counted = counted.map(|(count, needed, name)| Mark { name: name.to_owned(), fault: None, count, needed });
        let faults = self.faults.iter().map(|&(fault, needed)| {
            let count = findings.faults.get(&fault).copied().unwrap_or(0);
            Mark { name: format!("fault {}", fault.name()), fault: Some(fault), count, needed }
        });
        counted.chain(faults).collect()
    }
}

impl Mark {
    /// Whether there was enough of it.
    #[must_use]
    pub const fn is_reached(&self) -> bool {
        self.count >= self.needed
    }

    fn doubt(&self) -> String {
        let Self { name, fault, count, needed } = self;
        match (count, fault) {
            (0, Some(_)) => format!("{name} never happened"),
            _ => format!("{count} {name}, of at least {needed} needed"),
        }
    }
}

/// The verdict on these findings, and why it is not *valid* if it is not. `remarks` say what went wrong besides.
#[must_use]
pub fn judge(findings: &Findings, needs: &Needs, remarks: Vec<String>) -> (Verdict, Vec<String>) {
    let mut doubts = remarks;
    doubts.extend(self::doubts(findings, needs));
    if findings.violations > 0 {
        (Verdict::Violation, doubts)
    } else if doubts.is_empty() {
        (Verdict::Valid, doubts)
    } else {
        (Verdict::Inconclusive, doubts)
    }
}

fn doubts(findings: &Findings, needs: &Needs) -> Vec<String> {
    let few = needs.marks(findings).into_iter().filter(|mark| !mark.is_reached()).map(|mark| mark.doubt());
    let unexplained = |all: u64, explained: u64| all.saturating_sub(explained);
    let failed = [
        (unexplained(findings.timeouts, findings.explained.timeouts), "acquires timed out"),
        (unexplained(findings.errors, findings.explained.errors), "acquires or releases failed"),
    ];
    let failed = failed.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let explained = findings.explained.timeouts + findings.explained.errors;
    let too_many = (explained > findings.acquired).then(|| {
        format!("{explained} acquires failed, more than succeeded: by faults, but so many hide what else there is")
    });
    failed.chain(too_many).chain(findings.oddities.described()).chain(few).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{Explained, Oddities};

    fn plenty() -> Findings {
        let counted = Findings { acquired: 1000, completed: 990, passed_on: 900, ..Findings::default() };
        let older = Findings { acquired_by_older: 400, takeovers_of_older: 3, ..counted };
        let faults = [(Fault::Stop, 5), (Fault::DeleteClaim, 1)].into();
        Findings { kills: 20, kills_inside: 10, takeovers: 10, faults, ..older }
    }

    fn needs() -> Needs {
        let duration = Duration::from_secs(20);
        let rates = [(Fault::Stop, 1.0), (Fault::DeleteClaim, 0.075), (Fault::ClockJump, 0.05)];
        Needs::of(duration, 2.0).with_faults(duration, &rates).with_sides(duration, 2, 2)
    }

    #[test]
    fn enough_of_everything_is_valid() {
        assert_eq!(judge(&plenty(), &needs(), Vec::new()), (Verdict::Valid, Vec::new()));
        let marks = needs().marks(&plenty());
        let clock = marks.iter().find(|mark| mark.name == "fault clock-jump");
        assert_eq!(clock.map(|mark| (mark.count, mark.needed)), Some((0, 0)), "it was not due");
        assert_eq!(marks.len(), 10, "{marks:?}");
    }

    #[test]
    fn a_violation_outweighs_every_doubt() {
        let findings = Findings { violations: 1, ..Findings::default() };
        assert_eq!(judge(&findings, &needs(), Vec::new()).0, Verdict::Violation);
    }

    #[test]
    fn whatever_is_missing_or_odd_is_never_valid() {
        let odd = |oddities| Findings { oddities, ..plenty() };
        let cases = [
            Findings { acquired: 199, acquired_by_older: 90, ..plenty() },
            Findings { kills_inside: 4, ..plenty() },
            Findings { takeovers: 4, ..plenty() },
            Findings { passed_on: 19, ..plenty() },
            Findings { acquired_by_older: 9, ..plenty() },
            Findings { acquired_by_older: 991, ..plenty() },
            Findings { takeovers_of_older: 0, ..plenty() },
            Findings { faults: [(Fault::Stop, 5)].into(), ..plenty() },
            Findings { timeouts: 1, ..plenty() },
            Findings { errors: 1, ..plenty() },
            odd(Oddities { undecodable: 1, ..Oddities::default() }),
            odd(Oddities { misfits: 1, ..Oddities::default() }),
            odd(Oddities { crashed: 1, ..Oddities::default() }),
            odd(Oddities { unended: 1, ..Oddities::default() }),
            odd(Oddities { unsettled: 1, ..Oddities::default() }),
            odd(Oddities { counters: 1, ..Oddities::default() }),
            odd(Oddities { lost: 1, ..Oddities::default() }),
            odd(Oddities { stuck: 1, ..Oddities::default() }),
            odd(Oddities { missing: 1, ..Oddities::default() }),
        ];
        for findings in cases {
            let (verdict, doubts) = judge(&findings, &needs(), Vec::new());
            assert_eq!(verdict, Verdict::Inconclusive, "{findings:?}");
            assert_eq!(doubts.len(), 1, "{doubts:?}");
        }
    }

    #[test]
    fn what_is_explained_is_no_doubt() {
        let explained = Explained { errors: 2, timeouts: 3, lost: 1, updates: 1 };
        let findings = Findings { errors: 2, timeouts: 3, lost: 1, explained, ..plenty() };
        assert_eq!(judge(&findings, &needs(), Vec::new()).0, Verdict::Valid);
        let findings = Findings { errors: 3, ..findings };
        let doubts = judge(&findings, &needs(), Vec::new()).1;
        assert_eq!(doubts, ["1 acquires or releases failed"]);
    }

    #[test]
    fn a_run_in_which_most_failed_is_never_valid() {
        let explained = Explained { errors: 900, timeouts: 100, ..Explained::default() };
        let findings = Findings { errors: 900, timeouts: 100, explained, ..plenty() };
        assert_eq!(judge(&findings, &needs(), Vec::new()).0, Verdict::Valid);
        let explained = Explained { errors: 901, ..explained };
        let (verdict, doubts) = judge(&Findings { errors: 901, explained, ..findings }, &needs(), Vec::new());
        assert_eq!((verdict, doubts.len()), (Verdict::Inconclusive, 1), "{doubts:?}");
    }

    #[test]
    fn a_fault_that_was_due_and_never_happened_is_named() {
        let findings = Findings { faults: [(Fault::Stop, 1)].into(), ..plenty() };
        assert_eq!(judge(&findings, &needs(), Vec::new()).1, ["fault delete-claim never happened"]);
    }

    #[test]
    fn a_remark_is_a_doubt() {
        let remarks = vec!["interrupted".to_owned()];
        let judged = judge(&plenty(), &needs(), remarks.clone());
        assert_eq!(judged, (Verdict::Inconclusive, remarks));
    }

    #[test]
    fn without_kills_none_are_needed() {
        let needs = Needs::of(Duration::from_secs(1), 0.0).with_sides(Duration::from_secs(1), 4, 4);
        assert_eq!((needs.acquisitions, needs.passed_on, needs.of_each_side), (50, 5, 1));
        assert_eq!((needs.kills_inside, needs.takeovers, needs.takeovers_of_older), (0, 0, 0));
    }
}
