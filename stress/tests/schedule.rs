//! Schedules that bytes choose: random ones find each step of the protocol that is left out, and break nothing in the complete one.

use session_lock_stress::model::{Ablation, Counterexample, Scenario, Schedule};

const SEED: u64 = 7;
/// Far more than are needed to find what there is to find.
const PLAYS: usize = 400_000;

/// The first of so many random schedules that breaks something.
fn first_broken(scenario: &Scenario, plays: usize) -> Option<Counterexample> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut bytes = [0; 48];
    (0..plays).find_map(|_| {
        random.fill(&mut bytes);
        Schedule(&bytes).play(scenario)
    })
}

#[test]
fn random_schedules_find_a_step_left_out() {
    // Those that are found soon; the fuzzer looks for all of them.
    for ablation in [Ablation::ArbiterLock, Ablation::Probe, Ablation::Token, Ablation::ReleaseCheck] {
        let scenario = Scenario::exposing(ablation);
        let found = first_broken(&scenario, PLAYS);
        let found = found.unwrap_or_else(|| panic!("{ablation:?} is not found in {PLAYS} plays, seed {SEED}"));
        assert!(scenario.properties.contains(&found.property), "{found}");
        assert!(found.moves >= found.lines.len() && !found.lines.is_empty(), "{found}");
    }
}

#[test]
fn random_schedules_break_nothing_in_the_complete_protocol() {
    for scenario in [Scenario::minimal(), Scenario::two_arbiters(), Scenario::both_deleted()] {
        for scenario in [scenario, scenario.without_spares()] {
            if let Some(found) = first_broken(&scenario, 20_000) {
                panic!("seed {SEED}: {found}");
            }
        }
    }
}

/// So that an input of the fuzzer means the same tomorrow.
#[test]
fn the_same_bytes_are_the_same_schedule() {
    let played = |bytes: &[u8]| {
        let mut states = Vec::new();
        let found = Schedule(bytes).play_watched(&Scenario::minimal(), &mut |state| states.push(state));
        assert_eq!(found, None);
        states
    };
    let bytes: Vec<u8> = (0..40).map(|n: u8| n.wrapping_mul(73)).collect();
    let states = played(&bytes);
    assert!(states.len() > 10, "it leads somewhere: {} states", states.len());
    assert_eq!(played(&bytes), states);
    assert!(states.starts_with(&played(&bytes[..10])), "the end of the bytes is the end of the schedule");
    assert_eq!(played(&[]), []);
}
