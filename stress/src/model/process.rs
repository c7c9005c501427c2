//! A process of this crate: its machines, what it has open, and what the model knows of its hold.

use session_lock::protocol::{Acquire, Completion, Heal, Healed, Machine, Operation, Release, Step};

use super::kernel::{Arbiter, Slot};

/// One process and everything that its death would close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    task: Task,
    /// What the kernel has done and the machine does not know yet.
    pub(super) pending: Option<Completion>,
    /// The arbiter it has open.
    pub(super) arbiter: Arbiter,
    /// Whether it has locked its range there.
    pub(super) range: Range,
    /// The claim it has open for reading and writing.
    pub(super) claim: Option<OpenClaim>,
    /// The spare, while it is idle. It outlives a round.
    pub(super) spare: Option<OpenClaim>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Task {
    Acquire(Acquire),
    Hold,
    Heal(Heal),
    Release(Release),
    Ended,
    /// Not started yet, or killed.
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
    pub(super) spare: Spare,
}

/// Whether an open claim is the process's spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Spare {
    No,
    /// The last look found it as it was made.
    Intact,
    /// The last look did not: it is not kept.
    Touched,
}

/// The older peers that had closed their claim and not unlinked it when the grace began, one bit each, and that have
/// not moved on since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grace(pub(super) u8);

/// What a machine's end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Milestone {
    Acquired { token: u64 },
    Healed(Healed),
    Released,
}

impl Process {
    /// One that has not started yet.
    pub(super) fn new(rounds: u8) -> Self {
        Self::idle(Task::Absent, Arbiter::default(), rounds)
    }

    fn idle(task: Task, arbiter: Arbiter, rounds_left: u8) -> Self {
        Self {
            task,
            pending: None,
            arbiter,
            range: Range::Free,
            claim: None,
            spare: None,
            pin: None,
            grace: None,
            rounds_left,
            token: 0,
            lost: false,
            void: false,
            exposed: false,
        }
    }

    pub(super) fn task(&self) -> Task {
        self.task
    }

    /// From the acquire's return to the first step of the release.
    pub(super) fn is_holding(&self) -> bool {
        matches!(self.task, Task::Hold | Task::Heal(_))
    }

    /// It has nothing left to do, or cannot do it.
    pub(super) fn is_final(&self) -> bool {
        match self.task {
            Task::Ended => true,
            Task::Absent => self.rounds_left == 0,
            _ => false,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
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
            Task::Acquire(machine) => asked(&machine.poll()),
            Task::Heal(machine) => asked(&machine.poll()),
            Task::Release(machine) => asked(&machine.poll()),
            Task::Hold | Task::Ended | Task::Absent => None,
        }
    }

    /// The files that it has open for writing.
    pub(super) fn files(&self) -> impl Iterator<Item = OpenClaim> {
        self.claim.into_iter().chain(self.spare)
    }

    /// The claim it has open.
    pub(super) fn open_slot(&self) -> Option<Slot> {
        self.claim.map(|claim| claim.slot)
    }

    pub(super) fn begin_heal(&mut self) {
        self.task = Task::Heal(Heal::new(self.token));
    }

    pub(super) fn begin_release(&mut self) {
        self.task = Task::Release(Release::new());
    }

    /// Its claim is what the path names, from here on.
    pub(super) fn take_claim(&mut self) {
        self.void = false;
        if !matches!(self.task, Task::Heal(_)) {
            self.exposed = false;
        }
    }

    /// Tells the machine how its operation ended, and what follows if that was its last one.
    pub(super) fn resume(&mut self, completion: Completion) -> Option<Milestone> {
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
                self.finish_round();
                Some(Milestone::Released)
            }
            task => unreachable!("{task:?} waits for no completion"),
        }
    }

    fn finish_round(&mut self) {
        debug_assert!(self.claim.is_none() && self.range == Range::Free, "a release gives everything back");
        if self.rounds_left > 0 {
            self.start(self.arbiter);
        } else {
            *self = Self { spare: self.spare, ..Self::idle(Task::Ended, self.arbiter, 0) };
        }
    }

    /// SIGKILL: the kernel closes everything.
    pub(super) fn kill(&mut self) {
        *self = Self::idle(Task::Absent, Arbiter::default(), self.rounds_left);
    }

    /// Begins the next round, with this arbiter open.
    pub(super) fn start(&mut self, arbiter: Arbiter) {
        let acquire = Task::Acquire(Acquire::new());
        *self = Self { spare: self.spare, ..Self::idle(acquire, arbiter, self.rounds_left - 1) };
    }
}
