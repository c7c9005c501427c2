//! The protocol under the exhaustive search: the complete one holds, and each step left out is found.
//!
//! Figures are printed: `cargo test -p session-lock-stress --test search -- --nocapture`.
#![expect(clippy::print_stdout, reason = "the figures and counterexamples are what a reader of this test wants")]

use std::time::Instant;

use session_lock_stress::model::{Ablation, Counterexample, Outcome, Property, Scenario, Verdict, search};

fn reported(scenario: &Scenario) -> Outcome {
    let begun = Instant::now();
    let outcome = search(scenario);
    let (states, depth) = (outcome.states, outcome.depth);
    println!(
        "{}{} without {:?}: {states} states, depth {depth}, {:?}",
        scenario.name,
        if scenario.spares { ", spares" } else { "" },
        scenario.ablation,
        begun.elapsed()
    );
    if let Some(counterexample) = outcome.counterexample() {
        println!("{counterexample}");
    }
    outcome
}

#[track_caller]
fn assert_holds(scenario: &Scenario) {
    let outcome = reported(scenario);
    assert_eq!(outcome.verdict, Verdict::Holds);
    assert!(outcome.states > 1_000, "{} states are too few to mean anything", outcome.states);
}

/// What breaks without this step, with spares and without them. The complete protocol holds in the same scenario: see
/// `the_protocol_holds_where_a_step_left_out_is_found`.
#[track_caller]
fn found_without(ablation: Ablation) -> Counterexample {
    found_with_and_without_spares(&Scenario::exposing(ablation))
}

#[track_caller]
fn found_with_and_without_spares(scenario: &Scenario) -> Counterexample {
    let counterexample = found_in(scenario);
    assert_eq!(found_in(&scenario.without_spares()).property, counterexample.property);
    counterexample
}

#[track_caller]
fn found_in(scenario: &Scenario) -> Counterexample {
    match reported(scenario).verdict {
        Verdict::Violated(counterexample) => counterexample,
        verdict => panic!("{:?} is not found: {verdict:?}", scenario.ablation),
    }
}

/// The trace ends when the second of two gets to hold, and shows the call that should have stopped it.
#[track_caller]
fn assert_double_owner(ablation: Ablation, property: Property, decisive: &str) {
    assert_double_owner_in(&Scenario::exposing(ablation), property, decisive);
}

#[track_caller]
fn assert_double_owner_in(scenario: &Scenario, property: Property, decisive: &str) {
    let counterexample = found_with_and_without_spares(scenario);
    assert_eq!(counterexample.property, property);
    assert_eq!(counterexample.holders.len(), 2, "{counterexample}");
    let last = counterexample.lines.last().expect("a counterexample has lines");
    assert!(last.what.contains("HOLDS"), "{counterexample}");
    assert!(counterexample.holders.contains(&last.actor), "{counterexample}");
    assert!(counterexample.to_string().contains(decisive), "{counterexample}");
}

#[test]
fn the_protocol_holds_beside_an_older_peer_an_operator_and_a_crash() {
    assert_holds(&Scenario::minimal());
}

/// A claim's number is free after each release, where a spare's is not.
#[test]
fn the_protocol_holds_beside_them_without_spares() {
    assert_holds(&Scenario::minimal().without_spares());
}

#[test]
fn the_protocol_holds_when_the_state_directory_is_deleted() {
    assert_holds(&Scenario::two_arbiters());
    assert_holds(&Scenario::two_arbiters().without_spares());
    let older = Scenario { name: "two arbiters, older peer", rounds: 1, older: 1, ..Scenario::two_arbiters() };
    assert_holds(&Scenario { older_rounds: 1, ..older });
    assert_holds(&older.without_spares());
}

/// Promised unless both go within one hold. Here a process stops between its first look at the arbiter's path and
/// the publication of its claim; meanwhile the state directory goes, another process holds through a new one, and only
/// then its claim goes.
#[test]
fn the_protocol_holds_when_both_are_deleted_but_not_within_one_hold() {
    assert_holds(&Scenario::both_deleted());
    assert_holds(&Scenario { name: "both deleted, two rounds", rounds: 2, crashes: 0, ..Scenario::both_deleted() });
    assert_holds(&both_deleted_beside_three().without_spares());
}

fn both_deleted_beside_three() -> Scenario {
    Scenario { name: "both deleted, three processes", processes: 3, crashes: 0, ..Scenario::both_deleted() }
}

/// `cargo test --release -p session-lock-stress --test search -- --ignored --nocapture`
#[test]
#[ignore = "42 million states: minutes even in a release build, and some GB of memory"]
fn the_protocol_holds_in_larger_scenarios() {
    let (minimal, arbiters, both) = (Scenario::minimal(), Scenario::two_arbiters(), Scenario::both_deleted());
    assert_holds(&both_deleted_beside_three());
    assert_holds(&Scenario { name: "both deleted, two rounds and a crash", rounds: 2, ..both });
    assert_holds(&Scenario { name: "two arbiters, older peer, its two rounds", rounds: 1, older: 1, ..arbiters });
    assert_holds(&Scenario { name: "two arbiters, older peer, two rounds", older: 1, older_rounds: 1, ..arbiters });
    assert_holds(&Scenario { name: "two arbiters, three rounds", rounds: 3, ..arbiters });
    assert_holds(&Scenario { name: "two arbiters, two crashes", crashes: 2, ..arbiters });
    assert_holds(&Scenario { name: "minimal, three rounds", rounds: 3, older_rounds: 1, ..minimal });
    assert_holds(&Scenario { name: "minimal, two crashes", crashes: 2, older_rounds: 1, ..minimal });
}

