//! What is asked once for all the sessions of a look: who has a pid here, who is in the namespaces below, who is parked.

use crate::evidence::Seen;
use crate::payload::Payload;
use crate::process::Process;
use crate::sys;
use crate::verdict::{Asker, OwnerProcess};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

/// Major and minor number.
type Device = (u32, u32);
type Places = HashMap<(u64, u64), Vec<Device>>;

#[derive(Default)]
pub(super) struct Facts {
    /// By pid, as it was seen for some claim.
    seen: RefCell<HashMap<u32, Seen>>,
    /// Pids here, by namespace and pid there.
    below: OnceCell<HashMap<(u64, u32), u32>>,
    /// The devices of the requests, by inode number and first byte.
    parked: OnceCell<Option<Places>>,
}

impl Facts {
    /// What the kernel says of the claim's process. What was seen for another claim with its pid is taken where it is as
    /// `expected` of this one by its lock; otherwise that may have changed since, and is asked again.
    pub(super) fn owner(
        &self,
        process: &Process,
        payload: &Payload,
        expected: impl Fn(OwnerProcess) -> bool,
    ) -> OwnerProcess {
        let Some(pid) = payload.pid else { return OwnerProcess::Unknown };
        let known = self.seen.borrow().get(&pid).map(|seen| seen.owner(payload));
        known.filter(|known| expected(*known)).unwrap_or_else(|| {
            let seen = Seen::now(process, pid);
            self.seen.borrow_mut().insert(pid, seen);
            seen.owner(payload)
        })
    }

    /// The pid here of the process that has `pid` in a namespace below.
    pub(super) fn pid_here(&self, asker: &Asker, pid_ns: u64, pid: u32) -> Option<u32> {
        let below = self.below.get_or_init(|| {
            let below = sys::process::below(asker.pid_ns);
            // Of several the first one that /proc shows.
            below.iter().rev().map(|below| ((below.pid_ns, below.pid), below.pid_here)).collect()
        });
        below.get(&(pid_ns, pid)).copied()
    }

    /// The devices of the files with this inode number that have requests parked from this byte on, one for each request.
    /// `None`: /proc/locks cannot be read.
    pub(super) fn parked(&self, ino: u64, start: u64) -> Option<&[Device]> {
        let parked = self.parked.get_or_init(|| {
            let mut places = Places::new();
            for request in sys::locks::parked().ok()? {
                places.entry((request.ino, request.start)).or_default().push(request.device);
            }
            Some(places)
        });
        Some(parked.as_ref()?.get(&(ino, start)).map_or(&[], Vec::as_slice))
    }
}
