//! From findings to a verdict. Unknown never rounds up to a pass.

use std::time::Duration;

use serde::Serialize;

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
}

/// How much has to happen before a run without a violation means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// Acquisitions: ten a second, and at least 50.
    pub acquisitions: u64,
    /// Kills within a hold: an eighth of the kills asked for.
    pub kills_inside: u64,
    /// Takeovers: as many.
    pub takeovers: u64,
    /// Acquisitions after a hold of another worker: one a second, and at least 5. Who competes with nobody shows nothing.
    pub passed_on: u64,
}

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
        }
    }
}

/// The verdict on these findings, and why it is not *valid* if it is not. `remarks` say what went wrong besides.
#[must_use]
pub fn judge(findings: &Findings, needs: &Needs, remarks: Vec<String>) -> (Verdict, Vec<String>) {
    let mut doubts = doubts(findings, needs);
    doubts.extend(remarks);
    if findings.violations > 0 {
        (Verdict::Violation, doubts)
    } else if doubts.is_empty() {
        (Verdict::Valid, doubts)
    } else {
        (Verdict::Inconclusive, doubts)
    }
}

fn doubts(findings: &Findings, needs: &Needs) -> Vec<String> {
    let few = [
        (findings.acquired, needs.acquisitions, "acquisitions"),
        (findings.kills_inside, needs.kills_inside, "kills inside holds"),
        (findings.takeovers, needs.takeovers, "takeovers"),
        (findings.passed_on, needs.passed_on, "acquisitions after another worker's hold"),
    ];
    let few = few.into_iter().filter(|(there, needed, _)| there < needed);
    let few = few.map(|(there, needed, what)| format!("{there} {what}, of at least {needed} needed"));
    let failed = [(findings.timeouts, "acquires timed out"), (findings.errors, "acquires or releases failed")];
    let failed = failed.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    few.chain(failed).chain(findings.oddities.described()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Oddities;

    fn plenty() -> Findings {
        let counted = Findings { acquired: 1000, completed: 990, passed_on: 900, ..Findings::default() };
        Findings { kills: 20, kills_inside: 10, takeovers: 10, ..counted }
    }

    #[test]
    fn enough_of_everything_is_valid() {
        let needs = Needs::of(Duration::from_secs(20), 2.0);
        assert_eq!(judge(&plenty(), &needs, Vec::new()), (Verdict::Valid, Vec::new()));
    }

    #[test]
    fn a_violation_outweighs_every_doubt() {
        let findings = Findings { violations: 1, ..Findings::default() };
        assert_eq!(judge(&findings, &Needs::of(Duration::from_secs(1), 1.0), Vec::new()).0, Verdict::Violation);
    }

    #[test]
    fn whatever_is_missing_or_odd_is_never_valid() {
        let needs = Needs::of(Duration::from_secs(20), 2.0);
        let odd = |oddities| Findings { oddities, ..plenty() };
        let cases = [
            Findings { acquired: 199, ..plenty() },
            Findings { kills_inside: 4, ..plenty() },
            Findings { takeovers: 4, ..plenty() },
            Findings { passed_on: 19, ..plenty() },
            Findings { timeouts: 1, ..plenty() },
            Findings { errors: 1, ..plenty() },
            odd(Oddities { undecodable: 1, ..Oddities::default() }),
            odd(Oddities { misfits: 1, ..Oddities::default() }),
            odd(Oddities { crashed: 1, ..Oddities::default() }),
            odd(Oddities { unended: 1, ..Oddities::default() }),
            odd(Oddities { unsettled: 1, ..Oddities::default() }),
            odd(Oddities { counters: 1, ..Oddities::default() }),
        ];
        for findings in cases {
            let (verdict, doubts) = judge(&findings, &needs, Vec::new());
            assert_eq!(verdict, Verdict::Inconclusive, "{findings:?}");
            assert_eq!(doubts.len(), 1, "{doubts:?}");
        }
    }

    #[test]
    fn a_remark_is_a_doubt() {
        let remarks = vec!["interrupted".to_owned()];
        let judged = judge(&plenty(), &Needs::of(Duration::from_secs(20), 2.0), remarks.clone());
        assert_eq!(judged, (Verdict::Inconclusive, remarks));
    }

    #[test]
    fn without_kills_none_are_needed() {
        assert_eq!(
            Needs::of(Duration::from_secs(1), 0.0),
            Needs { acquisitions: 50, kills_inside: 0, takeovers: 0, passed_on: 5 }
        );
    }
}
