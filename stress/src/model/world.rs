//! One state of the search: the kernel, the actors and what is left of the faults.

use session_lock::protocol::{Completion, Operation};

use super::fingerprint;
use super::kernel::{Arbiter, Content, Grown, Kernel, Slots};
use super::older::{Older, Phase};
use super::process::{Grace, Milestone, Process, Range, Task};
use super::property::{Property, broken_exclusions};
use super::scenario::{Ablation, Leftover, Scenario};

/// One state.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) kernel: Kernel,
    pub(super) processes: Vec<Process>,
    pub(super) older: Vec<Older>,
    faults: Faults,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Faults {
    claim_deletions: u8,
    arbiter_deletions: u8,
    spares_deletions: u8,
    crashes: u8,
}

/// One thing that can happen next. The number says to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Move {
    /// The kernel does what the process's machine asks; the process does not know yet.
    Operate(u8),
    /// The process learns of it.
    Resume(u8),
    /// A wait ends early.
    Wake(u8),
    /// The grace has passed.
    Elapse(u8),
    /// A holder begins to look after its claim.
    Heal(u8),
    /// A holder begins to release.
    Release(u8),
    /// SIGKILL hits a process.
    Kill(u8),
    /// A process starts and opens the arbiter, at first or in a dead one's place.
    Start(u8),
    /// An older peer takes its next step.
    Older(u8),
    /// SIGKILL hits an older peer, which is replaced by another.
    KillOlder(u8),
    /// The operator deletes the claim.
    DeleteClaim,
    /// Somebody deletes the state directory and gets to the arbiter.
    DeleteArbiter,
    /// Somebody deletes the state directory and gets to the spares' names.
    DeleteSpares,
    /// Somebody who makes a spare removes the names of those that nobody has locked.
    Sweep,
}

/// On whose account a file loses its name. See [`Property`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    Operator,
    Peer,
}

impl World {
    /// The beginning: the state directory is there, and nobody has started.
    pub(super) fn new(scenario: &Scenario) -> Self {
        assert!(
            scenario.processes <= Scenario::MAX_PROCESSES
                && scenario.older <= Scenario::MAX_OLDER
                && scenario.state_directory_deletions < Scenario::MAX_ARBITERS
                && scenario.crashes <= Scenario::MAX_CRASHES,
            "the scenario is within the model's bounds"
        );
        let mut kernel = Kernel::new();
        if scenario.leftover == Leftover::Foreign {
            kernel.create(Content::Foreign);
        }
        Self {
            kernel,
            processes: vec![Process::new(scenario.rounds); usize::from(scenario.processes)],
            older: vec![Older::new(scenario.older_rounds); usize::from(scenario.older)],
            faults: Faults {
                claim_deletions: scenario.claim_deletions,
                arbiter_deletions: scenario.state_directory_deletions,
                spares_deletions: scenario.state_directory_deletions,
                crashes: scenario.crashes,
            },
        }
    }

    /// How the search recognises this state, or one that differs in nothing but the order of the processes.
    pub(super) fn fingerprint(&self) -> u128 {
        fingerprint::of_symmetric(&(&self.kernel, &self.older, &self.faults), &self.processes)
    }

    /// Everybody has done everything, except for older peers that wait for the name: they never steal, so a dead
    /// owner's claim stops them until a process of this crate comes along.
    pub(super) fn is_final(&self) -> bool {
        self.processes.iter().all(Process::is_final) && self.older.iter().all(|peer| peer.phase == Phase::Idle)
    }

