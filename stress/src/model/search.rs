//! Breadth first over every state that a scenario can reach.
//!
//! Of a visited state only its fingerprint, its parent and its ways on are kept ([`Visited`]); whole states live for two
//! levels. A counterexample is found again from the beginning, by the fingerprints on its way.

use super::property::Property;
use super::scenario::Scenario;
use super::trace::Counterexample;
use super::visited::{Inserted, Visited};
use super::world::{Move, World};

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many different states were reached.
    pub states: usize,
    /// The number of moves after which the last of them was reached.
    pub depth: usize,
    /// The most memory that it took, in bytes.
    pub memory: usize,
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
    /// A bound was hit before either. Not a pass.
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
    /// The memory in use, in bytes.
    pub memory: usize,
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
/// Deterministic: the same scenario gives the same outcome.
///
/// # Panics
///
/// If the scenario exceeds the model's bounds, or if a machine asks for something that the simulated kernel cannot
/// answer: a bug.
#[must_use]
pub fn search(scenario: &Scenario) -> Outcome {
    search_watched(scenario, usize::MAX, &mut |_| Watched::GoOn)
}

/// What a search does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// It goes on.
    GoOn,
    /// It ends, and has found out nothing.
    Stop,
}

/// The same within so many bytes of memory, and says every now and then, and after each level, how far it is.
///
/// # Panics
///
/// As [`search`].
#[must_use]
pub fn search_watched(scenario: &Scenario, memory: usize, watch: &mut dyn FnMut(Progress) -> Watched) -> Outcome {
    let mut search = Search::new(scenario, memory);
    let verdict = search.run(watch);
    Outcome { states: search.visited.len(), depth: search.depth, memory: search.most_memory, verdict }
}

/// How many states are expanded between two looks at the memory.
const BETWEEN_LOOKS: usize = 1 << 16;

struct Search<'a> {
    scenario: &'a Scenario,
    visited: Visited,
    /// The states of the level that are not expanded yet, the next one last; and those of the next level.
    level: Vec<(u32, World)>,
    next: Vec<(u32, World)>,
    depth: usize,
    memory: usize,
    most_memory: usize,
}

impl<'a> Search<'a> {
    fn new(scenario: &'a Scenario, memory: usize) -> Self {
        let world = World::new(scenario);
        let mut visited = Visited::new();
        visited.insert(world.fingerprint(scenario), 0);
        let level = vec![(0, world)];
        Self { scenario, visited, level, next: Vec::new(), depth: 0, memory, most_memory: 0 }
    }

    fn run(&mut self, watch: &mut dyn FnMut(Progress) -> Watched) -> Verdict {
        let mut scratch = Scratch { moves: Vec::new(), ways: Vec::new(), successor: World::new(self.scenario) };
        let mut until_look = BETWEEN_LOOKS;
        loop {
            while let Some((number, world)) = self.level.pop() {
                if let Some(verdict) = self.expand(number, &world, &mut scratch) {
                    self.weigh();
                    return verdict;
                }
                until_look -= 1;
                if until_look == 0 {
                    until_look = BETWEEN_LOOKS;
                    if self.look(watch) == Watched::Stop {
                        return Verdict::Unknown;
                    }
                }
            }
            if self.next.is_empty() {
                break;
            }
            self.depth += 1;
            std::mem::swap(&mut self.level, &mut self.next);
            self.level.reverse();
            if self.look(watch) == Watched::Stop {
                return Verdict::Unknown;
            }
        }
        self.finish()
    }

    fn expand(&mut self, parent: u32, world: &World, scratch: &mut Scratch) -> Option<Verdict> {
        let Scratch { moves, ways, successor } = scratch;
        world.moves(self.scenario, moves);
        for action in moves.drain(..) {
            successor.clone_from(world);
            if let Some(property) = successor.act(action, self.scenario) {
                return Some(self.violated(property, parent, Some(action)));
            }
            let inserted = self.visited.insert(successor.fingerprint(self.scenario), parent);
            if let Inserted::New(number) = inserted {
                self.next.push((number, successor.clone()));
            }
            if world.is_benign(action) {
                ways.push(inserted.number());
            }
            if self.visited.len() >= self.scenario.state_bound {
                return Some(Verdict::Unknown);
            }
        }
        self.visited.graph.push(ways);
        if world.is_final() {
            self.visited.graph.mark_final(parent);
        }
        None
    }

    /// The search is complete: what can be said of the states together.
    fn finish(&mut self) -> Verdict {
        if !self.scenario.properties.contains(&Property::CanFinish) {
            return Verdict::Holds;
        }
        let graph = std::mem::take(&mut self.visited.graph);
        let stuck = graph.stuck(self.visited.len());
        stuck.map_or(Verdict::Holds, |number| self.violated(Property::CanFinish, number, None))
    }

    /// Says how far it is; stops if there is no memory left.
    fn look(&mut self, watch: &mut dyn FnMut(Progress) -> Watched) -> Watched {
        let memory = self.weigh();
        let ahead = self.level.len() + self.next.len();
        let wanted = watch(Progress { depth: self.depth, states: self.visited.len(), ahead, memory });
        if memory > self.memory || self.visited.len() > super::finish::Graph::MAX_STATES / 2 {
            return Watched::Stop;
        }
        wanted
    }

    fn weigh(&mut self) -> usize {
        let entries = self.level.capacity() + self.next.capacity();
        let worlds = self.level.len() + self.next.len();
        let of_world = self.next.first().or(self.level.first()).map_or(0, |(_, world)| world.heap_bytes());
        let memory = self.visited.bytes() + entries * size_of::<(u32, World)>() + worlds * of_world;
        self.most_memory = self.most_memory.max(memory);
        memory
    }

    fn violated(&self, property: Property, at: u32, last: Option<Move>) -> Verdict {
        let mut way = vec![at];
        while let Some(number) = way.last()
            && *number != 0
        {
            way.push(self.visited.parent(*number));
        }
        let mut world = World::new(self.scenario);
        let mut moves = Vec::new();
        for number in way.iter().rev().skip(1) {
            moves.push(self.step_to(&mut world, self.visited.fingerprint(*number)));
        }
        moves.extend(last);
        Verdict::Violated(Counterexample::play(self.scenario, property, &moves))
    }

    /// The first move that leads to the state with this fingerprint: the one that the search took.
    fn step_to(&self, world: &mut World, fingerprint: u128) -> Move {
        let mut moves = Vec::new();
        world.moves(self.scenario, &mut moves);
        for action in moves {
            let mut successor = world.clone();
            successor.act(action, self.scenario);
            if successor.fingerprint(self.scenario) == fingerprint {
                *world = successor;
                return action;
            }
        }
        unreachable!("the search has come this way")
    }
}

/// What an expansion works in, kept so that it need not be allocated again.
struct Scratch {
    moves: Vec<Move>,
    ways: Vec<u32>,
    successor: World,
}

/// Whether a final state can be reached from this one without a fault.
pub(super) fn finishes(scenario: &Scenario, from: &World) -> bool {
    let (mut visited, mut moves, mut ahead) = (Visited::new(), Vec::new(), vec![from.clone()]);
    visited.insert(from.fingerprint(scenario), 0);
    while let Some(world) = ahead.pop() {
        if world.is_final() {
            return true;
        }
        world.moves(scenario, &mut moves);
        for action in moves.drain(..).filter(|action| world.is_benign(*action)) {
            let mut successor = world.clone();
            successor.act(action, scenario);
            if let Inserted::New(_) = visited.insert(successor.fingerprint(scenario), 0) {
                ahead.push(successor);
            }
        }
    }
    false
}
