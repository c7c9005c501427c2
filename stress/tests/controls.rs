//! The search catches the locks that are known to be broken, and does not blame the same locks mended.
//!
//! The counterexamples are kept in `tests/controls/`, and have to be the same to the letter. `CONTROLS_REWRITE=1 cargo
//! test -p session-lock-stress --test controls` writes them anew: look at what has changed before you keep it.
#![expect(clippy::print_stdout, reason = "the figures are what a reader of this test wants")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use session_lock_stress::model::{
    Control, Counterexample, Identity, Outcome, Part, Position, Program, Property, Scenario, Verdict, search,
};

/// A counterexample with more lines than this is not read by anybody.
const READABLE: usize = 30;

fn reported(scenario: &Scenario) -> Outcome {
    let begun = Instant::now();
    let outcome = search(scenario);
    let (states, depth) = (outcome.states, outcome.depth);
    println!("{}: {states} states, depth {depth}, {:?}", scenario.name, begun.elapsed());
    outcome
}

#[track_caller]
fn assert_holds(scenario: &Scenario) {
    let outcome = reported(scenario);
    match outcome.counterexample() {
        Some(counterexample) => panic!("{counterexample}"),
        None => assert_eq!(outcome.verdict, Verdict::Holds),
    }
}

#[track_caller]
fn found_in(scenario: &Scenario) -> Counterexample {
    match reported(scenario).verdict {
        Verdict::Violated(counterexample) => counterexample,
        verdict => panic!("nothing is found in {scenario:?}: {verdict:?}"),
    }
}

fn kept(control: Control) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controls").join(format!("{control}.txt"))
}

#[test]
fn every_control_is_caught_by_the_counterexample_that_is_kept() {
    let rewrite = std::env::var_os("CONTROLS_REWRITE").is_some();
    for control in Control::ALL {
        let counterexample = found_in(&control.scenario());
        assert!(counterexample.lines.len() <= READABLE, "{counterexample}");
        assert_eq!(counterexample.holders.len(), 2, "{counterexample}");
        let (text, path) = (counterexample.to_string(), kept(*control));
        if rewrite {
            fs::write(&path, &text).expect("the tests' directory can be written to");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, kept, "{} is another; see this file's first lines", path.display());
    }
}

#[test]
fn no_counterexample_is_kept_without_its_control() {
    let dir = kept(Control::ALL[0]);
    let files = fs::read_dir(dir.parent().expect("it is in a directory")).expect("it is there");
    let kept_for = |path: &PathBuf| Control::ALL.iter().any(|control| kept(*control) == *path);
    let stray: Vec<_> = files.flatten().map(|file| file.path()).filter(|path| !kept_for(path)).collect();
    assert!(stray.is_empty(), "{stray:?}");
}

#[test]
fn every_control_holds_where_it_is_mended() {
    for control in Control::ALL {
        assert_eq!(control.scenario().properties, control.mended().properties);
        assert_holds(&control.mended());
    }
}

/// Two rounds each, a crash and the restart with the same pid after it.
#[test]
fn every_control_holds_where_it_is_mended_also_under_more_load() {
    for control in Control::ALL.iter().filter(|control| **control != Control::ProbelessTakeover) {
        let mended = control.mended();
        let parts: Vec<Part> = mended.parts.iter().map(|part| Part { rounds: 2, ..*part }).collect();
        let name = control.name();
        assert_holds(&Scenario { name, parts: parts.leak(), crashes: 1, ..mended });
    }
}

const fn in_place(program: Program, identity: Identity, rounds: u8) -> Part {
    Part { program, position: Position::InPlace, identity, rounds }
}

const ALONE: Scenario = Scenario { name: "peers alone", parts: &[], ..Control::OrphanSelfPid.scenario() };

/// The entry is there for as long as the claim, but comes a moment after it: who has read the last claim of this process
/// looks into the map in that moment, and unlinks the next one.
#[test]
fn an_entry_that_is_made_after_the_claim_comes_too_late() {
    const TASK: Part = in_place(Program::OrphanSelfPid, Identity::of(1), 2);
    let counterexample = found_in(&Scenario { name: "entry after the claim", parts: &[TASK, TASK], ..ALONE });
    assert_eq!(counterexample.property, Property::ExclusionNewNew);
    println!("{counterexample}");
}

