//! A script on the simulated kernel.

use session_lock::Spares;
use session_lock::protocol::{Completion, Inode, Operation};

use super::{Act, Answer, Cast, Deed, Deletion, Found, OlderDeed, ReaderDeed, View};
use crate::model::ablation::Ablation;
use crate::model::kernel::{Content, Slot, Slots};
use crate::model::peer::Call;
use crate::model::process::{OpenClaim, Process, Range, Shared, Spare, Task};
use crate::model::scenario::{Leftover, Scenario};
use crate::model::world::{Move, World};

/// The simulated side of a script.
#[derive(Debug)]
pub struct Simulated {
    scenario: Scenario,
    world: World,
    /// A reader has a file open.
    reads: bool,
    /// The files whose numbers the last act may have given to others.
    reborn: Slots,
}

impl Simulated {
    /// The beginning: there is an arbiter and nothing else. With an ablation the kernel lies.
    ///
    /// # Panics
    ///
    /// If the cast is larger than it may be.
    #[must_use]
    pub fn new(cast: Cast, ablation: Option<Ablation>) -> Self {
        assert!(cast.processes <= Cast::MAX_PROCESSES && cast.older <= Cast::MAX_OLDER, "the cast has its bounds");
        let scenario = Scenario {
            name: "script",
            processes: cast.processes,
            rounds: Scenario::UNBOUNDED,
            older: cast.older,
            older_rounds: Scenario::UNBOUNDED,
            spares: cast.spares == Spares::AtOnce,
            leftover: Leftover::None,
            claim_deletions: Scenario::UNBOUNDED,
            state_directory_deletions: Scenario::MAX_ARBITERS - 1,
            crashes: Scenario::MAX_CRASHES,
            ablation,
            ..Scenario::minimal()
        };
        Self { scenario, world: World::new(&scenario), reads: false, reborn: Slots::default() }
    }

    /// What is legal now.
    #[must_use]
    pub fn legal(&self, acts: impl IntoIterator<Item = Act>) -> Vec<Act> {
        let mut moves = Vec::new();
        self.world.moves(&self.scenario, &mut moves);
        acts.into_iter().filter(|act| self.is_legal(*act, &moves)).collect()
    }

    fn is_legal(&self, act: Act, moves: &[Move]) -> bool {
        match act {
            Act::Process(who, deed) => {
                let Some(process) = self.world.processes.get(usize::from(who)) else { return false };
                match deed {
                    Deed::Start => moves.contains(&Move::Start(who)),
                    Deed::Kill => moves.contains(&Move::Kill(who)),
                    _ if !process.is_busy() => false,
                    Deed::Sweep => true,
                    Deed::End => !holds(process) && process.claim.is_none() && process.range == Range::Free,
                    Deed::Hold => {
                        !holds(process)
                            && process.range == Range::Locked
                            && process.claim.is_some_and(|claim| claim.locked)
                    }
                    Deed::HandOn => {
                        holds(process)
                            && process.range == Range::Locked
                            && process.claim.is_some_and(|claim| claim.locked)
                    }
                    Deed::Operate(operation) => self.has_its_preconditions(process, operation),
                }
            }
            Act::Older(who, deed) => self.is_legal_for_older(who, deed, moves),
            Act::Reader(ReaderDeed::Read) => true,
            Act::Reader(ReaderDeed::Close) => self.reads,
            Act::Delete(Deletion::Claim) => moves.contains(&Move::DeleteClaim),
            Act::Delete(Deletion::Arbiter | Deletion::State) => moves.contains(&Move::DeleteArbiter),
            Act::Delete(Deletion::Spares) => moves.contains(&Move::DeleteSpares),
        }
    }

