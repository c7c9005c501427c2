//! What the simulated kernel does for each [`Operation`].

use session_lock::protocol::{Completion, Operation, Standing};

use super::ablation::Ablation;
use super::kernel::{Content, TokenStep};
use super::process::{OpenClaim, Process, Range, Spare, Task};
use super::scenario::Scenario;
use super::world::{Account, World};

impl World {
    /// Does it, all at once.
    pub(super) fn operate(&mut self, who: usize, operation: Operation, scenario: &Scenario) -> Completion {
        match operation {
            Operation::LockArbiter => self.set_range(who, Range::Locked),
            Operation::UnlockArbiter => self.set_range(who, Range::Free),
            Operation::TakeToken => self.take_token(who, scenario),
            Operation::CheckArbiter => self.check_arbiter(who, scenario),
            Operation::ReopenArbiter => self.reopen_arbiter(who),
            Operation::PublishClaim { .. } => self.publish_claim(who, scenario),
            Operation::OpenClaim => self.open_claim(who),
            Operation::LockClaim => self.lock_claim(who, scenario),
            Operation::ReadClaim => self.read_claim(who, scenario),
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
    /// deleted its own after it looked. No excuse for the claim of somebody who had to have the same range.
    pub(super) fn unlink_robs(&self, who: usize) -> bool {
        let process = &self.processes[who];
        if self.kernel.path.is_none() || self.kernel.path == process.open_slot() {
            return false;
        }
        let fellow = |other: &Process| other.arbiter == process.arbiter && other.open_slot() == self.kernel.path;
        !(self.has_seen(who) && process.void) || self.processes.iter().any(fellow)
    }

    /// Whether the last look of this process found its claim at the path.
    pub(super) fn has_seen(&self, who: usize) -> bool {
        self.processes[who].claim.is_some_and(|claim| claim.seen_at_path)
    }

    /// The tasks of a process use one description, so an unlock by one of them is an unlock for all.
    fn set_range(&mut self, who: usize, range: Range) -> Completion {
        match range {
            Range::Free => {
                self.unlock_range(who);
                // Nothing is done with it any more, and whoever has the range next takes another.
                self.processes[who].token = 0;
            }
            Range::Locked => self.processes[who].range = range,
        }
        Completion::Done
    }

    pub(super) fn unlock_range(&mut self, who: usize) {
        let arbiter = self.processes[who].arbiter;
        for task in self.siblings(who) {
            if self.processes[task].arbiter == arbiter {
                self.processes[task].range = Range::Free;
            }
        }
    }

    /// The old arbiter's range is unlocked first.
    fn reopen_arbiter(&mut self, who: usize) -> Completion {
        self.set_range(who, Range::Free);
        let arbiter = self.kernel.open_arbiter();
        let home = self.home(who);
        self.shared[home].arbiter = Some(arbiter);
        self.processes[who].arbiter = arbiter;
        Completion::Done
    }

    fn take_token(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let arbiter = self.processes[who].arbiter;
        let step = if scenario.lacks(Ablation::Token) { TokenStep::Again } else { TokenStep::Next };
        let token = self.kernel.token(arbiter, step);
        self.processes[who].token = token;
        Completion::Token(token)
    }

    fn check_arbiter(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let current = self.kernel.arbiter_path == Some(self.processes[who].arbiter);
        if current || scenario.lacks(Ablation::ArbiterCheck) {
            return Completion::Done;
        }
        self.processes[who].forget_look();
        Completion::Replaced
    }

    /// While healing, the claim that was open before is closed.
    fn publish_claim(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let Some(claim) = self.complete_claim(who, scenario) else { return Completion::Exists };
        self.kernel.write(claim.slot, Content::BackedBy(self.processes[who].arbiter));
        if self.kernel.path.is_some() {
            self.put_back(who, claim);
            return Completion::Exists;
        }
        self.kernel.link(claim.slot);
        let process = &mut self.processes[who];
        let before = process.claim.replace(OpenClaim { seen_at_path: true, ..claim });
        process.take_claim();
        if let Some(deleted) = before {
            self.put_back(who, deleted);
        }
        Completion::Done
    }

    /// The spare, or a new file, which becomes the spare if there is none; none is made while there is a claim. A spare
    /// whose own name is gone has no name left and can get none any more, so it is closed.
    fn complete_claim(&mut self, who: usize, scenario: &Scenario) -> Option<OpenClaim> {
        let home = self.home(who);
        if let Some(spare) = self.shared[home].spare.take() {
            if self.kernel.kept.contains(spare.slot) {
                return Some(spare);
            }
            self.reap(scenario);
        }
        if self.kernel.path.is_some() {
            return None;
        }
        let slot = self.kernel.create_unnamed(Content::Empty);
        let mut claims = self.siblings(who).filter_map(|task| self.processes[task].claim);
        let has_spare = claims.any(|claim| claim.spare != Spare::No);
        let spare = if scenario.spares && !has_spare { Spare::Intact } else { Spare::No };
        if spare == Spare::Intact {
            self.kernel.kept.insert(slot);
        }
        Some(OpenClaim {
            slot,
            locked: !scenario.lacks(Ablation::PublishLock),
            seen_at_path: false,
            taken: false,
            spare,
        })
    }

    /// Closes a claim, or keeps it if it is the spare and was at the path. That its own name is gone shows when it is needed.
    fn put_back(&mut self, who: usize, claim: OpenClaim) {
        match claim.spare {
            Spare::No => {}
            Spare::Intact => {
                assert!(self.kernel.path != Some(claim.slot), "a spare is idle only while it is not the claim");
                // Nobody reads it before it is published again, with other content, unless it is open elsewhere.
                if !self.processes.iter().any(|process| process.open_slot() == Some(claim.slot)) {
                    self.kernel.write(claim.slot, Content::Empty);
                }
                let home = self.home(who);
                self.shared[home].spare = Some(OpenClaim { seen_at_path: false, taken: false, ..claim });
            }
            Spare::Touched => self.kernel.kept.remove(claim.slot),
        }
    }

    /// Another file than the pinned one ends the pin: the machine has forgotten that inode.
    fn open_claim(&mut self, who: usize) -> Completion {
        let Some(slot) = self.kernel.path else { return Completion::Gone };
        let process = &mut self.processes[who];
        process.claim = Some(OpenClaim { slot, locked: false, seen_at_path: true, taken: false, spare: Spare::No });
        if process.pin != Some(slot) {
            process.pin = None;
        }
        Completion::Opened { inode: slot.inode() }
    }

    /// A description does not exclude itself: what it has locked it can lock again.
    fn lock_claim(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let OpenClaim { slot, locked, .. } = *self.claim(who);
        let busy = !locked && self.files().any(|claim| claim.locked && claim.slot == slot);
        if busy && !scenario.lacks(Ablation::ClaimLock) {
            return Completion::Busy;
        }
        self.claim(who).locked = true;
        Completion::Done
    }

    fn read_claim(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let slot = self.claim(who).slot;
        let own = Content::BackedBy(self.processes[who].arbiter);
        let matches = self.kernel.content(slot) == own && !scenario.lacks(Ablation::ArbiterMatch);
        Completion::Read(if matches { Standing::OwnArbiter } else { Standing::Foreign })
    }

    fn pin_claim(&mut self, who: usize) -> Completion {
        let slot = self.processes[who].open_slot();
        let named = self.kernel.path == slot;
        self.processes[who].pin = if named { slot } else { None };
        if named { Completion::Done } else { Completion::Gone }
    }

    fn close_claim(&mut self, who: usize) -> Completion {
        let process = &mut self.processes[who];
        process.void = false;
        process.exposed = false;
        if let Some(claim) = process.claim.take() {
            self.put_back(who, claim);
        }
        Completion::Done
    }

    fn probe_writers(&mut self, who: usize, scenario: &Scenario) -> Completion {
        let pin = self.processes[who].pin;
        if self.kernel.path != pin {
            return Completion::Gone;
        }
        let by_process = self.files().any(|file| Some(file.slot) == pin);
        let by_peer = pin.is_some_and(|pin| self.peers.iter().any(|peer| peer.writes(pin)));
        if (by_process || by_peer) && !scenario.lacks(Ablation::Probe) {
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
        let slot = self.claim(who).slot;
        let seen = path == Some(slot);
        let claim = self.claim(who);
        claim.seen_at_path = seen;
        if claim.spare != Spare::No {
            claim.spare = if seen { Spare::Intact } else { Spare::Touched };
        }
        let pretends = match self.processes[who].task() {
            Task::Acquire(_) | Task::HandOn(_) => {
                let handed_on = self.processes[who].own_slot().is_some();
                scenario.lacks(if handed_on { Ablation::HandOnCheck } else { Ablation::PathCheck })
            }
            Task::Release(_) => scenario.lacks(Ablation::ReleaseCheck),
            Task::Heal(_) => scenario.lacks(Ablation::HealCheck),
            _ => false,
        };
        if self.processes[who].acquires() && (seen || pretends) {
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
        let void = process.void;
        self.unlink(if self.has_seen(who) && void { Account::Operator } else { Account::Peer });
        Completion::Done
    }

    fn claim(&mut self, who: usize) -> &mut OpenClaim {
        self.processes[who].claim.as_mut().expect("the machine has opened a claim")
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::Scenario;
    use super::super::world::{Move, World};

    /// A process that takes a dead owner's claim over. The claim is deleted once the process has come so far.
    fn deleted(far: impl Fn(&World) -> bool) -> World {
        let scenario = Scenario { processes: 1, older: 0, crashes: 0, ..Scenario::minimal() }.beside_the_dead();
        let mut world = World::new(&scenario);
        let mut moves = Vec::new();
        while !far(&world) {
            world.moves(&scenario, &mut moves);
            let is_its = |action: &Move| {
                action.machine().is_some() || matches!(action, Move::Start(_) | Move::Resume(_) | Move::Elapse(_))
            };
            let action = moves.iter().copied().find(is_its).expect("it can act");
            assert_eq!(world.act(action, &scenario), None);
        }
        assert_eq!(world.act(Move::DeleteClaim, &scenario), None);
        world
    }

    /// The exception is for a hold: who only looks at a claim loses nothing with it.
    #[test]
    fn a_deleted_claim_makes_only_its_owners_hold_void() {
        let looks = deleted(|world| world.processes[0].open_slot().is_some());
        assert!(!looks.processes[0].void);
        let holds = deleted(|world| world.processes[0].is_holding());
        assert!(holds.processes[0].void);
    }
}
