//! What can happen next in a state.

use session_lock::protocol::Operation;

use super::ablation::Ablation;
use super::kernel::{Arbiter, Slots};
use super::peer::Peer;
use super::process::{Grace, Process, Range, Role, Task};
use super::scenario::Scenario;
use super::world::{Move, World};

impl World {
    /// Everybody has done everything, or is between two rounds; except for older peers that wait for the name: they never
    /// steal, so a dead owner's claim stops them until a process of this crate comes along.
    pub(super) fn is_final(&self) -> bool {
        let idle = |(number, process): (u8, &Process)| {
            process.is_idle() && !(process.is_fresh() && self.range_is_locked(number, process.arbiter))
        };
        (0..).zip(&self.processes).all(idle) && self.peers.iter().all(Peer::is_at_rest)
    }

    /// Whether a move is no fault: whoever has to finish cannot count on a fault.
    pub(super) fn is_benign(&self, action: Move) -> bool {
        match action {
            Move::Cancel(number) => self.processes[usize::from(number)].role() == Role::Sweeper,
            Move::Kill(_)
            | Move::KillPeer(_)
            | Move::Refuse(_)
            | Move::DeleteClaim
            | Move::DeleteArbiter
            | Move::DeleteSpares => false,
            _ => true,
        }
    }

    /// Everything that can happen next.
    pub(super) fn moves(&self, scenario: &Scenario, moves: &mut Vec<Move>) {
        moves.clear();
        for (number, process) in (0..).zip(&self.processes) {
            self.task_moves(number, process, scenario, moves);
            let who = usize::from(number);
            let home = self.home(who);
            if self.siblings(who).start == who && self.shared[home].arbiter.is_some() && self.faults.crashes > 0 {
                moves.push(Move::Kill(number));
            }
        }
        for (number, who) in (0..).zip(0..self.peers.len()) {
            if self.may_step(who) {
                moves.push(Move::Peer(number));
            }
            if self.may_be_killed(who) && self.faults.crashes > 0 {
                moves.push(Move::KillPeer(number));
            }
        }
        for (number, reader) in (0..).zip(&self.readers) {
            if reader.is_some() || self.kernel.path.is_some() {
                moves.push(Move::Read(number));
            }
        }
        self.faults_of_others(moves);
    }

    fn faults_of_others(&self, moves: &mut Vec<Move>) {
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

    fn task_moves(&self, number: u8, process: &Process, scenario: &Scenario, moves: &mut Vec<Move>) {
        if process.pending.is_some() {
            moves.push(Move::Resume(number));
            return;
        }
        let Some(operation) = process.operation() else {
            self.moves_without_operation(number, process, scenario, moves);
            return;
        };
        if matches!(operation, Operation::OpenClaim | Operation::ProbeWriters) && self.faults.refusals > 0 {
            moves.push(Move::Refuse(number));
        }
        let gives_up = process.role() == Role::Sweeper;
        let waits = match operation {
            Operation::LockArbiter
                if !scenario.lacks(Ablation::ArbiterLock) && self.range_is_locked(number, process.arbiter) =>
            {
                true
            }
            Operation::AwaitClaim(_) => {
                if !gives_up {
                    moves.push(Move::Wake(number));
                }
                true
            }
            Operation::AwaitGrace => {
                match process.grace {
                    None => moves.push(Move::Operate(number)),
                    Some(Grace(0)) => moves.extend([Move::Wake(number), Move::Elapse(number)]),
                    Some(_) => moves.push(Move::Wake(number)),
                }
                false
            }
            _ => {
                moves.push(Move::Operate(number));
                false
            }
        };
        let may_fail = self.faults.cancellations > 0 && process.acquires() && !process.is_fresh();
        if may_fail || waits && gives_up {
            moves.push(Move::Cancel(number));
        }
    }

    fn moves_without_operation(&self, number: u8, process: &Process, scenario: &Scenario, moves: &mut Vec<Move>) {
        match process.task() {
            Task::Hold => {
                moves.push(Move::Release(number));
                if self.is_waited_for(usize::from(number)) {
                    moves.push(Move::HandOn(number));
                }
                if process.may_heal() && !scenario.lacks(Ablation::Heal) {
                    moves.push(Move::Heal(number));
                }
            }
            Task::HandedOn(_) => moves.push(Move::Release(number)),
            Task::Absent if !process.is_over() && self.may_start(usize::from(number), scenario) => {
                moves.push(Move::Start(number));
                if self.who_handed_on(usize::from(number)).is_some() {
                    moves.push(Move::StartAnew(number));
                }
            }
            _ => {}
        }
    }

    /// Whether another task of its process may want the turn.
    fn is_waited_for(&self, who: usize) -> bool {
        let waits = |task: usize| task != who && !self.processes[task].is_over() && !self.processes[task].is_busy();
        self.siblings(who).any(waits)
    }

    /// It has the turn, and a sweeper has something to sweep.
    fn may_start(&self, who: usize, scenario: &Scenario) -> bool {
        let has_turn = |task: &Process| match task.task() {
            Task::HandedOn(_) => false,
            Task::Release(_) => task.is_busy() && !scenario.lacks(Ablation::TurnLast),
            _ => task.is_busy(),
        };
        let taken = self.processes[self.siblings(who)].iter().any(has_turn) && !scenario.lacks(Ablation::Turn);
        !taken && (self.processes[who].role() == Role::Application || self.kernel.path.is_some())
    }

    /// The spares that nobody has locked. Also one that is the claim: between the sweeper's look at its links and its
    /// lock, its owner can have named it and died.
    pub(super) fn swept(&self) -> Slots {
        self.kernel.kept.minus(self.files().filter(|file| file.locked).map(|file| file.slot).collect())
    }

    /// Whether another process has the range: a description does not exclude itself.
    pub(super) fn range_is_locked(&self, number: u8, arbiter: Arbiter) -> bool {
        let own = self.siblings(usize::from(number));
        let others = (0..).zip(&self.processes).filter(|(who, _)| !own.contains(who));
        others.into_iter().any(|(_, process)| process.arbiter == arbiter && process.range == Range::Locked)
    }
}