    fn is_legal_for_older(&self, who: u8, deed: OlderDeed, moves: &[Move]) -> bool {
        let Some(peer) = self.world.peers.get(usize::from(who)) else { return false };
        match deed {
            OlderDeed::Create => peer.next_call() == Call::CreateWhenFree,
            OlderDeed::Write => {
                let is_empty = |slot| self.world.kernel.content(slot) == Content::Empty;
                peer.next_call() == Call::Write && peer.uses().is_some_and(is_empty)
            }
            OlderDeed::Close => peer.next_call() == Call::Close,
            OlderDeed::Unlink => peer.next_call() == Call::Unlink,
            OlderDeed::Kill => moves.contains(&Move::KillPeer(who)),
        }
    }

    fn has_its_preconditions(&self, process: &Process, operation: Operation) -> bool {
        let (claim, holds) = (process.claim, holds(process));
        match operation {
            Operation::LockArbiter => !holds && process.range == Range::Free,
            Operation::UnlockArbiter => holds && process.range == Range::Locked,
            Operation::TakeToken | Operation::CheckArbiter | Operation::ReopenArbiter => !holds,
            Operation::OpenClaim => !holds && claim.is_none(),
            Operation::ProbeWriters => !holds && claim.is_none() && process.pin.is_some(),
            Operation::LockClaim | Operation::ReadClaim | Operation::PinClaim => !holds && claim.is_some(),
            Operation::WriteClaim { .. } => !holds && claim.is_some_and(|claim| claim.locked),
            Operation::PublishClaim { .. } => holds == claim.is_some(),
            Operation::CheckClaim => claim.is_some(),
            Operation::CloseClaim => {
                claim.is_some_and(|claim| claim.spare == Spare::No || self.world.kernel.path != Some(claim.slot))
            }
            Operation::UnlinkClaim => true,
            Operation::AwaitClaim(_) | Operation::AwaitGrace => false,
        }
    }

    /// Does a legal act.
    ///
    /// # Panics
    ///
    /// If it is not legal.
    pub fn act(&mut self, act: Act) -> Answer {
        self.reborn = Slots::default();
        match act {
            Act::Process(who, deed) => self.process(who, deed),
            Act::Older(who, deed) => self.older(who, deed),
            Act::Reader(deed) => self.reader(deed),
            Act::Delete(deletion) => {
                if deletion == Deletion::State && !self.world.kernel.kept.is_empty() {
                    self.move_on(Move::DeleteSpares);
                }
                self.move_on(match deletion {
                    Deletion::Claim => Move::DeleteClaim,
                    Deletion::Arbiter | Deletion::State => Move::DeleteArbiter,
                    Deletion::Spares => Move::DeleteSpares,
                })
            }
        }
    }

    /// What can be seen from outside.
    #[must_use]
    pub fn view(&self) -> View {
        let kernel = &self.world.kernel;
        View {
            claim: kernel.path.map(Slot::inode),
            spares: kernel.kept.iter().map(Slot::inode).collect(),
            arbiter: kernel.arbiter_path.is_some(),
        }
    }

    /// Whether a file that was there before the last act is still the same.
    #[must_use]
    pub fn is_the_same(&self, inode: Inode) -> bool {
        self.files().minus(self.reborn).iter().any(|slot| slot.inode() == inode)
    }

    /// A move of the search. That it may break a property is the script's affair.
    fn move_on(&mut self, action: Move) -> Answer {
        self.world.act(action, &self.scenario);
        Answer::Completed(Completion::Done)
    }

    fn process(&mut self, who: u8, deed: Deed) -> Answer {
        let process = &mut self.world.processes[usize::from(who)];
        match deed {
            Deed::Start => return self.move_on(Move::Start(who)),
            Deed::Kill => return self.move_on(Move::Kill(who)),
            Deed::Sweep => return Answer::Swept(self.sweep()),
            Deed::Operate(operation) => return Answer::Completed(self.operate(who, operation)),
            Deed::Hold => {
                process.pin = None;
                process.begin_release();
            }
            Deed::HandOn => process.begin_hand_on(),
            Deed::End => {
                process.leave();
                if let Some(spare) = std::mem::take(&mut self.world.shared[usize::from(who)]).spare {
                    self.world.kernel.kept.remove(spare.slot);
                }
                self.world.reap(&self.scenario);
            }
        }
        Answer::Completed(Completion::Done)
    }

