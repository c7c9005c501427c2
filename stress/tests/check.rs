//! The catalogue of mixes, the search's reductions, and `stress check` as a command.
//!
//! The usual mixes are for `stress check` itself: minutes in a release build.

use std::path::Path;
use std::process::{Command, Output};

use session_lock_stress::model::{
    Ablation, Learning, Leftover, Mix, Property, Replayed, Scenario, Suite, Verdict, replay, search,
};

#[test]
fn every_property_holds_in_the_small_mixes() {
    let small: Vec<_> = Mix::ALL.iter().filter(|mix| mix.suite == Suite::Small).collect();
    assert!(small.len() >= 5, "{small:?}");
    for mix in small {
        let outcome = search(&mix.scenario);
        assert_eq!(outcome.verdict, Verdict::Holds, "{}", mix.name());
        assert!(outcome.states > 500, "{}: {} states are too few to mean anything", mix.name(), outcome.states);
    }
}

#[test]
fn a_name_is_one_mix() {
    for mix in Mix::ALL {
        assert_eq!(Mix::named(mix.name()), Some(mix));
        assert_eq!(mix.scenario.properties, Property::ALL, "{}", mix.name());
    }
}

/// What each step is there for. Three of them are not for a property; why they stay is written with them.
#[test]
fn each_step_left_out_breaks_its_property_however_the_states_are_reduced() {
    let broken = |ablation| match ablation {
        Ablation::ArbiterMatch | Ablation::PublishLock | Ablation::Heal => None,
        Ablation::ArbiterLock | Ablation::ReleaseCheck | Ablation::UnlockLast | Ablation::Turn | Ablation::TurnLast => {
            Some(Property::ReleaseRemovesOwn)
        }
        Ablation::ArbiterCheck => Some(Property::ExclusionNewNew),
        Ablation::ClaimLock | Ablation::Probe | Ablation::Grace | Ablation::Pin | Ablation::PathCheck => {
            Some(Property::ExclusionNewOlder)
        }
        Ablation::Token => Some(Property::TokensGrow),
        Ablation::HealCheck | Ablation::HandOnCheck => Some(Property::HolderKnows),
        Ablation::DeathUnlocks => Some(Property::CanFinish),
    };
    for ablation in Ablation::ALL {
        for learning in [Learning::Later, Learning::AtOnce] {
            let scenario = Scenario { learning, ..Scenario::exposing(*ablation) };
            let verdict = search(&scenario).verdict;
            let found = match &verdict {
                Verdict::Violated(counterexample) => Some(counterexample.property),
                Verdict::Holds => None,
                Verdict::Unknown => panic!("{ablation:?} is not decided"),
            };
            assert_eq!(found, broken(*ablation), "{ablation:?}, {learning:?}");
            assert_eq!(found.is_none(), ablation.reason_to_stay().is_some(), "{ablation:?}");
            assert_eq!(search(&scenario.complete()).verdict, Verdict::Holds, "{ablation:?}, {learning:?}");
        }
    }
}

/// The turn is not only for what a release removes: without it, two tasks of one process or of two hold at once.
#[test]
fn without_the_turn_two_hold_at_once() {
    for ablation in [Ablation::Turn, Ablation::TurnLast] {
        let properties = &[Property::ExclusionNewNew];
        let outcome = search(&Scenario { properties, ..Scenario::exposing(ablation) });
        let counterexample = outcome.counterexample().expect("two owners are found");
        assert_eq!(counterexample.holders.len(), 2, "{counterexample}");
    }
}

/// Scenarios that are small enough to be searched without any reduction.
#[test]
fn a_reduced_search_finds_what_the_whole_one_finds() {
    let minimal = Scenario { rounds: 1, ..Scenario::minimal() };
    let alone = Scenario { older: 0, crashes: 0, ..minimal };
    for scenario in [
        minimal,
        Scenario::both_deleted(),
        Scenario { tasks: 2, cancellations: 1, ..alone },
        Scenario { processes: 1, sweepers: 1, readers: 1, refusals: 1, leftover: Leftover::Foreign, ..alone },
    ] {
        let whole = search(&scenario);
        let reduced = search(&Scenario { learning: Learning::AtOnce, ..scenario });
        assert_eq!(whole.verdict, Verdict::Holds, "{scenario:?}");
        assert_eq!(reduced.verdict, Verdict::Holds, "{scenario:?}");
        assert!(reduced.states < whole.states, "{} and {} states", reduced.states, whole.states);
    }
}

#[test]
fn a_saved_counterexample_breaks_the_same_property_again() {
    for ablation in Ablation::ALL {
        let scenario = Scenario { learning: Learning::AtOnce, ..Scenario::exposing(*ablation) };
        let Verdict::Violated(found) = search(&scenario).verdict else { continue };
        let moves = found.saved_moves();
        match replay(&scenario, found.property, &moves) {
            Replayed::Violates(again) => assert_eq!(again.property, found.property),
            other => panic!("{ablation:?}: {other:?}"),
        }
        let complete = replay(&scenario.complete(), found.property, &moves);
        assert!(!matches!(complete, Replayed::Violates(_)), "{ablation:?}");
    }
}

fn stress(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stress")).arg("check").args(arguments).output().expect("the tool can be run")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

#[test]
fn a_mix_that_holds_is_a_pass_and_one_without_memory_is_not() {
    let passed = stress(&["--mix", "2-older", "--json"]);
    assert_eq!(passed.status.code(), Some(0), "{passed:?}");
    assert!(stdout(&passed).contains("\"holds\""), "{passed:?}");
    let unknown = stress(&["--mix", "2-older", "--memory", "64K"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(stdout(&unknown).contains("unknown"), "{unknown:?}");
    assert_eq!(stress(&["--mix", "nobody"]).status.code(), Some(254));
}

#[test]
fn a_counterexample_is_saved_and_replayed_and_a_stale_one_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("found.json");
    let path = file.to_str().expect("text");
    let found = stress(&["--ablation", "Probe", "--save", path]);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let replayed = stress(&["--replay", path]);
    assert_eq!(replayed.status.code(), Some(1), "{replayed:?}");
    assert!(stdout(&replayed).contains("ExclusionNewOlder is broken"), "{replayed:?}");

    let text = std::fs::read_to_string(&file).expect("it was saved");
    std::fs::write(&file, text.replacen("start 0", "sweep", 1)).expect("it can be written");
    let stale = stress(&["--replay", path]);
    assert_eq!(stale.status.code(), Some(2), "{stale:?}");
    assert!(stdout(&stale).contains("stale: move"), "{stale:?}");
}

/// `cargo run --release -p session-lock-stress --bin stress -- check --ablations --write-docs stress/CHECKER.md`, and the same
/// with `--controls`.
#[test]
fn the_document_has_the_tables_as_they_are() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("CHECKER.md");
    let document = std::fs::read_to_string(document).expect("the document is there");
    for table in ["--ablations", "--controls"] {
        let printed = stress(&[table]);
        assert_eq!(printed.status.code(), Some(0), "{printed:?}");
        let table = stdout(&printed);
        assert!(table.contains("`ExclusionNewNew`"), "{table}");
        assert!(document.contains(&table), "the table is another one now:\n{table}");
    }
}

#[test]
fn a_broken_lock_is_found_and_replayed() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("found.json");
    let path = file.to_str().expect("text");
    let found = stress(&["--control", "rename-over", "--save", path]);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let replayed = stress(&["--replay", path]);
    assert_eq!(replayed.status.code(), Some(1), "{replayed:?}");
    assert!(stdout(&replayed).contains("ExclusionNewNew is broken"), "{replayed:?}");
}
