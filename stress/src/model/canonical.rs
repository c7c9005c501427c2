//! How the search recognises a state, or one that differs from it in nothing that matters: in the order of the processes,
//! of the tasks of a process and of the readers, and in the numbers of the inodes.
//!
//! A number means nothing but that it is the same or another one, and a new file may get any that is free. (Where a
//! machine remembers a free one, which only happens without the pin, it does matter: then numbers are names.) So the
//! inodes are named anew, in the order of what can be said of each without numbers. Where that is the same of two
//! of them, the numbers decide; at worst one state is then taken for two, never two for one.
//!
//! Peers are told apart: a grace says for which of them it waits.

use super::ablation::Ablation;
use super::fingerprint::{self, Names};
use super::kernel::Slot;
use super::scenario::{Learning, Scenario};
use super::world::World;

/// What can be said of an inode without numbers.
type Colors = [u64; 64];

/// In what way somebody has to do with an inode.
#[derive(Clone, Copy)]
enum Tie {
    Open = 1,
    Pinned = 2,
    Spare = 3,
    Made = 4,
    Read = 5,
}

impl World {
    /// The fingerprint of this state.
    pub(super) fn fingerprint(&self, scenario: &Scenario) -> u128 {
        let as_numbered = scenario.learning == Learning::Later || scenario.lacks(Ablation::Pin);
        let names = if as_numbered { Names::NUMBERS } else { self.names() };
        let others = fingerprint::of_symmetric(&(&self.kernel, &self.peers, &self.faults), &self.readers, &names);
        let files = fingerprint::of_symmetric(&(), self.kernel.files(), &names);
        let homes = (0..)
            .zip(&self.shared)
            .map(|(home, shared)| fingerprint::of_symmetric(shared, &self.processes[self.tasks_of(home)], &names));
        homes.fold(fingerprint::of(&(others, files), &names), u128::wrapping_add)
    }

    fn names(&self) -> Names {
        // One file needs no order.
        let colors = if self.kernel.files().nth(1).is_some() { self.colors() } else { [0; 64] };
        let mut order: [(u64, u8); 64] = [(u64::MAX, 0); 64];
        let mut count = 0;
        for file in self.kernel.files() {
            let number = file.slot.index();
            order[count] = (colors[number], u8::try_from(number).unwrap_or_default());
            count += 1;
        }
        order[..count].sort_unstable();
        let mut names = Names::UNKNOWN;
        for (name, (_, number)) in (0..).zip(&order[..count]) {
            names.0[usize::from(*number)] = name;
        }
        names
    }

    fn colors(&self) -> Colors {
        let mut colors = [0; 64];
        for file in self.kernel.files() {
            colors[file.slot.index()] = blind(&file);
        }
        let mut tie = |slot: Option<Slot>, who: u64, tie: Tie| {
            if let Some(slot) = slot {
                let color = &mut colors[slot.index()];
                *color = color
                    .wrapping_add(who.wrapping_add(tie as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23));
            }
        };
        for process in &self.processes {
            if process.claim.is_some() || process.pin.is_some() {
                let who = blind(process);
                tie(process.open_slot(), who, Tie::Open);
                tie(process.pin, who, Tie::Pinned);
            }
        }
        for (home, shared) in (0..).zip(&self.shared) {
            if let Some(spare) = shared.spare {
                let tasks = &self.processes[self.tasks_of(home)];
                let who = tasks.iter().map(blind).fold(0, u64::wrapping_add);
                tie(Some(spare.slot), who, Tie::Spare);
            }
        }
        for (number, peer) in (0..).zip(&self.peers) {
            let who = blind(peer).wrapping_add(number);
            tie(peer.uses(), who, Tie::Open);
            tie(peer.own, who, Tie::Made);
        }
        for reader in &self.readers {
            tie(*reader, 0, Tie::Read);
        }
        colors
    }
}

/// What can be said of it without the numbers of inodes.
fn blind(value: &impl std::hash::Hash) -> u64 {
    u64::try_from(fingerprint::of(value, &Names::NONE) >> 64).unwrap_or_default()
}