    /// Everything that can happen next.
    pub(super) fn moves(&self, scenario: &Scenario, moves: &mut Vec<Move>) {
        moves.clear();
        for (number, process) in (0..).zip(&self.processes) {
            self.process_moves(number, process, scenario, moves);
            if process.is_alive() && self.faults.crashes > 0 {
                moves.push(Move::Kill(number));
            }
        }
        for (number, peer) in (0..).zip(&self.older) {
            let waits = peer.phase == Phase::Idle && (self.kernel.path.is_some() || peer.is_final());
            if !waits {
                moves.push(Move::Older(number));
            }
            if peer.phase != Phase::Idle && self.faults.crashes > 0 {
                moves.push(Move::KillOlder(number));
            }
        }
        if self.faults.claim_deletions > 0 && self.kernel.path.is_some() {
            moves.push(Move::DeleteClaim);
        }
        if self.faults.arbiter_deletions > 0 && self.kernel.arbiter_path.is_some() {
            moves.push(Move::DeleteArbiter);
        }
        if self.faults.spares_deletions > 0 && !self.kernel.kept.is_empty() {
            moves.push(Move::DeleteSpares);
        }
        if !self.swept().is_empty() {
            moves.push(Move::Sweep);
        }
    }

    fn process_moves(&self, number: u8, process: &Process, scenario: &Scenario, moves: &mut Vec<Move>) {
        if process.pending.is_some() {
            moves.push(Move::Resume(number));
            return;
        }
        match process.operation() {
            Some(Operation::LockArbiter)
                if !scenario.lacks(Ablation::ArbiterLock) && self.range_is_locked(process.arbiter) => {}
            Some(Operation::AwaitClaim(_)) => moves.push(Move::Wake(number)),
            Some(Operation::AwaitGrace) => match process.grace {
                None => moves.push(Move::Operate(number)),
                Some(Grace(0)) => moves.extend([Move::Wake(number), Move::Elapse(number)]),
                Some(_) => moves.push(Move::Wake(number)),
            },
            Some(_) => moves.push(Move::Operate(number)),
            None if process.task() == Task::Hold => {
                moves.push(Move::Release(number));
                if process.may_heal() {
                    moves.push(Move::Heal(number));
                }
            }
            None if process.task() == Task::Absent && !process.is_final() => moves.push(Move::Start(number)),
            None => {}
        }
    }

    /// The spares that nobody has locked. Also one that is the claim: between the sweeper's look at its links and its
    /// lock, its owner can have named it and died.
    fn swept(&self) -> Slots {
        let files = self.processes.iter().flat_map(Process::files);
        self.kernel.kept.minus(files.filter(|file| file.locked).map(|file| file.slot).collect())
    }

    fn range_is_locked(&self, arbiter: Arbiter) -> bool {
        self.processes.iter().any(|process| process.arbiter == arbiter && process.range == Range::Locked)
    }

    /// Makes a move and says which checked property that broke, if any.
    pub(super) fn act(&mut self, action: Move, scenario: &Scenario) -> Option<Property> {
        let mut broken = None;
        match action {
            Move::Operate(number) => broken = self.operate_next(usize::from(number), scenario),
            Move::Heal(number) => {
                self.processes[usize::from(number)].begin_heal();
                broken = self.operate_next(usize::from(number), scenario);
            }
            Move::Release(number) => {
                self.processes[usize::from(number)].begin_release();
                broken = self.operate_next(usize::from(number), scenario);
            }
            Move::Resume(number) => {
                let pending = self.processes[usize::from(number)].pending.take();
                broken = self.resume(usize::from(number), pending.expect("a resume follows an operation"));
            }
            Move::Wake(number) => broken = self.end_wait(usize::from(number), Completion::Woken),
            Move::Elapse(number) => broken = self.end_wait(usize::from(number), Completion::GraceElapsed),
            Move::Kill(number) => {
                self.faults.crashes -= 1;
                self.processes[usize::from(number)].kill();
            }
            Move::Start(number) => {
                let arbiter = self.kernel.open_arbiter();
                self.processes[usize::from(number)].start(arbiter);
            }
            Move::Older(number) => self.step_older(usize::from(number)),
            Move::KillOlder(number) => {
                self.faults.crashes -= 1;
                self.move_on(usize::from(number));
            }
            Move::DeleteClaim => {
                self.faults.claim_deletions -= 1;
                self.unlink(Account::Operator);
            }
            Move::DeleteArbiter => {
                self.faults.arbiter_deletions -= 1;
                self.kernel.arbiter_path = None;
            }
            Move::DeleteSpares => {
                self.faults.spares_deletions -= 1;
                self.kernel.kept = Slots::default();
            }
            Move::Sweep => self.kernel.kept = self.kernel.kept.minus(self.swept()),
        }
        self.settle(scenario);
        let checked = |property: &Property| scenario.properties.contains(property);
        broken.into_iter().chain(broken_exclusions(self)).find(checked)
    }

