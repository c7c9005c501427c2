//! Random legal scripts.
//!
//! Many acts are what a process's machine asks for next, so that a script gets far enough for claims that are taken over; the
//! rest are any legal ones.

use session_lock::Spares;
use session_lock::protocol::{Acquire, Completion, Heal, Machine, Operation, Release, Step};

use super::{Act, Answer, Cast, Deed, Deletion, OlderDeed, Script, Simulated};

/// What a process would do, if it were left to its machine.
#[derive(Clone, Copy)]
enum Guide {
    Acquire(Acquire),
    Heal(Heal),
    Release(Release),
    HandOn,
}

const LENGTH: std::ops::Range<usize> = 12..48;

/// A script. The same numbers give the same one.
pub fn random(rng: &mut fastrand::Rng) -> Script {
    let cast = Cast {
        processes: rng.u8(2..=Cast::MAX_PROCESSES),
        older: rng.u8(1..=Cast::MAX_OLDER),
        spares: if rng.bool() { Spares::AtOnce } else { Spares::Never },
    };
    let mut simulated = Simulated::new(cast, None);
    let mut guides = vec![Guide::Acquire(Acquire::new()); usize::from(cast.processes)];
    let all: Vec<Act> = Act::all(cast).collect();
    let length = rng.usize(LENGTH);
    let mut acts = Vec::with_capacity(length);
    while acts.len() < length {
        let legal = simulated.legal(all.iter().copied());
        let next = guided(rng, &guides).filter(|act| is_followed(rng, *act) && legal.contains(act));
        let act = next.unwrap_or_else(|| weighted(rng, &legal));
        let answer = simulated.act(act);
        if let Act::Process(who, deed) = act {
            let guide = &mut guides[usize::from(who)];
            *guide = guide.after(deed, &answer, rng);
        }
        acts.push(act);
    }
    Script { cast, acts }
}

/// What some process's machine asks for.
fn guided(rng: &mut fastrand::Rng, guides: &[Guide]) -> Option<Act> {
    let who = rng.usize(..guides.len());
    Some(Act::Process(u8::try_from(who).ok()?, guides[who].deed()))
}

/// Who waits for the arbiter asks for nothing else, and would leave the others little to do.
fn is_followed(rng: &mut fastrand::Rng, act: Act) -> bool {
    let waits = matches!(act, Act::Process(_, Deed::Operate(Operation::LockArbiter)));
    rng.u8(..8) < if waits { 2 } else { 5 }
}

/// Ends are rare, so that there is something to end; so is the deletion of what takes a disk its time to make again.
fn weighted(rng: &mut fastrand::Rng, legal: &[Act]) -> Act {
    let weight = |act: &Act| match act {
        Act::Process(_, Deed::Start) => 48,
        Act::Process(_, Deed::Operate(_) | Deed::Hold | Deed::HandOn) => 8,
        Act::Process(_, Deed::Kill | Deed::End | Deed::Sweep) | Act::Delete(Deletion::Claim) => 3,
        Act::Older(_, OlderDeed::Create) => 6,
        Act::Older(_, OlderDeed::Write | OlderDeed::Close | OlderDeed::Unlink) => 24,
        Act::Older(_, OlderDeed::Kill) | Act::Reader(_) | Act::Delete(Deletion::Spares) => 2,
        Act::Delete(Deletion::Arbiter | Deletion::State) => 1,
    };
    let mut left = rng.u32(..legal.iter().map(weight).sum::<u32>());
    for act in legal {
        match left.checked_sub(weight(act)) {
            Some(rest) => left = rest,
            None => return *act,
        }
    }
    unreachable!("the number is below the sum of the weights")
}

impl Guide {
    fn deed(self) -> Deed {
        fn next<T>(step: &Step<T>, end: Deed) -> Deed {
            match step {
                Step::Do(operation) => Deed::Operate(*operation),
                Step::Done(_) => end,
            }
        }
        let deed = match self {
            Self::Acquire(machine) => next(&machine.poll(), Deed::Hold),
            Self::Heal(machine) => next(&machine.poll(), Deed::Hold),
            Self::Release(machine) => next(&machine.poll(), Deed::End),
            Self::HandOn => Deed::HandOn,
        };
        Deed::all().find(|other| other.name() == deed.name()).unwrap_or(deed)
    }

    fn end(rng: &mut fastrand::Rng) -> Self {
        if rng.bool() { Self::Release(Release::new()) } else { Self::HandOn }
    }

    /// Begins anew where the process does, and learns what its machine asked for.
    fn after(self, deed: Deed, answer: &Answer, rng: &mut fastrand::Rng) -> Self {
        match (deed, answer) {
            (Deed::Start, _) => Self::Acquire(Acquire::new()),
            (Deed::Hold, _) if rng.bool() => Self::Heal(Heal::new(1)),
            (Deed::Hold, _) => Self::end(rng),
            (Deed::HandOn, _) => Self::Acquire(Acquire::handed_on()),
            (Deed::Operate(Operation::LockArbiter), Answer::Completed(Completion::Busy)) => self,
            (Deed::Operate(_), Answer::Completed(completion)) if self.deed() == deed => self.resumed(*completion, rng),
            _ => self,
        }
    }

    /// Waits end at once, and a machine that has ended is followed by the next one.
    fn resumed(mut self, completion: Completion, rng: &mut fastrand::Rng) -> Self {
        match &mut self {
            Self::Acquire(machine) => {
                machine.resume(completion);
                while let Step::Do(wait @ (Operation::AwaitClaim(_) | Operation::AwaitGrace)) = machine.poll() {
                    let is_grace = wait == Operation::AwaitGrace;
                    machine.resume(if is_grace { Completion::GraceElapsed } else { Completion::Woken });
                }
            }
            Self::Heal(machine) => {
                machine.resume(completion);
                if matches!(machine.poll(), Step::Done(_)) {
                    return Self::end(rng);
                }
            }
            Self::Release(machine) => {
                machine.resume(completion);
                if matches!(machine.poll(), Step::Done(_)) {
                    return Self::Acquire(Acquire::new());
                }
            }
            Self::HandOn => {}
        }
        self
    }
}