/// So that the searches above mean what they say. The token ends the search at the second hold.
#[test]
fn a_spare_comes_back_at_the_path_as_the_same_inode() {
    let scenario = Scenario {
        processes: 1,
        older: 0,
        rounds: 2,
        claim_deletions: 0,
        crashes: 0,
        ..Scenario::exposing(Ablation::Token)
    };
    let trace = found_in(&scenario).to_string();
    assert!(trace.contains("keeps inode 1 as its spare"), "{trace}");
    assert!(trace.contains("linkat(the spare, claim) -> inode 1"), "{trace}");
    let trace = found_in(&scenario.without_spares()).to_string();
    assert!(!trace.contains("spare"), "{trace}");
}

#[test]
fn the_protocol_holds_where_a_step_left_out_is_found() {
    let mut checked = Vec::new();
    for ablation in Ablation::ALL {
        let scenario = Scenario::exposing(*ablation).complete();
        if !checked.contains(&scenario) {
            assert_holds(&scenario);
            checked.push(scenario);
        }
    }
}

/// The release of the first owner's then removes the second one's claim, which shows a step sooner.
#[test]
fn without_the_arbiter_lock_a_deleted_claim_makes_two_owners() {
    assert_eq!(found_without(Ablation::ArbiterLock).property, Property::ReleaseRemovesOwn);
    let properties = &[Property::ExclusionNewNew];
    let counterexample = found_in(&Scenario { properties, ..Scenario::exposing(Ablation::ArbiterLock) });
    assert_eq!(counterexample.holders, ["A", "B"], "{counterexample}");
    assert!(counterexample.to_string().contains("operator  unlink(claim)"), "{counterexample}");
}

#[test]
fn without_the_arbiter_check_a_late_claim_under_a_removed_arbiter_makes_two_owners() {
    assert_double_owner(Ablation::ArbiterCheck, Property::ExclusionNewNew, "rm -r .session-lock");
}

/// Both have waited the same dead claim's grace out, under an arbiter each; the one whose arbiter is gone withdraws
/// the claim that the other holds.
#[test]
fn without_the_claim_lock_two_arbiters_make_two_owners() {
    assert_double_owner(Ablation::ClaimLock, Property::ExclusionNewOlder, "rm -r .session-lock");
}

#[test]
fn without_the_probe_a_living_older_owner_is_robbed() {
    assert_double_owner(Ablation::Probe, Property::ExclusionNewOlder, "granted: nobody has it open for writing");
}

/// The older peer's late unlink removes our claim, and the next older peer comes in.
#[test]
fn without_the_grace_a_late_unlink_lets_an_older_peer_in() {
    assert_double_owner(Ablation::Grace, Property::ExclusionNewOlder, "older 1   unlink(claim)");
}

/// The number that waited its grace out comes back as a living older peer's claim.
#[test]
fn without_the_pin_a_reused_inode_number_is_taken_for_a_dead_claim() {
    assert_double_owner(Ablation::Pin, Property::ExclusionNewOlder, "the grace is over");
}

#[test]
fn without_the_path_check_a_takeover_holds_a_deleted_claim() {
    assert_double_owner(Ablation::PathCheck, Property::ExclusionNewOlder, "operator  unlink(claim)");
}

/// The holder before is told that all is well, and then the next one holds.
#[test]
fn without_the_hand_on_check_a_task_holds_a_deleted_claim() {
    assert_eq!(found_without(Ablation::HandOnCheck).property, Property::HolderKnows);
    let properties = &[Property::ExclusionNewOlder];
    let followed = Scenario { properties, ..Scenario::exposing(Ablation::HandOnCheck) };
    assert_double_owner_in(&followed, Property::ExclusionNewOlder, "begins with what was handed on");
}

#[test]
fn without_the_release_check_a_release_removes_an_older_peers_claim() {
    let counterexample = found_without(Ablation::ReleaseCheck);
    assert_eq!(counterexample.property, Property::ReleaseRemovesOwn);
    assert_eq!(counterexample.holders, ["older 1"], "it is robbed while it holds: {counterexample}");
}

/// The same fault, followed to where it hurts: the exclusion of two older peers is our promise too.
#[test]
fn a_release_that_removes_an_older_peers_claim_lets_a_second_one_in() {
    let counterexample = found_in(&Scenario {
        name: "two older peers",
        processes: 1,
        older: 2,
        properties: &[Property::ExclusionOlderOlder],
        ..Scenario::exposing(Ablation::ReleaseCheck)
    });
    assert_eq!(counterexample.holders, ["older 1", "older 2"], "{counterexample}");
}

#[test]
fn a_token_that_does_not_grow_is_found() {
    assert_eq!(found_without(Ablation::Token).property, Property::TokensGrow);
}

/// Not a licence to drop it: the probe that takes its place here can be unavailable on a real file.
#[test]
fn the_lock_of_a_new_claim_is_not_what_excludes() {
    assert_holds(&Scenario::exposing(Ablation::PublishLock));
}

#[test]
fn a_search_that_hits_its_bound_proves_nothing() {
    let outcome = reported(&Scenario { state_bound: 1_000, ..Scenario::minimal() });
    assert_eq!(outcome.verdict, Verdict::Unknown);
    assert_eq!(outcome.states, 1_000);
}

#[test]
fn a_search_gives_the_same_outcome_every_time() {
    let scenario = Scenario::exposing(Ablation::ArbiterLock);
    assert_eq!(search(&scenario), search(&scenario));
}
