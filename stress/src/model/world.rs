//! One state of the search: the kernel, the actors and what is left of the faults. What a move does to it.

use session_lock::protocol::{Completion, Healed, Operation};

use super::ablation::Ablation;
use super::kernel::{Content, Grown, Kernel, Slot, Slots};
use super::peer::{Part, Peer};
use super::process::{Grace, Milestone, Process, Range, Role, Shared, Succession, Task, Turn};
use super::property::{Property, broken_exclusions};
use super::scenario::{Learning, Leftover, Scenario, spend};

/// One state.
#[derive(Debug)]
pub(super) struct World {
    pub(super) kernel: Kernel,
    /// The tasks: those of the first process first.
    pub(super) processes: Vec<Process>,
    /// What the tasks of each process have in common.
    pub(super) shared: Vec<Shared>,
    /// How many tasks the first process has.
    pub(super) tasks: usize,
    /// Older peers, the ideal ones first, and known-broken locks in this crate's place.
    pub(super) peers: Vec<Peer>,
    /// Which file each reader has open.
    pub(super) readers: Vec<Option<Slot>>,
    pub(super) faults: Faults,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    pub(super) claim_deletions: u8,
    pub(super) arbiter_deletions: u8,
    pub(super) spares_deletions: u8,
    pub(super) crashes: u8,
    pub(super) cancellations: u8,
    pub(super) refusals: u8,
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
    /// A holder begins to release, or what a holder has handed on is released, because nobody wants it any more.
    Release(u8),
    /// A holder begins to hand what it has on to another task of its process.
    HandOn(u8),
    /// The kernel does not tell: the operation has no effect and no answer.
    Refuse(u8),
    /// The acquire is cancelled, or fails, between two operations; a sweeper gives it up.
    Cancel(u8),
    /// SIGKILL hits the process of this task.
    Kill(u8),
    /// A task begins a round with the turn, and goes on with what another task has handed on. It starts its process if
    /// that does not run: at first, or in a dead one's place.
    Start(u8),
    /// A task begins a round with what another task has handed on, and does anew what that one had done for somebody.
    StartAnew(u8),
    /// A peer takes its next step, or learns of its last one's answer.
    Peer(u8),
    /// SIGKILL hits a peer, and with it all tasks of its process.
    KillPeer(u8),
    /// A reader opens the claim, or closes what it has open.
    Read(u8),
    /// The operator deletes the claim.
    DeleteClaim,
    /// Somebody deletes the state directory and gets to the arbiter.
    DeleteArbiter,
    /// Somebody deletes the state directory and gets to the spares' names.
    DeleteSpares,
    /// Somebody who makes a spare removes the names of those that nobody has locked.
    Sweep,
}

impl Move {
    /// Whose machine moves with it.
    pub(super) fn machine(self) -> Option<u8> {
        match self {
            Self::Operate(number)
            | Self::Heal(number)
            | Self::Release(number)
            | Self::HandOn(number)
            | Self::Refuse(number) => Some(number),
            _ => None,
        }
    }
}

/// On whose account a file loses its name. See [`Property`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    Operator,
    /// A peer that judges by pid and steals.
    Thief,
    Peer,
}

impl World {
    /// The beginning: the state directory is there, and nobody has started.
    pub(super) fn new(scenario: &Scenario) -> Self {
        scenario.check();
        let mut kernel = Kernel::new();
        if scenario.leftover == Leftover::Foreign {
            kernel.create(Content::Foreign);
        }
        let ideal = std::iter::repeat_n(Part::ideal(scenario.older_rounds), usize::from(scenario.older));
        let tasks = usize::from(scenario.tasks);
        let (applications, sweepers) = (usize::from(scenario.processes), usize::from(scenario.sweepers));
        let application = Process::new(Role::Application, scenario.rounds);
        let mut processes = vec![application; if applications == 0 { 0 } else { applications + tasks - 1 }];
        processes.resize(processes.len() + sweepers, Process::new(Role::Sweeper, scenario.rounds));
        Self {
            kernel,
            processes,
            shared: vec![Shared::default(); applications + sweepers],
            tasks,
            peers: ideal.chain(scenario.parts.iter().copied()).map(Peer::new).collect(),
            readers: vec![None; usize::from(scenario.readers)],
            faults: Faults {
                claim_deletions: scenario.claim_deletions,
                arbiter_deletions: scenario.state_directory_deletions,
                spares_deletions: scenario.state_directory_deletions,
                crashes: scenario.crashes,
                cancellations: scenario.cancellations,
                refusals: scenario.refusals,
            },
        }
    }

