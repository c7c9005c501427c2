//! Which tasks make one process, and copies of a state.

use super::process::OpenClaim;
use super::world::World;

impl World {
    /// Which process a task belongs to.
    pub(super) fn home(&self, who: usize) -> usize {
        (who + 1).saturating_sub(self.tasks)
    }

    pub(super) fn tasks_of(&self, home: usize) -> std::ops::Range<usize> {
        if home == 0 { 0..self.tasks } else { home + self.tasks - 1..home + self.tasks }
    }

    /// The tasks of this one's process, itself among them.
    pub(super) fn siblings(&self, who: usize) -> std::ops::Range<usize> {
        self.tasks_of(self.home(who))
    }

    /// The files that processes of this crate have open for writing.
    pub(super) fn files(&self) -> impl Iterator<Item = OpenClaim> {
        let claims = self.processes.iter().filter_map(|process| process.claim);
        claims.chain(self.shared.iter().filter_map(|shared| shared.spare))
    }
}

impl Clone for World {
    fn clone(&self) -> Self {
        Self {
            kernel: self.kernel,
            processes: self.processes.clone(),
            shared: self.shared.clone(),
            tasks: self.tasks,
            peers: self.peers.clone(),
            readers: self.readers.clone(),
            faults: self.faults,
        }
    }

    /// In the memory that there is.
    fn clone_from(&mut self, other: &Self) {
        let Self { kernel, processes, shared, tasks, peers, readers, faults } = self;
        (*kernel, *tasks, *faults) = (other.kernel, other.tasks, other.faults);
        processes.clone_from(&other.processes);
        shared.clone_from(&other.shared);
        peers.clone_from(&other.peers);
        readers.clone_from(&other.readers);
    }
}
