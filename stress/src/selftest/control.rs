//! Under which load each broken lock is caught. What goes wrong in each stands in `peers`.

use std::path::PathBuf;
use std::time::Duration;

use crate::fault::Fault;
use crate::options::{FaultRate, LockChoice, Pause, RunOptions};
use crate::peers::Implementation;
use crate::sabotage::SmallFs;
use crate::topology::Topology;

/// A broken lock, and what has to happen for its defect to show.
#[derive(Debug, Clone)]
pub(super) struct Control {
    pub(super) lock: Implementation,
    pub(super) load: Load,
}

/// The conditions of a run, whatever the lock.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) topology: Topology,
    groups: u16,
    workers: u16,
    older_peers: u16,
    locks: u16,
    hold: Duration,
    kill_rate: f64,
    fault: Option<(Fault, f64)>,
    grace: Duration,
}

/// Everybody waits for one lock, and nobody dies.
const CROWD: Load = Load {
    topology: Topology::Processes,
    groups: 1,
    workers: 8,
    older_peers: 0,
    locks: 1,
    hold: Duration::from_micros(500),
    kill_rate: 0.0,
    fault: None,
    grace: Duration::from_secs(1),
};

/// Everybody waits when an owner dies, and owners die often.
const DYING: Load = Load { kill_rate: 40.0, ..CROWD };

/// As many kills as there can be.
pub(super) const DEADLY: Load = Load { kill_rate: 250.0, ..DYING };

/// Two groups that have the same pids, started at the same time. Restarts come with the next attempt.
const NAMESPACES: Load = Load { topology: Topology::PidnsPrivate, groups: 2, ..CROWD };

/// Tasks of one process, each with a thread.
const ONE_PROCESS: Load = Load { topology: Topology::Threads, ..CROWD };

/// Somebody deletes lock files.
const OPERATOR: Load = Load { fault: Some((Fault::DeleteClaim, 10.0)), kill_rate: 20.0, ..CROWD };

/// Older peers hold longer than the grace.
const MIXED: Load = Load {
    workers: 4,
    older_peers: 4,
    locks: 4,
    hold: Duration::from_millis(50),
    kill_rate: 5.0,
    grace: Duration::from_millis(20),
    ..CROWD
};

/// All controls, each with one defect.
pub(super) const CONTROLS: [Control; 9] = [
    Control { lock: Implementation::DeleteCreate, load: DYING },
    Control { lock: Implementation::RenameOver, load: DYING },
    Control { lock: Implementation::OrphanSelfPid, load: NAMESPACES },
    Control { lock: Implementation::PidStartTime, load: NAMESPACES },
    Control { lock: Implementation::EarlyMapDelete, load: ONE_PROCESS },
    Control { lock: Implementation::MapHalfFix, load: ONE_PROCESS },
    Control { lock: Implementation::UnlockBeforeUnlink, load: DYING },
    Control { lock: Implementation::DeletableClaim, load: OPERATOR },
    Control { lock: Implementation::ProbelessTakeover, load: MIXED },
];

impl Load {
    /// The options of a run of this lock.
    pub(super) fn options(&self, lock: Implementation, duration: Duration, seed: u64, dir: PathBuf) -> RunOptions {
        let faults = self.fault.map(|(fault, per_second)| FaultRate { fault: Some(fault), per_second });
        RunOptions {
            topology: self.topology,
            groups: self.groups,
            workers: self.workers,
            older_peers: self.older_peers,
            locks: self.locks,
            spread: LockChoice::Random,
            duration,
            hold: Pause::exactly(self.hold),
            think: Pause::exactly(Duration::ZERO),
            timeout: Duration::from_secs(10),
            kill_rate: self.kill_rate,
            stop_rate: 0.0,
            faults: faults.into_iter().collect(),
            grace: self.grace,
            small_fs: SmallFs::Tmpfs,
            seed: Some(seed),
            keep_history: 256 << 20,
            dir: Some(dir),
            lock,
            json: false,
        }
    }

    /// In a few words.
    pub(super) fn name(&self) -> String {
        let mut words = vec![self.topology.name()];
        if self.kill_rate > 0.0 {
            words.push(format!("{} kills/s", self.kill_rate));
        }
        if let Some((fault, per_second)) = self.fault {
            words.push(format!("{} {per_second}/s", fault.name()));
        }
        if self.older_peers > 0 {
            words.push(format!("{} older peers", self.older_peers));
        }
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTROLS, Implementation};
    use crate::model;

    #[test]
    fn the_search_has_the_same_controls() {
        let here = CONTROLS.iter().map(|control| control.lock).map(Implementation::name);
        assert!(here.eq(model::Control::ALL.iter().map(|control| control.name())));
    }
}
