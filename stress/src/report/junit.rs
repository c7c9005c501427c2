//! `junit.xml`: one suite, with a case for each thing that must hold and one for each that must have happened.
//!
//! | Case | Passes when |
//! |---|---|
//! | no two owners, tokens grow, no lost update | none was found, and the run could be judged |
//! | everything could be judged | nothing was odd or too little |
//! | a case for each mark | it happened as often as it has to; skipped if it never did and was not due |
//!
//! A violation is a failure of type `violation`, with its story. What is doubtful is an error of type `inconclusive`: a
//! build server must not show it green.

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::Results;
use super::marks::Mark;
use crate::oracle::{Kind, Tokens, Violation};
use crate::verdict::Verdict;

const NO_TWO_OWNERS: &str = "no two owners";
const TOKENS_GROW: &str = "tokens grow";
const NO_LOST_UPDATE: &str = "no lost update";

/// The content of the file.
pub(super) fn xml(results: &Results) -> anyhow::Result<String> {
    let mut suite = TestSuite::new("stress");
    suite.set_time(results.elapsed());
    for (name, value) in properties(results) {
        suite.add_property(Property::new(name, value));
    }
    for name in [NO_TWO_OWNERS, TOKENS_GROW, NO_LOST_UPDATE] {
        suite.add_test_case(case(name, results, rule(name, results)));
    }
    suite.add_test_case(case("everything could be judged", results, judged(results)));
    for mark in &results.marks {
        suite.add_test_case(case(&format!("happened: {}", mark.name), results, happened(mark, results)));
    }
    let mut report = Report::new("session-lock stress");
    report.set_time(results.elapsed());
    report.add_test_suite(suite);
    Ok(report.to_string()?)
}

fn properties(results: &Results) -> [(&'static str, String); 9] {
    let versions = &results.versions;
    [
        ("verdict", results.verdict.name().to_owned()),
        ("seed", results.seed.to_string()),
        ("replay", results.replay.clone()),
        ("lock", results.asked.lock.name()),
        ("topology", results.asked.topology.name()),
        ("directory", results.dir.clone()),
        ("version", versions.stress.to_owned()),
        ("kernel", versions.kernel.clone()),
        ("machine", format!("{}, {} processors", versions.architecture, versions.cpus)),
    ]
}

fn case(name: &str, results: &Results, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("stress.{}.{}", results.asked.lock.name(), results.asked.topology.name()));
    case
}

/// The name of the case that a violation belongs to.
const fn broken(violation: &Violation) -> &'static str {
    match violation.kind {
        Kind::Overlap => NO_TWO_OWNERS,
        Kind::TokenNotLarger { .. } => TOKENS_GROW,
        Kind::LostUpdate { .. } => NO_LOST_UPDATE,
    }
}

fn rule(name: &str, results: &Results) -> TestCaseStatus {
    let mut stories = results.findings.stories.iter().filter(|story| broken(story) == name);
    if let Some(first) = stories.next() {
        let told = first.to_string();
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("violation").set_message(told.lines().next().unwrap_or_default());
        let all: Vec<_> = [told].into_iter().chain(stories.map(ToString::to_string)).collect();
        status.set_description(format!("{}\n{}", all.join("\n"), whereabouts(results)));
        return status;
    }
    if name == TOKENS_GROW && results.asked.lock.tokens() == Tokens::Absent {
        let mut status = TestCaseStatus::skipped();
        status.set_message("this lock has no tokens");
        return status;
    }
    match results.verdict {
        Verdict::Inconclusive => {
            inconclusive("none was found, but that means nothing here", &results.doubts.join("\n"), results)
        }
        Verdict::Valid | Verdict::Violation => TestCaseStatus::success(),
    }
}

fn judged(results: &Results) -> TestCaseStatus {
    let Some(first) = results.doubts.first() else { return TestCaseStatus::success() };
    let text = format!(
        "{}\n\nTo do: where too little happened, run longer (--duration) or with higher rates; where something failed or \
         ended on its own, workers.log says why.",
        results.doubts.join("\n")
    );
    inconclusive(first, &text, results)
}

fn happened(mark: &Mark, results: &Results) -> TestCaseStatus {
    let Mark { name, count, needed, .. } = mark;
    let rate = mark.per_second.map(|rate| format!(", asked for {rate} times per second")).unwrap_or_default();
    if !mark.is_missing() {
        if *count > 0 {
            return TestCaseStatus::success();
        }
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("never happened, and was not due in so short a run{rate}"));
        return status;
    }
    let text =
        "To do: run longer (--duration) or ask for more of it; if it still never happens, it cannot be done here.";
    inconclusive(&format!("{name}: {count} of at least {needed}{rate}"), text, results)
}

fn inconclusive(message: &str, text: &str, results: &Results) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("inconclusive").set_message(message);
    status.set_description(format!("{text}\n\n{}", whereabouts(results)));
    status
}

fn whereabouts(results: &Results) -> String {
    format!("Kept in {}\nReplay: {}", results.dir, results.replay)
}
