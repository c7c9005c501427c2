//! One place in the crew: a process that hosts some workers, and after its death the next.

use std::ops::Range;
use std::time::Instant;

use crate::fault::Fault;

/// A place, taken by one process after the other.
#[derive(Debug)]
pub(crate) struct Place {
    /// The first of its workers.
    pub(crate) first: u16,
    pub(crate) count: u16,
    pub(crate) group: u16,
    /// The first worker's; the others' follow.
    pub(crate) incarnation: u32,
    pub(crate) state: State,
    /// It has no descriptor left.
    pub(crate) starving: Option<Hunger>,
}

/// How long a process has no descriptor left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hunger {
    Until(Instant),
    /// Until its group has said that this is over.
    Ending,
}

/// What the supervisor has done to a process, or had done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody is there yet.
    Vacant,
    Running,
    /// Its next hold waits for this kill.
    Marked(Fault),
    /// It waits for this kill inside its hold.
    Caught(Fault),
    Stopped(Instant),
    /// Killed in this way, and not yet known to be gone.
    Killed(Fault),
    Gone,
}

impl State {
    /// Whether there is a process that has not been killed.
    pub(crate) const fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Marked(_) | Self::Caught(_) | Self::Stopped(_))
    }

    /// Whether this can be done to a process in this state.
    pub(crate) const fn allows(self, fault: Fault) -> bool {
        match fault {
            Fault::Kill => matches!(self, Self::Running | Self::Stopped(_)),
            _ => matches!(self, Self::Running),
        }
    }
}

impl Place {
    pub(crate) const fn workers(&self) -> Range<u16> {
        self.first..self.first + self.count
    }

    /// Whether this life of this worker is the one that is here now.
    pub(crate) fn is(&self, worker: u16, incarnation: u32) -> bool {
        self.workers().contains(&worker) && incarnation.wrapping_sub(self.incarnation) == u32::from(worker - self.first)
    }
}

/// The places of a crew: so many workers that use the lock, and older peers after them.
///
/// Of threads and tasks, a process for each group hosts its share of the workers. Everybody else has a process alone.
pub(crate) fn places(workers: u16, older_peers: u16, groups: u16, threaded: bool) -> Vec<Place> {
    let place = |first, count, group| {
        let (incarnation, state, starving) = (0, State::Vacant, None);
        Place { first, count, group, incarnation, state, starving }
    };
    let mut places = Vec::new();
    if threaded {
        let processes = groups.min(workers);
        let bound = |process: u16| {
            u16::try_from(u32::from(process) * u32::from(workers) / u32::from(processes))
                .expect("not more than workers")
        };
        places
            .extend((0..processes).map(|process| place(bound(process), bound(process + 1) - bound(process), process)));
    } else {
        places.extend((0..workers).map(|worker| place(worker, 1, worker % groups)));
    }
    places.extend((workers..workers + older_peers).map(|worker| place(worker, 1, worker % groups)));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_one_place_in_a_group_that_there_is() {
        for (workers, older, groups, threaded) in
            [(8, 0, 2, false), (8, 3, 2, true), (7, 1, 3, true), (1, 0, 4, true), (512, 512, 64, false)]
        {
            let places = places(workers, older, groups, threaded);
            let hosted: Vec<u16> = places.iter().flat_map(Place::workers).collect();
            assert_eq!(hosted, (0..workers + older).collect::<Vec<_>>());
            assert!(places.iter().all(|place| place.group < groups && place.count > 0), "{places:?}");
            let alone = places.iter().filter(|place| place.first >= workers);
            assert!(alone.into_iter().all(|place| place.count == 1), "older peers share no process");
        }
    }

    #[test]
    fn a_life_is_known_by_worker_and_incarnation() {
        let mut place = places(8, 0, 2, true).remove(1);
        place.incarnation = 21;
        assert!(place.is(4, 21) && place.is(7, 24));
        assert!(!place.is(4, 22) && !place.is(8, 25) && !place.is(3, 20));
    }
}