/// A claim that is empty for a moment is taken for a dead owner's.
#[test]
fn a_hasty_reader_robs_an_owner_that_has_not_written_yet() {
    const fn two(program: Program) -> [Part; 2] {
        [in_place(program, Identity::of(1), 1), in_place(program, Identity::of(2), 1)]
    }
    let hasty = Scenario { name: "hasty", parts: &const { two(Program::DeleteCreateHasty) }, ..ALONE };
    let counterexample = found_in(&hasty);
    assert!(counterexample.to_string().contains("nothing yet"), "{counterexample}");
    assert_holds(&Scenario { name: "patient", parts: &const { two(Program::DeleteCreate) }, ..hasty });
}

/// The start times of two namespaces differ until a restart makes them the same.
#[test]
fn a_restart_with_the_same_pid_has_another_start_time() {
    const FIRST: Identity = Identity::of(1);
    const SECOND: Identity = Identity { start: 2, namespace: 2, ..FIRST };
    const PARTS: [Part; 2] = [in_place(Program::PidStartTime, FIRST, 2), in_place(Program::PidStartTime, SECOND, 2)];
    let apart = Scenario { name: "start times apart", parts: &PARTS, ..ALONE };
    assert_holds(&apart);
    let counterexample = found_in(&Scenario { crashes: 1, ..apart });
    assert!(counterexample.to_string().contains("SIGKILL"), "{counterexample}");
}

#[test]
fn the_protocol_holds_beside_a_thief() {
    for scenario in Scenario::BESIDE_A_THIEF {
        assert_holds(scenario);
        assert_holds(&scenario.beside_the_dead());
        assert_holds(&scenario.without_spares());
    }
}

#[test]
fn the_protocol_holds_beside_a_thief_and_an_ideal_peer() {
    assert_holds(&Scenario::BESIDE_A_THIEF_AND_AN_IDEAL_PEER.without_spares());
}

#[test]
fn the_protocol_holds_beside_two_thieves() {
    assert_holds(&Scenario::BESIDE_TWO_THIEVES.without_spares());
}

/// `cargo test --release -p session-lock-stress --test controls -- --ignored --nocapture`
#[test]
#[ignore = "some 10 million states: a minute even in a release build"]
fn the_protocol_holds_beside_thieves_in_larger_scenarios() {
    assert_holds(&Scenario { crashes: 1, ..Scenario::BESIDE_A_THIEF_AND_AN_IDEAL_PEER.beside_the_dead() });
    assert_holds(&Scenario::BESIDE_TWO_THIEVES.beside_the_dead());
    assert_holds(&Scenario { crashes: 1, ..Scenario::BESIDE_TWO_THIEVES });
    for scenario in Scenario::BESIDE_A_THIEF {
        assert_holds(&Scenario { rounds: 2, claim_deletions: 1, ..*scenario });
        assert_holds(&Scenario { state_directory_deletions: 1, ..scenario.beside_the_dead() });
    }
}

/// The same peers, but held to this crate's promise.
fn without_exceptions(scenario: &Scenario) -> Scenario {
    let parts: Vec<Part> = scenario.parts.iter().map(|part| Part { position: Position::InPlace, ..*part }).collect();
    Scenario { parts: parts.leak(), properties: &[Property::ExclusionNewNew], ..*scenario }
}

/// So the exceptions are there for something, and for no more: in this crate's own namespace nobody is robbed as long as
/// every process that has held goes on living.
#[test]
fn a_thief_robs_this_crate_only_from_another_namespace_or_after_an_end() {
    for scenario in Scenario::BESIDE_A_THIEF {
        found_in(&without_exceptions(scenario));
        let quiet = without_exceptions(&Scenario { processes: 1, rounds: 2, crashes: 0, ..*scenario });
        if scenario.parts[0].identity.namespace == Identity::OURS.namespace {
            assert_holds(&quiet);
        } else {
            found_in(&quiet);
        }
    }
}
