//! A counterexample as it is saved, and played again.
//!
//! A saved move is a word and the number of the actor, as `operate 0`. What was saved on another state of the code may not be
//! possible any more: that is said, and is no verdict.

use super::property::Property;
use super::scenario::{Learning, Scenario};
use super::search::finishes;
use super::trace::Counterexample;
use super::world::{Move, World};

/// What playing saved moves again came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The property is broken, as it was.
    Violates(Counterexample),
    /// All moves are possible, and the property is not broken.
    Holds,
    /// This move, the first of which it is true, is not possible any more, or is no move.
    Stale {
        /// Which one, from 1 on.
        number: usize,
        /// It, as it was saved.
        action: String,
    },
}

impl Counterexample {
    /// Its moves, to be saved.
    #[must_use]
    pub fn saved_moves(&self) -> Vec<String> {
        self.played.iter().map(|action| said(*action)).collect()
    }
}

/// Plays saved moves in this scenario.
#[must_use]
pub fn replay(scenario: &Scenario, property: Property, moves: &[String]) -> Replayed {
    let scenario = Scenario { learning: Learning::Later, properties: &[], ..*scenario };
    let checked = Scenario { properties: property.alone(), ..scenario };
    let mut world = World::new(&scenario);
    let (mut played, mut possible) = (Vec::new(), Vec::new());
    for (number, action) in (1..).zip(moves) {
        world.moves(&scenario, &mut possible);
        let Some(next) = possible.iter().copied().find(|next| said(*next) == *action) else {
            return Replayed::Stale { number, action: action.clone() };
        };
        played.push(next);
        if world.act(next, &checked) == Some(property) {
            return Replayed::Violates(Counterexample::play(&scenario, property, &played));
        }
    }
    if property == Property::CanFinish && !finishes(&scenario, &world) {
        return Replayed::Violates(Counterexample::play(&scenario, property, &played));
    }
    Replayed::Holds
}

fn said(action: Move) -> String {
    let (word, number) = match action {
        Move::Operate(number) => ("operate", number),
        Move::Resume(number) => ("resume", number),
        Move::Wake(number) => ("wake", number),
        Move::Elapse(number) => ("elapse", number),
        Move::Heal(number) => ("heal", number),
        Move::Release(number) => ("release", number),
        Move::HandOn(number) => ("hand-on", number),
        Move::Refuse(number) => ("refuse", number),
        Move::Cancel(number) => ("cancel", number),
        Move::Kill(number) => ("kill", number),
        Move::Start(number) => ("start", number),
        Move::StartAnew(number) => ("start-anew", number),
        Move::Peer(number) => ("peer", number),
        Move::KillPeer(number) => ("kill-peer", number),
        Move::Read(number) => ("read", number),
        Move::DeleteClaim => return "delete-claim".to_owned(),
        Move::DeleteArbiter => return "delete-arbiter".to_owned(),
        Move::DeleteSpares => return "delete-spares".to_owned(),
        Move::Sweep => return "sweep".to_owned(),
    };
    format!("{word} {number}")
}
