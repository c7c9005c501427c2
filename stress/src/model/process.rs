//! A task of a process of this crate: its machines, what it has open, and what the model knows of its hold.
//!
//! Most processes have one task. What several tasks of one process have in common is [`Shared`].

use session_lock::protocol::{Acquire, Completion, Heal, Healed, Machine, Operation, Release, Step};

use super::kernel::{Arbiter, Slot};
use super::scenario::{Scenario, spend};

/// What the tasks of one process have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Shared {
    /// The arbiter that its directory has open. `None`: the process does not run.
    pub(super) arbiter: Option<Arbiter>,
    /// The spare, while it is idle. It outlives a round.
    pub(super) spare: Option<OpenClaim>,
}

/// One task and everything that it has open. A process of one task is its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    role: Role,
    task: Task,
    /// What the kernel has done and the machine does not know yet.
    pub(super) pending: Option<Completion>,
    /// The arbiter it has open.
    pub(super) arbiter: Arbiter,
    /// Whether it has locked its range there.
    pub(super) range: Range,
    /// The claim it has open for reading and writing.
    pub(super) claim: Option<OpenClaim>,
    /// The inode that its `O_PATH` descriptor keeps.
    pub(super) pin: Option<Slot>,
    /// The grace it waits for.
    pub(super) grace: Option<Grace>,
    /// The rounds that it has not begun.
    rounds_left: u8,
    /// The token of the hold.
    pub(super) token: u64,
    /// The holder has been told that its claim is somebody else's.
    lost: bool,
    /// See [`Property`](super::Property).
    pub(super) void: bool,
    /// See [`Property`](super::Property).
    pub(super) exposed: bool,
}

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Application,
    /// Acquires what it finds, releases it at once, and gives up where it would have to wait for somebody.
    Sweeper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Task {
    Acquire(Acquire),
    Hold,
    Heal(Heal),
    Release(Release),
    /// Its hold is over, and it begins the next one for another task of the process.
    HandOn(Acquire),
    /// What it had is for another task of the process.
    HandedOn(Acquire),
    Ended,
    /// Not begun yet, between two rounds without a turn, or killed.
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Range {
    Free,
    Locked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpenClaim {
    pub(super) slot: Slot,
    pub(super) locked: bool,
    /// The last look found it at the path, whatever the process was told.
    pub(super) seen_at_path: bool,
    /// It is published or taken over, and not only looked at: the model's own knowledge.
    pub(super) taken: bool,
    pub(super) spare: Spare,
}

/// Whether an open claim is the process's spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Spare {
    No,
    /// The last look found it at the path, or there was none yet.
    Intact,
    /// The last look did not: it is not kept.
    Touched,
}

/// The peers that had closed their claim and not unlinked it when the grace began, one bit each, and that have
/// not moved on since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grace(pub(super) u8);

/// From where an acquire goes on with what was handed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Succession {
    /// From where the holder before has left off.
    GoingOn,
    /// From the beginning: that was for another task, or long ago.
    Anew,
}

/// What a machine's end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Milestone {
    Acquired { token: u64 },
    Healed(Healed),
    Released,
    HandedOn,
}

/// What follows for a task from the end of its round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the only one of its process, and goes on.
    Kept,
    /// Any task of the process may be next.
    PassedOn,
}

impl Process {
    /// One that has not started yet.
    pub(super) fn new(role: Role, rounds: u8) -> Self {
        Self::idle(role, Task::Absent, Arbiter::default(), rounds)
    }

    fn idle(role: Role, task: Task, arbiter: Arbiter, rounds_left: u8) -> Self {
        Self {
            role,
            task,
            pending: None,
            arbiter,
            range: Range::Free,
            claim: None,
            pin: None,
            grace: None,
            rounds_left,
            token: 0,
            lost: false,
            void: false,
            exposed: false,
        }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn task(&self) -> Task {
        self.task
    }

    /// From the acquire's return to the first step of the release.
    pub(super) fn is_holding(&self) -> bool {
        matches!(self.task, Task::Hold | Task::Heal(_))
    }

    /// It has no round left to begin, and is in none.
    pub(super) fn is_over(&self) -> bool {
        match self.task {
            Task::Ended => true,
            Task::Absent => self.rounds_left == 0,
            _ => false,
        }
    }

    /// It is in no round, and need not begin one. Where rounds are unbounded, one that has only begun to wait for the
    /// arbiter is in none; a sweeper that has something left to do may find nothing to sweep.
    pub(super) fn is_idle(&self) -> bool {
        let unbounded = self.rounds_left == Scenario::UNBOUNDED;
        let absent = self.task == Task::Absent && (unbounded || self.role == Role::Sweeper);
        self.is_over() || absent || unbounded && self.is_fresh()
    }

    /// It has begun a round and has done nothing yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.task == Task::Acquire(Acquire::new()) && self.pending.is_none()
    }