    fn operate(&mut self, number: u8, operation: Operation) -> Completion {
        let who = usize::from(number);
        let process = self.world.processes[who];
        match operation {
            Operation::LockArbiter
                if self.world.range_is_locked(number, process.arbiter)
                    && !self.scenario.lacks(Ablation::ArbiterLock) =>
            {
                return Completion::Busy;
            }
            Operation::PublishClaim { .. } => self.prepare_spare(who),
            _ => {}
        }
        let completion = self.world.operate(who, operation, &self.scenario);
        let process = &mut self.world.processes[who];
        if holds(process) && process.claim.is_none() && process.range == Range::Free {
            process.start(process.arbiter);
        }
        self.world.reap(&self.scenario);
        completion
    }

    /// Who makes a spare sweeps first. One's own that has lost its name is closed for it. The numbers of both can be
    /// the next file's.
    fn prepare_spare(&mut self, who: usize) {
        let (process, Shared { spare, .. }) = (self.world.processes[who], self.world.shared[who]);
        let before = self.files();
        let is_kept = |spare: &OpenClaim| self.world.kernel.kept.contains(spare.slot);
        let in_use = process.claim.is_some_and(|claim| claim.spare != Spare::No);
        let is_made = self.scenario.spares && !in_use && self.world.kernel.path.is_none();
        if is_made && !spare.as_ref().is_some_and(is_kept) {
            self.sweep();
        }
        self.reborn = before.minus(self.files());
        if let Some(spare) = spare.filter(|spare| !self.world.kernel.kept.contains(spare.slot)) {
            self.reborn.insert(spare.slot);
        }
    }

    fn sweep(&mut self) -> usize {
        let locked = self.world.files().filter(|file| file.locked).map(|file| file.slot);
        let spared: Slots = locked.chain(self.world.kernel.path).collect();
        let swept = self.world.kernel.kept.minus(spared);
        self.world.kernel.kept = self.world.kernel.kept.minus(swept);
        self.world.reap(&self.scenario);
        swept.iter().count()
    }

    /// The files that there are, with a name or without one.
    fn files(&self) -> Slots {
        self.world.kernel.files().map(|file| file.slot).collect()
    }

    fn older(&mut self, who: u8, deed: OlderDeed) -> Answer {
        let named = self.world.kernel.path.is_some();
        match deed {
            OlderDeed::Create if named => Answer::Completed(Completion::Exists),
            OlderDeed::Kill => self.move_on(Move::KillPeer(who)),
            OlderDeed::Unlink => {
                self.move_on(Move::Peer(who));
                Answer::Completed(if named { Completion::Done } else { Completion::Gone })
            }
            OlderDeed::Create | OlderDeed::Write | OlderDeed::Close => self.move_on(Move::Peer(who)),
        }
    }

    fn reader(&mut self, deed: ReaderDeed) -> Answer {
        self.reads = false;
        match (deed, self.world.kernel.path) {
            (ReaderDeed::Close, _) => Answer::Completed(Completion::Done),
            (ReaderDeed::Read, None) => Answer::Completed(Completion::Gone),
            (ReaderDeed::Read, Some(slot)) => {
                self.reads = true;
                Answer::Found(match self.world.kernel.content(slot) {
                    Content::Empty => Found::Empty,
                    Content::Foreign | Content::Named(_) => Found::Foreign,
                    Content::BackedBy(_) => Found::Ours,
                    Content::Free => unreachable!("a file that has a name is there"),
                })
            }
        }
    }
}

fn holds(process: &Process) -> bool {
    matches!(process.task(), Task::Release(_))
}