    /// Has the kernel do what the process asks, and keeps the answer for it.
    fn operate_next(&mut self, who: usize, scenario: &Scenario) -> Option<Property> {
        let operation = self.processes[who].operation().expect("only a process that asks for something gets it");
        if operation == Operation::AwaitGrace {
            self.processes[who].grace = Some(self.begin_grace(scenario));
            return None;
        }
        let robs = operation == Operation::UnlinkClaim && self.unlink_robs(who);
        let completion = self.operate(who, operation, scenario);
        self.processes[who].pending = Some(completion);
        robs.then_some(Property::ReleaseRemovesOwn)
    }

    fn begin_grace(&self, scenario: &Scenario) -> Grace {
        if scenario.lacks(Ablation::Grace) {
            return Grace(0);
        }
        let closed = (0..).zip(&self.older).filter(|(_, peer)| peer.phase == Phase::Closed);
        Grace(closed.fold(0, |peers, (number, _)| peers | 1 << number))
    }

    /// A wait has no effect in the kernel, so its end is learnt of at once.
    fn end_wait(&mut self, who: usize, completion: Completion) -> Option<Property> {
        self.processes[who].grace = None;
        self.resume(who, completion)
    }

    fn resume(&mut self, who: usize, completion: Completion) -> Option<Property> {
        let process = &mut self.processes[who];
        let milestone = process.resume(completion);
        if process.task() == Task::Ended
            && let Some(spare) = process.spare.take()
        {
            self.kernel.kept.remove(spare.slot);
        }
        let Some(Milestone::Acquired { token }) = milestone else { return None };
        let grown = self.kernel.hold_with(process.arbiter, token);
        (grown == Grown::No).then_some(Property::TokensGrow)
    }

    fn step_older(&mut self, who: usize) {
        let peer = &mut self.older[who];
        match peer.phase {
            Phase::Idle => peer.created(self.kernel.create(Content::Empty)),
            Phase::Created => {
                let slot = peer.open.expect("a peer that has not closed has its file open");
                self.kernel.write(slot, Content::Foreign);
                peer.phase = Phase::Holding;
            }
            Phase::Holding => peer.closed(),
            Phase::Closed => {
                let account = if peer.void { Account::Operator } else { Account::Peer };
                self.unlink(account);
                self.move_on(who);
            }
        }
    }

    /// An older peer is done with its round, and no grace waits for it any longer.
    fn move_on(&mut self, who: usize) {
        self.older[who].next_round();
        for grace in self.processes.iter_mut().filter_map(|process| process.grace.as_mut()) {
            grace.0 &= !(1 << who);
        }
    }

    /// Takes the name from whatever file has it.
    pub(super) fn unlink(&mut self, account: Account) {
        let Some(victim) = self.kernel.path.take() else { return };
        let void = account == Account::Operator;
        for process in self.processes.iter_mut().filter(|process| process.open_slot() == Some(victim)) {
            process.void |= void;
        }
        for peer in self.older.iter_mut().filter(|peer| peer.own == Some(victim)) {
            peer.own = None;
            peer.void |= void;
        }
    }

    /// Frees what nobody uses, and notes who is exposed now.
    fn settle(&mut self, scenario: &Scenario) {
        self.reap(scenario);
        for process in &mut self.processes {
            process.exposed |= process.void && self.kernel.arbiter_path != Some(process.arbiter);
        }
    }

    /// Frees what nobody uses.
    pub(super) fn reap(&mut self, scenario: &Scenario) {
        let pins = if scenario.lacks(Ablation::Pin) { &[] } else { self.processes.as_slice() };
        let pins = pins.iter().filter_map(|process| process.pin);
        let files = self.processes.iter().flat_map(Process::files).map(|file| file.slot);
        let in_use = files.chain(pins).chain(self.older.iter().filter_map(|peer| peer.open)).collect();
        self.kernel.reap(in_use);
    }
}
