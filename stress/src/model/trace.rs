//! A counterexample as text: one system call a line, with what it gave back.

use std::fmt;

use session_lock::protocol::{Completion, Operation, Standing};

use super::kernel::Slot;
use super::peer;
use super::process::{Process, Range, Role, Task};
use super::property::Property;
use super::scenario::{Learning, Scenario};
use super::world::{Move, World};

/// The shortest way to break a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What it breaks.
    pub property: Property,
    /// Who does what, in order.
    pub lines: Vec<Line>,
    /// Who holds at the end.
    pub holders: Vec<String>,
    /// How many moves it takes; a system call and its caller's learning of the result are two.
    pub moves: usize,
    /// These.
    pub(super) played: Vec<Move>,
}

/// One line of a counterexample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// A process of this crate (`A`, `B`), an older peer (`older 1`), one in this crate's place (`peer 1`), or somebody
    /// from outside.
    pub actor: String,
    /// What it does and what comes of it.
    pub what: String,
}

impl Counterexample {
    /// Plays these moves from the beginning and writes down what happens. Every result is learnt in a move of its own,
    /// whatever the scenario says.
    pub(super) fn play(scenario: &Scenario, property: Property, moves: &[Move]) -> Self {
        let later = Scenario { learning: Learning::Later, ..*scenario };
        let mut world = World::new(&later);
        let mut lines = Vec::new();
        let mut played = Vec::new();
        let mut step = |world: &mut World, action: Move| {
            let before = world.clone();
            let broken = world.act(action, &later);
            lines.extend(describe(&before, action, world));
            played.push(action);
            broken
        };
        for action in moves {
            let broken = step(&mut world, *action);
            if let (None, Some(who), Learning::AtOnce) = (broken, action.machine(), scenario.learning)
                && world.may_learn(usize::from(who))
            {
                step(&mut world, Move::Resume(who));
            }
        }
        let processes = (0..).zip(&world.processes).filter(|(_, process): &(usize, _)| process.is_holding());
        let peers = (0..).zip(&world.peers).filter(|(_, peer)| peer.is_holding());
        let holders =
            processes.map(|(who, _)| world.name(who)).chain(peers.map(|(number, _)| peer::name(&world, number)));
        Self { scenario: scenario.name, property, lines, holders: holders.collect(), moves: played.len(), played }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is broken ({}, {} moves):", self.property, self.scenario, self.moves)?;
        for (number, Line { actor, what }) in (1..).zip(&self.lines) {
            writeln!(f, "step {number:>2}  {actor:<8}  {what}")?;
        }
        writeln!(f, "holding: {}", self.holders.join(", "))
    }
}

impl World {
    /// `A`, or `A.2` where the process has several tasks, or `sweeper 1`.
    fn name(&self, who: usize) -> String {
        let sweeps = |who: usize| self.processes[who].role() == Role::Sweeper;
        if sweeps(who) {
            return format!("sweeper {}", (0..=who).filter(|who| sweeps(*who)).count());
        }
        let letter = ('A'..).nth(self.home(who)).expect("there are few processes");
        let tasks = self.siblings(who);
        if tasks.len() == 1 { letter.to_string() } else { format!("{letter}.{}", who - tasks.start + 1) }
    }
}

fn describe(before: &World, action: Move, after: &World) -> Option<Line> {
    let process = |number: u8, what| Some(Line { actor: before.name(usize::from(number)), what });
    let outside = |actor: &str, what: &str| Some(Line { actor: actor.to_owned(), what: what.to_owned() });
    match action {
        Move::Operate(number) | Move::Heal(number) | Move::Release(number) | Move::HandOn(number) => {
            process(number, system_call(before, after, usize::from(number), action))
        }
        Move::Resume(number) => {
            let who = usize::from(number);
            let what = progress(&before.processes[who], &after.processes[who])?;
            process(number, what)
        }
        Move::Wake(number) => process(number, "poll(inotify) -> woken".to_owned()),
        Move::Elapse(number) => process(number, "poll(inotify) -> the grace is over".to_owned()),
        Move::Refuse(number) => process(number, refused(&before.processes[usize::from(number)])),
        Move::Cancel(number) => process(number, "gives up: closes everything and unlocks the range".to_owned()),
        Move::Kill(number) => process(number, "SIGKILL".to_owned()),
        Move::Start(number) => process(number, begun(before, after, usize::from(number))),
        Move::StartAnew(number) => process(number, "begins anew with what was handed on".to_owned()),
        Move::Read(number) => outside(&format!("reader {}", number + 1), &read(before, after, usize::from(number))),
        Move::Peer(number) => peer::line(before, after, number),
        Move::KillPeer(number) => outside(&peer::name(before, number), "SIGKILL"),
        Move::DeleteClaim => outside("operator", &unlinked(before)),
        Move::DeleteArbiter => outside("somebody", "rm -r .session-lock: the arbiter"),
        Move::DeleteSpares => outside("somebody", "rm -r .session-lock: the spares' names"),
        Move::Sweep => outside("somebody", "unlink(spare) of the dead"),
    }
}

fn begun(before: &World, after: &World, who: usize) -> String {
    let arbiter = after.processes[who].arbiter;
    match before.shared[before.home(who)].arbiter {
        None => format!("starts: openat(arbiter) -> {arbiter}"),
        Some(_) if after.processes[who].range == Range::Locked => "begins with what was handed on".to_owned(),
        Some(_) => "begins with the turn".to_owned(),
    }
}

