//! What was wrong around a worker whose acquire failed: full disks, missing descriptors, and who stood still.
//!
//! | What happened | is explained by |
//! |---|---|
//! | *error* with `ENOSPC` or `EDQUOT` | disk-full or inodes-full, in force at some time since the worker's last record |
//! | *error* with `EMFILE` or `ENFILE` | no-descriptors of that worker, in the same way |
//! | *timeout* | disk-full, inodes-full or delete-state in force, or a fault done to that lock's claim, since the worker's last record; or at least half of the wait (by the clock) during which somebody stood still: from *stop* to *continue*, *kill* or *exit* |
//!
//! Deleting the state directory explains no *error*: the lock makes it anew.

use std::collections::VecDeque;

use nix::errno::Errno;

use crate::fault::Fault;

/// So many standstills are remembered that are over.
const REMEMBERED: usize = 256;

/// A fault that comes and goes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Span {
    in_force: u32,
    /// The place of its last *relieve*.
    over: Option<u64>,
}

impl Span {
    pub(super) fn strike(&mut self) {
        self.in_force += 1;
    }

    pub(super) fn relieve(&mut self, place: u64) {
        self.in_force = self.in_force.saturating_sub(1);
        self.over = Some(place);
    }

    /// Whether it was in force at some time since this place.
    pub(super) fn since(self, place: u64) -> bool {
        self.in_force > 0 || self.over.is_some_and(|over| over > place)
    }
}

/// What concerns everybody.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// No block or no inode is left.
    full: Span,
    state: Span,
    /// Who stood still, from when to when.
    standstills: VecDeque<(u64, u64)>,
}

impl Surroundings {
    pub(super) fn strike(&mut self, fault: Fault) {
        if let Some(span) = self.span(fault) {
            span.strike();
        }
    }

    pub(super) fn relieve(&mut self, fault: Fault, place: u64) {
        if let Some(span) = self.span(fault) {
            span.relieve(place);
        }
    }

    fn span(&mut self, fault: Fault) -> Option<&mut Span> {
        match fault {
            Fault::DiskFull | Fault::InodesFull => Some(&mut self.full),
            Fault::DeleteState => Some(&mut self.state),
            _ => None,
        }
    }

    /// Somebody goes on who stood still since then.
    pub(super) fn moves(&mut self, since_us: u64, now_us: u64) {
        if self.standstills.len() == REMEMBERED {
            self.standstills.pop_front();
        }
        self.standstills.push_back((since_us, now_us));
    }

    /// Whether a failure with this error number, of an operation since this place, is explained.
    pub(super) fn explain_error(&self, errno: i32, since: u64, no_descriptors: Span) -> bool {
        match Errno::from_raw(errno) {
            Errno::ENOSPC | Errno::EDQUOT => self.full.since(since),
            Errno::EMFILE | Errno::ENFILE => no_descriptors.since(since),
            _ => false,
        }
    }

    /// Whether something that concerns everybody explains a timeout.
    pub(super) fn explain_timeout(&self, since: u64) -> bool {
        self.full.since(since) || self.state.since(since)
    }

    /// Whether somebody stood still for half of this time: those in `still` do so yet.
    pub(super) fn stood_still(&self, from_us: u64, to_us: u64, still: impl Iterator<Item = u64>) -> bool {
        let known = self.standstills.iter().copied().chain(still.map(|since| (since, to_us)));
        let clipped = known.map(|(since, until)| (since.max(from_us), until.min(to_us)));
        let mut stretches: Vec<_> = clipped.filter(|(since, until)| since < until).collect();
        stretches.sort_unstable();
        let (mut still_us, mut told) = (0, from_us);
        for (since, until) in stretches {
            still_us += until.saturating_sub(since.max(told));
            told = told.max(until);
        }
        to_us > from_us && 2 * still_us >= to_us - from_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standstills_are_not_counted_twice() {
        let mut around = Surroundings::default();
        around.moves(0, 30);
        around.moves(10, 40);
        assert!(!around.stood_still(0, 100, [].into_iter()));
        assert!(around.stood_still(0, 80, [].into_iter()));
        assert!(around.stood_still(0, 100, [90].into_iter()));
        assert!(!around.stood_still(0, 100, [91].into_iter()));
        assert!(!around.stood_still(50, 50, [].into_iter()));
    }

    #[test]
    fn a_fault_is_in_force_from_strike_to_relieve() {
        let mut span = Span::default();
        assert!(!span.since(0));
        span.strike();
        assert!(span.since(5));
        span.relieve(6);
        assert!(span.since(5));
        assert!(!span.since(6));
        assert!(!span.since(7));
    }
}
