//! Breadth first over every state that a scenario can reach.
//!
//! Of a visited state only its fingerprint and the move that led to it are kept; whole states live for two levels. A
//! counterexample is played again from the beginning.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use super::property::Property;
use super::scenario::Scenario;
use super::trace::Counterexample;
use super::world::{Move, World};

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many different states were reached.
    pub states: usize,
    /// The number of moves after which the last of them was reached.
    pub depth: usize,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows from a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every reachable state was visited, and every checked property holds.
    Holds,
    /// A property is broken; no shorter sequence of moves breaks one.
    Violated(Counterexample),
    /// The state bound was hit before either. Not a pass.
    Unknown,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many moves from the beginning.
    pub depth: usize,
    /// How many different states were reached.
    pub states: usize,
    /// How many of them are still to be visited.
    pub ahead: usize,
}

impl Outcome {
    /// The counterexample, if one was found.
    #[must_use]
    pub fn counterexample(&self) -> Option<&Counterexample> {
        match &self.verdict {
            Verdict::Violated(counterexample) => Some(counterexample),
            Verdict::Holds | Verdict::Unknown => None,
        }
    }
}

/// Visits every state that this scenario can reach, until a property is broken.
///
/// Deterministic: the same scenario gives the same outcome. Needs some 40 bytes of memory per state, and some hundred
/// for each state of the largest level.
///
/// # Panics
///
/// If the scenario exceeds the model's bounds, or if a machine asks for something that the simulated kernel cannot
/// answer: a bug.
#[must_use]
pub fn search(scenario: &Scenario) -> Outcome {
    search_watched(scenario, &mut |_| {})
}

/// The same, and says after each level how far it is.
///
/// # Panics
///
/// As [`search`].
#[must_use]
pub fn search_watched(scenario: &Scenario, watch: &mut dyn FnMut(Progress)) -> Outcome {
    let mut search = Search::new(scenario);
    let verdict = search.run(watch);
    Outcome { states: search.links.len(), depth: search.depth, verdict }
}

/// How a state was reached first.
#[derive(Clone, Copy)]
struct Link {
    parent: u32,
    action: Option<Move>,
}

struct Search<'a> {
    scenario: &'a Scenario,
    seen: HashSet<u128, BuildHasherDefault<AsIs>>,
    links: Vec<Link>,
    level: Vec<(u32, World)>,
    depth: usize,
}

impl<'a> Search<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let world = World::new(scenario);
        let mut search = Self { scenario, seen: HashSet::default(), links: Vec::new(), level: Vec::new(), depth: 0 };
        search.seen.insert(world.fingerprint());
        search.links.push(Link { parent: 0, action: None });
        search.level.push((0, world));
        search
    }

    fn run(&mut self, watch: &mut dyn FnMut(Progress)) -> Verdict {
        while !self.level.is_empty() {
            if let Some(verdict) = self.advance() {
                return verdict;
            }
            watch(Progress { depth: self.depth, states: self.links.len(), ahead: self.level.len() });
        }
        Verdict::Holds
    }

    /// Visits the successors of a whole level.
    fn advance(&mut self) -> Option<Verdict> {
        let mut next = Vec::new();
        let mut moves = Vec::new();
        for (parent, world) in std::mem::take(&mut self.level) {
            world.moves(self.scenario, &mut moves);
            let stuck = moves.is_empty() && !world.is_final();
            if stuck && self.scenario.properties.contains(&Property::NoDeadlock) {
                return Some(self.violated(Property::NoDeadlock, parent, None));
            }
            for action in moves.drain(..) {
                let mut successor = world.clone();
                if let Some(property) = successor.act(action, self.scenario) {
                    return Some(self.violated(property, parent, Some(action)));
                }
                if !self.seen.insert(successor.fingerprint()) {
                    continue;
                }
                let Ok(number) = u32::try_from(self.links.len()) else { return Some(Verdict::Unknown) };
                if self.links.len() >= self.scenario.state_bound {
                    return Some(Verdict::Unknown);
                }
                self.links.push(Link { parent, action: Some(action) });
                next.push((number, successor));
            }
        }
        if !next.is_empty() {
            self.depth += 1;
        }
        self.level = next;
        None
    }

    fn violated(&self, property: Property, parent: u32, last: Option<Move>) -> Verdict {
        let mut moves: Vec<Move> = last.into_iter().collect();
        let mut at = parent;
        while let Link { parent, action: Some(action) } = self.links[at as usize] {
            moves.push(action);
            at = parent;
        }
        moves.reverse();
        Verdict::Violated(Counterexample::play(self.scenario, property, &moves))
    }
}

/// A fingerprint is its own hash.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        let [low, high] = [fingerprint & u128::from(u64::MAX), fingerprint >> 64];
        self.0 = u64::try_from(low ^ high).unwrap_or_default();
    }
}