fn refused(process: &Process) -> String {
    let call = match process.operation() {
        Some(Operation::OpenClaim) => "openat(claim)",
        _ => "openat(claim), fcntl(F_SETLEASE)",
    };
    format!("{call} -> no answer")
}

fn read(before: &World, after: &World, who: usize) -> String {
    match (before.readers[who], after.readers[who]) {
        (None, Some(slot)) => format!("openat(claim, O_RDONLY) -> {slot}"),
        (slot, _) => format!("close({})", slot.map_or_else(String::new, |slot| slot.to_string())),
    }
}

/// What the process's last result leads to, if it is the end of a machine.
fn progress(before: &Process, after: &Process) -> Option<String> {
    match (before.task(), after.task()) {
        (Task::Acquire(_), Task::Hold) => Some(format!("HOLDS with token {}", after.token)),
        (Task::Heal(_), Task::Hold) if !after.may_heal() => Some("knows that its claim is lost".to_owned()),
        (Task::Release(_), Task::Acquire(_) | Task::Ended | Task::Absent) => Some("has released".to_owned()),
        (Task::HandOn(_), Task::HandedOn(_)) => Some("has handed on".to_owned()),
        _ => None,
    }
}

fn system_call(before: &World, after: &World, who: usize, action: Move) -> String {
    let (old, new) = (&before.processes[who], &after.processes[who]);
    let operation = match action {
        Move::Heal(_) | Move::Release(_) => Some(Operation::CheckClaim),
        Move::HandOn(_) => Some(Operation::TakeToken),
        _ => old.operation(),
    };
    let Some(operation) = operation else { return String::new() };
    let spare = |world: &World| world.shared[world.home(who)].spare;
    let slot = |slot: Option<Slot>| slot.map_or_else(|| "nothing".to_owned(), |slot| slot.to_string());
    let (open, arbiter, path) = (slot(old.open_slot()), old.arbiter, slot(after.kernel.path));
    let call = match operation {
        Operation::LockArbiter => format!("fcntl({arbiter}, F_OFD_SETLKW)"),
        Operation::TakeToken => format!("append({arbiter})"),
        Operation::CheckArbiter => "stat(arbiter)".to_owned(),
        Operation::ReopenArbiter => return format!("close({arbiter}), openat(arbiter) -> {}", new.arbiter),
        Operation::PublishClaim { .. } if spare(before).is_some_and(|spare| Some(spare.slot) == after.kernel.path) => {
            "linkat(the spare, claim)".to_owned()
        }
        Operation::PublishClaim { .. } => "linkat(O_TMPFILE, claim)".to_owned(),
        Operation::OpenClaim => "openat(claim)".to_owned(),
        Operation::LockClaim => format!("fcntl({open}, F_OFD_SETLK)"),
        Operation::ReadClaim => format!("pread({open})"),
        Operation::PinClaim => "openat(claim, O_PATH)".to_owned(),
        Operation::CloseClaim if spare(after).is_some() && spare(before).is_none() => {
            return format!("keeps {open} as its spare");
        }
        Operation::CloseClaim => format!("close({open})"),
        Operation::ProbeWriters => format!("openat(claim), fcntl({}, F_SETLEASE, F_RDLCK)", slot(old.pin)),
        Operation::AwaitClaim(_) => "poll(inotify)".to_owned(),
        Operation::AwaitGrace => return "the grace begins".to_owned(),
        Operation::WriteClaim { .. } => format!("pwrite({open}, own payload)"),
        Operation::CheckClaim => "stat(claim)".to_owned(),
        Operation::UnlinkClaim => return unlinked(before),
        Operation::UnlockArbiter => format!("fcntl({arbiter}, F_OFD_SETLK, F_UNLCK)"),
    };
    let purpose = match action {
        Move::Heal(_) => "heals: ",
        Move::Release(_) => "releases: ",
        Move::HandOn(_) => "hands on: ",
        _ => "",
    };
    let completion = new.pending.map_or_else(String::new, |completion| result(operation, completion, &path));
    format!("{purpose}{call} -> {completion}")
}

fn result(operation: Operation, completion: Completion, path: &str) -> String {
    let fixed = match (operation, completion) {
        (Operation::PublishClaim { .. } | Operation::OpenClaim, Completion::Done | Completion::Opened { .. }) => path,
        (Operation::LockArbiter | Operation::LockClaim, Completion::Done) => "locked",
        (Operation::CheckClaim, Completion::Done) => "named as its own",
        (Operation::PinClaim, Completion::Done) => "pinned",
        (Operation::CheckArbiter, Completion::Done) => "still the open one",
        (_, Completion::Done) => "done",
        (_, Completion::Token(token)) => return format!("token {token}"),
        (Operation::CheckArbiter, Completion::Replaced) => "no longer the open one",
        (_, Completion::Exists) => "EEXIST",
        (Operation::PinClaim | Operation::ProbeWriters, Completion::Gone) => "another file",
        (_, Completion::Gone) => "ENOENT",
        (_, Completion::Replaced) => return format!("{path}, not its own"),
        (_, Completion::Busy | Completion::Writer) => "EAGAIN",
        (_, Completion::Read(Standing::OwnArbiter)) => "names this arbiter: its owner is gone",
        (_, Completion::Read(Standing::Foreign)) => "foreign",
        (_, Completion::NoWriter) => "granted: nobody has it open for writing",
        (_, other) => return format!("{other:?}"),
    };
    fixed.to_owned()
}

pub(super) fn unlinked(before: &World) -> String {
    before
        .kernel
        .path
        .map_or_else(|| "unlink(claim) -> ENOENT".to_owned(), |slot| format!("unlink(claim) -> {slot} removed"))
}
