//! What the simulated kernel does for each [`Operation`].

use session_lock::protocol::{Completion, Operation, Standing};

use super::kernel::{Content, TokenStep};
use super::process::{OpenClaim, Range, Task};
use super::scenario::{Ablation, Scenario};
use super::world::{Account, World};

impl World {
    /// Does it, all at once.
    pub(super) fn operate(&mut self, who: usize, operation: Operation, scenario: &Scenario) -> Completion {
        match operation {
            Operation::LockArbiter => self.set_range(who, Range::Locked),
            Operation::UnlockArbiter => self.set_range(who, Range::Free),
            Operation::TakeToken => self.take_token(who, scenario),
            Operation::CheckArbiter => self.check_arbiter(who, scenario),
            Operation::ReopenArbiter => {
                self.processes[who].arbiter = self.kernel.open_arbiter();
                self.set_range(who, Range::Free)
            }
            Operation::PublishClaim { .. } => self.publish_claim(who, scenario),
            Operation::OpenClaim => self.open_claim(who),
            Operation::LockClaim => self.lock_claim(who, scenario),
            Operation::ReadClaim => self.read_claim(who),
            Operation::PinClaim => self.pin_claim(who),
            Operation::CloseClaim => self.close_claim(who),
            Operation::ProbeWriters => self.probe_writers(who, scenario),
            Operation::WriteClaim { .. } => self.write_claim(who),
            Operation::CheckClaim => self.check_claim(who, scenario),
            Operation::UnlinkClaim => self.unlink_claim(who),
            Operation::AwaitClaim(_) | Operation::AwaitGrace => unreachable!("a wait is no effect"),
        }
    }

    /// Whether this process's unlink takes a file that is not its own, without the excuse that the operator
    /// deleted its own after it looked.
    pub(super) fn unlink_robs(&self, who: usize) -> bool {
        let process = &self.processes[who];
        let seen = process.claim.is_some_and(|claim| claim.seen_at_path);
        self.kernel.path.is_some() && self.kernel.path != process.open_slot() && !(seen && process.void)
    }

    fn set_range(&mut self, who: usize, range: Range) -> Completion {
        self.processes[who].range = range;
        Completion::Done
    }

    fn take_token(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let arbiter = self.processes[who].arbiter;
        let step = if scenario.lacks(Ablation::Token) { TokenStep::Again } else { TokenStep::Next };
        Completion::Token(self.kernel.token(arbiter, step))
    }

    fn check_arbiter(&self, who: usize, scenario: &Scenario) -> Completion {
        let current = self.kernel.arbiter_path == Some(self.processes[who].arbiter);
        if current || scenario.lacks(Ablation::ArbiterCheck) { Completion::Done } else { Completion::Replaced }
    }

    /// While healing, the claim that was open before is closed: nothing links it any more.
    fn publish_claim(&mut self, who: usize, scenario: &Scenario) -> Completion {
        if self.kernel.path.is_some() {
            return Completion::Exists;
        }
        let process = &mut self.processes[who];
        let slot = self.kernel.create(Content::BackedBy(process.arbiter));
        process.claim = Some(OpenClaim { slot, locked: !scenario.lacks(Ablation::PublishLock), seen_at_path: true });
        process.take_claim();
        Completion::Done
    }

    /// Another file than the pinned one ends the pin: the machine has forgotten that inode.
    fn open_claim(&mut self, who: usize) -> Completion {
        let Some(slot) = self.kernel.path else { return Completion::Gone };
        let process = &mut self.processes[who];
        process.claim = Some(OpenClaim { slot, locked: false, seen_at_path: true });
        if process.pin != Some(slot) {
            process.pin = None;
        }
        Completion::Opened { inode: slot.inode() }
    }

    fn lock_claim(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let slot = self.processes[who].open_slot();
        let locked = |claim: OpenClaim| claim.locked && Some(claim.slot) == slot;
        let busy = self.processes.iter().filter_map(|process| process.claim).any(locked);
        if busy && !scenario.lacks(Ablation::ClaimLock) {
            return Completion::Busy;
        }
        self.claim(who).locked = true;
        Completion::Done
    }

    fn read_claim(&mut self, who: usize) -> Completion {
        let slot = self.claim(who).slot;
        let own = Content::BackedBy(self.processes[who].arbiter);
        let standing = if self.kernel.content(slot) == own { Standing::OwnArbiter } else { Standing::Foreign };
        Completion::Read(standing)
    }

    fn pin_claim(&mut self, who: usize) -> Completion {
        let slot = self.processes[who].open_slot();
        let named = self.kernel.path == slot;
        self.processes[who].pin = if named { slot } else { None };
        if named { Completion::Done } else { Completion::Gone }
    }

    fn close_claim(&mut self, who: usize) -> Completion {
        let process = &mut self.processes[who];
        process.claim = None;
        process.void = false;
        process.exposed = false;
        Completion::Done
    }

    fn probe_writers(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let pin = self.processes[who].pin;
        if self.kernel.path != pin {
            return Completion::Gone;
        }
        let by_process = self.processes.iter().any(|process| process.open_slot() == pin);
        let by_older = self.older.iter().any(|peer| peer.open == pin);
        if (by_process || by_older) && !scenario.lacks(Ablation::Probe) {
            Completion::Writer
        } else {
            Completion::NoWriter
        }
    }

    fn write_claim(&mut self, who: usize) -> Completion {
        let slot = self.claim(who).slot;
        self.kernel.write(slot, Content::BackedBy(self.processes[who].arbiter));
        Completion::Done
    }

    fn check_claim(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let path = self.kernel.path;
        let claim = self.claim(who);
        claim.seen_at_path = path == Some(claim.slot);
        let seen = claim.seen_at_path;
        let pretends = match self.processes[who].task() {
            Task::Acquire(_) => scenario.lacks(Ablation::PathCheck),
            Task::Release(_) => scenario.lacks(Ablation::ReleaseCheck),
            _ => false,
        };
        if matches!(self.processes[who].task(), Task::Acquire(_)) && (seen || pretends) {
            self.processes[who].take_claim();
        }
        match path {
            _ if seen || pretends => Completion::Done,
            Some(_) => Completion::Replaced,
            None => Completion::Gone,
        }
    }

    fn unlink_claim(&mut self, who: usize) -> Completion {
        let process = &self.processes[who];
        if self.kernel.path.is_none() {
            return Completion::Gone;
        }
        let seen = process.claim.is_some_and(|claim| claim.seen_at_path);
        self.unlink(if seen && process.void { Account::Operator } else { Account::Peer });
        Completion::Done
    }

    fn claim(&mut self, who: usize) -> &mut OpenClaim {
        self.processes[who].claim.as_mut().expect("the machine has opened a claim")
    }
}
