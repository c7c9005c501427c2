//! One schedule instead of all of them: bytes say who moves next. For a fuzzer, which learns which bytes lead somewhere new.
//!
//! | Bits of a byte | Say |
//! |---|---|
//! | 0..5 | which of the possible moves is made |
//! | 5..8 | how often the move in the same place is made after it, which mostly is the same actor's next one |
//!
//! So a few bytes let one actor run far, and the next one comes in at any point. The end of the bytes is the end of the
//! schedule. What is played is not the shortest way to where it leads: that is what [`search`](super::search()) is for.

use super::property::Property;
use super::scenario::Scenario;
use super::trace::Counterexample;
use super::world::World;

/// Bytes that say who moves next.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a>(pub &'a [u8]);

impl Schedule<'_> {
    /// Plays the schedule, and tells the property that it breaks, if any.
    ///
    /// # Panics
    ///
    /// As [`search`](super::search()).
    #[must_use]
    pub fn play(self, scenario: &Scenario) -> Option<Counterexample> {
        self.play_watched(scenario, &mut |_| {})
    }

    /// The same, and shows a fingerprint of the state after each byte: states that differ in nothing but the order of the
    /// processes have the same. Not of each state, because that would be most of the work.
    ///
    /// # Panics
    ///
    /// As [`search`](super::search()).
    #[must_use]
    pub fn play_watched(self, scenario: &Scenario, watch: &mut dyn FnMut(u128)) -> Option<Counterexample> {
        let mut world = World::new(scenario);
        let mut possible = Vec::new();
        let mut made = Vec::new();
        for byte in self.0 {
            for _ in 0..=byte >> 5 {
                world.moves(scenario, &mut possible);
                if possible.is_empty() {
                    let is_stuck = !world.is_final() && scenario.properties.contains(&Property::CanFinish);
                    return is_stuck.then(|| Counterexample::play(scenario, Property::CanFinish, &made));
                }
                let action = possible[usize::from(byte & 0x1f) % possible.len()];
                made.push(action);
                if let Some(property) = world.act(action, scenario) {
                    return Some(Counterexample::play(scenario, property, &made));
                }
            }
            watch(world.fingerprint(scenario));
        }
        None
    }
}