    /// It runs a round, and so has the turn.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.task, Task::Ended | Task::Absent)
    }

    /// Whether it still has a reason to look after its claim.
    pub(super) fn may_heal(&self) -> bool {
        self.task == Task::Hold && !self.lost
    }

    /// What its machine asks of the kernel now.
    pub(super) fn operation(&self) -> Option<Operation> {
        fn asked<T>(step: &Step<T>) -> Option<Operation> {
            match step {
                Step::Do(operation) => Some(*operation),
                Step::Done(_) => None,
            }
        }
        if self.pending.is_some() {
            return None;
        }
        match &self.task {
            Task::Acquire(machine) | Task::HandOn(machine) => asked(&machine.poll()),
            Task::Heal(machine) => asked(&machine.poll()),
            Task::Release(machine) => asked(&machine.poll()),
            Task::Hold | Task::HandedOn(_) | Task::Ended | Task::Absent => None,
        }
    }

    /// The claim it has open.
    pub(super) fn open_slot(&self) -> Option<Slot> {
        self.claim.map(|claim| claim.slot)
    }

    pub(super) fn begin_heal(&mut self) {
        self.task = Task::Heal(Heal::new(self.token));
    }

    /// The claim that it has taken.
    pub(super) fn own_slot(&self) -> Option<Slot> {
        self.claim.filter(|claim| claim.taken).map(|claim| claim.slot)
    }

    /// What it has seen of its claim's path counts no longer: it has to look again.
    pub(super) fn forget_look(&mut self) {
        if let Some(claim) = &mut self.claim {
            claim.seen_at_path = false;
        }
    }

    pub(super) fn begin_release(&mut self) {
        self.task = Task::Release(Release::new());
        self.forget_look();
    }

    pub(super) fn begin_hand_on(&mut self) {
        self.task = Task::HandOn(Acquire::handed_on());
        self.forget_look();
    }

    /// Whether it is on the way to a hold, its own or another task's.
    pub(super) fn acquires(&self) -> bool {
        matches!(self.task, Task::Acquire(_) | Task::HandOn(_))
    }

    /// An acquire that has a claim of its own, which a look may find at the path.
    pub(super) fn acquires_with_claim(&self) -> bool {
        matches!(&self.task, Task::Acquire(machine) | Task::HandOn(machine) if machine.has_claim())
    }

    /// Begins a round with what another task of the process has handed on: where that has left off, or as if it had done
    /// nothing.
    pub(super) fn take_over(&mut self, from: &mut Self, how: Succession) {
        let Task::HandedOn(machine) = from.task else { unreachable!("{:?} hands nothing on", from.task) };
        self.start(from.arbiter);
        self.task = Task::Acquire(if how == Succession::Anew { Acquire::handed_on() } else { machine });
        self.range = std::mem::replace(&mut from.range, Range::Free);
        self.claim = from.claim.take();
        (self.void, self.exposed) = (from.void, from.exposed);
        self.forget_look();
        from.finish_round(Turn::PassedOn);
    }

    /// Its claim is what the path names, from here on.
    pub(super) fn take_claim(&mut self) {
        self.claim.as_mut().expect("whoever takes a claim has it open").taken = true;
        self.void = false;
        if !matches!(self.task, Task::Heal(_)) {
            self.exposed = false;
        }
    }

    /// Tells the machine how its operation ended, and what follows if that was its last one.
    pub(super) fn resume(&mut self, completion: Completion, turn: Turn) -> Option<Milestone> {
        fn end<M: Machine>(machine: &mut M, completion: Completion) -> Option<M::Output> {
            machine.resume(completion);
            match machine.poll() {
                Step::Do(_) => None,
                Step::Done(output) => Some(output),
            }
        }
        use session_lock::protocol::Acquired::{Fresh, Reclaimed};
        match &mut self.task {
            Task::Acquire(machine) => {
                let (Fresh { token } | Reclaimed { token, .. }) = end(machine, completion)?;
                self.pin = None;
                self.token = token;
                self.task = Task::Hold;
                Some(Milestone::Acquired { token })
            }
            Task::Heal(machine) => {
                let healed = end(machine, completion)?;
                self.lost = matches!(healed, Healed::Lost(_));
                self.task = Task::Hold;
                Some(Milestone::Healed(healed))
            }
            Task::Release(machine) => {
                end(machine, completion)?;
                self.finish_round(turn);
                Some(Milestone::Released)
            }
            Task::HandOn(machine) => {
                machine.resume(completion);
                match *machine {
                    machine if machine.is_renewing() => None,
                    machine if machine.has_claim() => {
                        self.task = Task::HandedOn(machine);
                        Some(Milestone::HandedOn)
                    }
                    _ => {
                        self.begin_release();
                        None
                    }
                }
            }
            task => unreachable!("{task:?} waits for no completion"),
        }
    }

    fn finish_round(&mut self, turn: Turn) {
        assert!(self.claim.is_none() && self.range == Range::Free, "a release gives everything back");
        if self.rounds_left == 0 {
            *self = Self::idle(self.role, Task::Ended, self.arbiter, 0);
        } else if turn == Turn::Kept && self.role == Role::Application {
            self.start(self.arbiter);
        } else {
            self.leave();
        }
    }

    /// The round is over: by SIGKILL, or because it was given up. Everything is closed.
    pub(super) fn leave(&mut self) {
        *self = Self::idle(self.role, Task::Absent, Arbiter::default(), self.rounds_left);
    }

    /// As [`leave`](Self::leave), on a kernel that forgets to unlock the range. It does not start again.
    pub(super) fn leave_range_locked(&mut self) {
        let (arbiter, range) = (self.arbiter, self.range);
        *self = Self { range, ..Self::idle(self.role, Task::Absent, arbiter, 0) };
    }

    /// Begins the next round, with this arbiter open.
    pub(super) fn start(&mut self, arbiter: Arbiter) {
        let mut rounds_left = self.rounds_left;
        spend(&mut rounds_left);
        *self = Self::idle(self.role, Task::Acquire(Acquire::new()), arbiter, rounds_left);
    }
}
