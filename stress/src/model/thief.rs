//! This crate beside older peers that judge by pid and take over whom they find dead.
//!
//! Processes of this crate stay exclusive among themselves; what holds between the other pairs of kinds is tabled in
//! [`Property`](super::Property).
//!
//! A thief takes a living owner's claim when it is in another PID namespace, or when it has found an owner dead and somebody
//! else has taken over before its unlink or its rename; so one in this crate's PID namespace robs nobody as long as every
//! process that has held goes on living. A thief that renames its claim into place opens it only then: a probe in between
//! finds it closed, and the takeover robs the thief.

use super::peer::{Identity, Part, Position, Program};
use super::scenario::Scenario;

/// In this crate's PID namespace, and in another.
const NEAR: Identity = Identity::of(1);
const FAR: Identity = Identity::of(1).in_namespace(2);
/// In another, with the pid of this crate's processes.
const NAMESAKE: Identity = Identity::OURS.in_namespace(2);

impl Scenario {
    /// Two processes of this crate and one thief, in turn of each kind.
    pub const BESIDE_A_THIEF: &'static [Self] = &[
        Self { parts: &[older(Program::DeleteCreate, NEAR)], ..BESIDE },
        Self { name: "thief in another namespace", parts: &[older(Program::DeleteCreateHasty, FAR)], ..BESIDE },
        Self { name: "thief that renames over", parts: &[older(Program::RenameOver, NEAR)], ..BESIDE },
        Self { name: "the same in another namespace", parts: &[older(Program::RenameOver, FAR)], ..BESIDE },
        Self { name: "thief of its own pid", parts: &[older(Program::OrphanSelfPid, NAMESAKE)], ..BESIDE },
    ];

    /// Two processes of this crate, a thief in another PID namespace, and an ideal older peer.
    pub const BESIDE_A_THIEF_AND_AN_IDEAL_PEER: Self = Self {
        name: "thief and ideal older peer",
        parts: &[older(Program::DeleteCreateHasty, FAR), older(Program::Ideal, NEAR)],
        crashes: 0,
        ..BESIDE
    };

    /// Two processes of this crate, and two thieves that do not see each other.
    pub const BESIDE_TWO_THIEVES: Self = Self {
        name: "two thieves",
        parts: &[older(Program::DeleteCreate, NEAR), older(Program::RenameOver, FAR)],
        crashes: 0,
        ..BESIDE
    };
}

const BESIDE: Scenario =
    Scenario { name: "thief", rounds: 1, older: 0, claim_deletions: 0, crashes: 1, ..Scenario::minimal() };

const fn older(program: Program, identity: Identity) -> Part {
    Part { program, position: Position::Beside, identity, rounds: 1 }
}

#[cfg(test)]
mod tests {
    use super::super::property::{Property, broken_exclusions};
    use super::super::scenario::Scenario;
    use super::super::world::{Move, World};

    /// Lets one act until it has come so far. A wait is waited out.
    fn act(world: &mut World, scenario: &Scenario, is_its: fn(Move) -> bool, far: impl Fn(&World) -> bool) {
        let mut moves = Vec::new();
        while !far(world) {
            world.moves(scenario, &mut moves);
            let action = moves.iter().copied().find(|action| is_its(*action)).expect("it can act");
            assert_eq!(world.act(action, scenario), None);
        }
    }

    /// The exception of a hold whose claim was renamed into place, and nothing wider.
    #[test]
    fn a_takeover_robs_a_thief_that_it_has_probed_between_its_rename_and_its_open() {
        let thief: fn(Move) -> bool = |action| matches!(action, Move::Peer(_));
        let ours: fn(Move) -> bool =
            |action| matches!(action, Move::Start(_) | Move::Operate(_) | Move::Resume(_) | Move::Elapse(_));
        let alone = Scenario { processes: 1, crashes: 0, ..Scenario::BESIDE_A_THIEF[2] }.beside_the_dead();
        let mut world = World::new(&alone);
        let dead = world.kernel.path;
        act(&mut world, &alone, thief, |world| world.kernel.path != dead);
        act(&mut world, &alone, ours, |world| world.processes[0].grace.is_some());
        act(&mut world, &alone, thief, |world| world.peers[0].is_holding());
        act(&mut world, &alone, ours, |world| world.processes[0].is_holding());
        assert!(world.peers[0].void);
        world.peers[0].void = false;
        assert_eq!(broken_exclusions(&world).next(), Some(Property::ExclusionNewOlder));

        let mut opened = World::new(&alone);
        act(&mut opened, &alone, thief, |world| world.peers[0].is_holding());
        act(&mut opened, &alone, ours, |world| world.processes[0].pin.is_some());
        assert!(!opened.peers[0].void, "a probe that comes later finds a writer");
    }
}