    /// The memory that it takes beyond its own size, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.processes)
            + size_of_val(&*self.shared)
            + size_of_val(&*self.peers)
            + size_of_val(&*self.readers)
    }

    /// Makes a move and says which checked property that broke, if any.
    pub(super) fn act(&mut self, action: Move, scenario: &Scenario) -> Option<Property> {
        let broken = match action {
            Move::Operate(number) => self.operate_next(usize::from(number), scenario),
            Move::Heal(number) => {
                self.processes[usize::from(number)].begin_heal();
                self.operate_next(usize::from(number), scenario)
            }
            Move::Release(number) => {
                self.begin_release(usize::from(number), scenario);
                self.operate_next(usize::from(number), scenario)
            }
            Move::HandOn(number) => {
                self.processes[usize::from(number)].begin_hand_on();
                self.operate_next(usize::from(number), scenario)
            }
            Move::Resume(number) => {
                let pending = self.processes[usize::from(number)].pending.take();
                self.resume(usize::from(number), pending.expect("a resume follows an operation"))
            }
            Move::Wake(number) => self.end_wait(usize::from(number), Completion::Woken),
            Move::Elapse(number) => self.end_wait(usize::from(number), Completion::GraceElapsed),
            Move::Refuse(number) => {
                spend(&mut self.faults.refusals);
                self.processes[usize::from(number)].pending = Some(Completion::Unknown);
                self.learn(usize::from(number), scenario)
            }
            _ => {
                self.act_outside(action, scenario);
                None
            }
        };
        self.settle(scenario);
        let checked = |property: &Property| scenario.properties.contains(property);
        broken.into_iter().chain(broken_exclusions(self)).find(checked)
    }

    /// What nobody's machine asks for.
    fn act_outside(&mut self, action: Move, scenario: &Scenario) {
        match action {
            Move::Cancel(number) => self.cancel(usize::from(number), scenario),
            Move::Kill(number) => self.kill(usize::from(number), scenario),
            Move::Start(number) => self.start(usize::from(number), Succession::GoingOn),
            Move::StartAnew(number) => self.start(usize::from(number), Succession::Anew),
            Move::Peer(number) => self.step_peer(usize::from(number)),
            Move::KillPeer(number) => {
                spend(&mut self.faults.crashes);
                self.kill_peer(usize::from(number));
            }
            Move::Read(number) => {
                let reader = &mut self.readers[usize::from(number)];
                *reader = if reader.is_some() { None } else { self.kernel.path };
            }
            Move::DeleteClaim => {
                spend(&mut self.faults.claim_deletions);
                self.unlink(Account::Operator);
            }
            Move::DeleteArbiter => {
                spend(&mut self.faults.arbiter_deletions);
                self.kernel.arbiter_path = None;
            }
            Move::DeleteSpares => {
                spend(&mut self.faults.spares_deletions);
                self.kernel.kept = Slots::default();
            }
            Move::Sweep => self.kernel.kept = self.kernel.kept.minus(self.swept()),
            _ => unreachable!("{action:?} is a machine's"),
        }
    }

    /// The task of the same process that has handed something on which nobody has taken yet.
    pub(super) fn who_handed_on(&self, who: usize) -> Option<usize> {
        self.siblings(who).find(|task| matches!(self.processes[*task].task(), Task::HandedOn(_)))
    }

    fn start(&mut self, who: usize, how: Succession) {
        let home = self.home(who);
        if let Some(from) = self.who_handed_on(who) {
            let mut before = self.processes[from];
            self.processes[who].take_over(&mut before, how);
            self.processes[from] = before;
            return;
        }
        let kernel = &mut self.kernel;
        let arbiter = *self.shared[home].arbiter.get_or_insert_with(|| kernel.open_arbiter());
        self.processes[who].start(arbiter);
    }

    fn kill(&mut self, who: usize, scenario: &Scenario) {
        spend(&mut self.faults.crashes);
        for task in self.siblings(who) {
            if scenario.lacks(Ablation::DeathUnlocks) {
                self.processes[task].leave_range_locked();
            } else {
                self.processes[task].leave();
            }
        }
        let home = self.home(who);
        self.shared[home] = Shared::default();
    }

    /// A dropped acquire ends as a hold does if it has a claim of its own. Otherwise it closes what it has open, which
    /// is no spare any more because a path may name it, and unlocks the range.
    fn cancel(&mut self, who: usize, scenario: &Scenario) {
        if self.processes[who].role() == Role::Application {
            spend(&mut self.faults.cancellations);
        }
        if self.processes[who].acquires_with_claim() {
            return self.begin_release(who, scenario);
        }
        if let Some(claim) = self.processes[who].claim.filter(|claim| claim.spare != super::process::Spare::No) {
            self.kernel.kept.remove(claim.slot);
        }
        if self.processes[who].range == Range::Locked {
            self.unlock_range(who);
        }
        self.processes[who].leave();
    }

    fn begin_release(&mut self, who: usize, scenario: &Scenario) {
        self.processes[who].begin_release();
        if scenario.lacks(Ablation::UnlockLast) {
            self.unlock_range(who);
        }
    }

    /// Has the kernel do what the process asks, and keeps the answer for it.
    fn operate_next(&mut self, who: usize, scenario: &Scenario) -> Option<Property> {
        let operation = self.processes[who].operation().expect("only a process that asks for something gets it");
        if operation == Operation::AwaitGrace {
            self.processes[who].grace = Some(self.begin_grace(scenario));
            return None;
        }
        let robs = operation == Operation::UnlinkClaim && self.unlink_robs(who);
        let pretends = operation == Operation::UnlinkClaim && self.kernel.path.is_some() && !self.has_seen(who);
        let completion = self.operate(who, operation, scenario);
        self.processes[who].pending = Some(completion);
        let learnt = self.learn(who, scenario);
        let broken = [(robs, Property::ReleaseRemovesOwn), (pretends, Property::HolderKnows)];
        let broken = broken.into_iter().filter_map(|(broken, property)| broken.then_some(property)).chain(learnt);
        broken.into_iter().find(|property| scenario.properties.contains(property))
    }

    /// The process learns at once what the kernel answered, if the scenario says so.
    fn learn(&mut self, who: usize, scenario: &Scenario) -> Option<Property> {
        if scenario.learning == Learning::Later || !self.may_learn(who) {
            return None;
        }
        let completion = self.processes[who].pending.take()?;
        self.resume(who, completion)
    }

    /// Whether there is a result that it can learn of without anybody else's seeing a difference. See [`Learning`].
    pub(super) fn may_learn(&self, who: usize) -> bool {
        let mut after = self.processes[who];
        let Some(completion) = after.pending.take() else { return false };
        match after.resume(completion, self.turn(who)) {
            None | Some(Milestone::Healed(_)) => true,
            Some(Milestone::Released) => self.siblings(who).len() == 1 && after.is_busy(),
            Some(Milestone::Acquired { .. } | Milestone::HandedOn) => false,
        }
    }

    fn turn(&self, who: usize) -> Turn {
        if self.siblings(who).len() == 1 { Turn::Kept } else { Turn::PassedOn }
    }

    fn begin_grace(&self, scenario: &Scenario) -> Grace {
        if scenario.lacks(Ablation::Grace) {
            return Grace(0);
        }
        self.delays()
    }

    /// A wait has no effect in the kernel, so its end is learnt of at once.
    fn end_wait(&mut self, who: usize, completion: Completion) -> Option<Property> {
        self.processes[who].grace = None;
        self.resume(who, completion)
    }

    fn resume(&mut self, who: usize, completion: Completion) -> Option<Property> {
        let turn = self.turn(who);
        let process = &mut self.processes[who];
        let milestone = process.resume(completion, turn);
        if process.task() == Task::Ended {
            self.end(who);
        }
        match milestone? {
            Milestone::Acquired { token } => {
                let grown = self.kernel.hold_with(self.processes[who].arbiter, token);
                (grown == Grown::No).then_some(Property::TokensGrow)
            }
            Milestone::Healed(Healed::Intact) | Milestone::HandedOn => {
                (!self.has_seen(who)).then_some(Property::HolderKnows)
            }
            Milestone::Healed(_) | Milestone::Released => None,
        }
    }

    /// A process whose last task has ended closes its directory, and takes its spare's name along.
    fn end(&mut self, who: usize) {
        let home = self.home(who);
        if self.siblings(who).all(|task| self.processes[task].is_over())
            && let Some(spare) = std::mem::take(&mut self.shared[home]).spare
        {
            self.kernel.kept.remove(spare.slot);
        }
    }

    /// Takes the name from whatever file has it.
    pub(super) fn unlink(&mut self, account: Account) {
        let Some(victim) = self.kernel.path.take() else { return };
        let void = account != Account::Peer;
        for process in self.processes.iter_mut().filter(|process| process.own_slot() == Some(victim)) {
            process.void |= void;
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.own == Some(victim)) {
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
        if scenario.learning == Learning::AtOnce {
            self.forget_tokens(scenario);
        }
    }

    /// An arbiter whose tokens nobody has any more counts from the beginning: with any number of rounds there would be any
    /// number of states that differ in nothing else. For the same reason a token that was handed on is nobody's.
    fn forget_tokens(&mut self, scenario: &Scenario) {
        let has_token = |process: &Process, arbiter| process.token != 0 && process.arbiter == arbiter;
        for arbiter in self.kernel.arbiters() {
            let used = self.processes.iter().any(|process| has_token(process, arbiter));
            if !used && !scenario.lacks(Ablation::Token) {
                self.kernel.forget_tokens(arbiter);
            }
        }
    }

    /// Frees what nobody uses.
    pub(super) fn reap(&mut self, scenario: &Scenario) {
        let pins = if scenario.lacks(Ablation::Pin) { &[] } else { self.processes.as_slice() };
        let pins = pins.iter().filter_map(|process| process.pin);
        let files = self.files().map(|file| file.slot);
        let peers = self.peers.iter().filter_map(Peer::uses).chain(self.readers.iter().copied().flatten());
        let in_use = files.chain(pins).chain(peers).collect();
        self.kernel.reap(in_use);
    }
}
