//! A counterexample as text: one system call a line, with what it gave back.

use std::fmt;

use session_lock::protocol::{Completion, Operation, Standing};

use super::kernel::Slot;
use super::older::Phase;
use super::process::{Process, Task};
use super::property::Property;
use super::scenario::Scenario;
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
}

/// One line of a counterexample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// A process of this crate (`A`, `B`), an older peer (`older 1`), or somebody from outside.
    pub actor: String,
    /// What it does and what comes of it.
    pub what: String,
}

impl Counterexample {
    /// Plays these moves from the beginning and writes down what happens.
    pub(super) fn play(scenario: &Scenario, property: Property, moves: &[Move]) -> Self {
        let mut world = World::new(scenario);
        let mut lines = Vec::new();
        for action in moves {
            let before = world.clone();
            world.act(*action, scenario);
            lines.extend(describe(&before, *action, &world));
        }
        let processes = (0..).zip(&world.processes).filter(|(_, process)| process.is_holding());
        let older = (0..).zip(&world.older).filter(|(_, peer)| peer.is_holding());
        let holders =
            processes.map(|(number, _)| process_name(number)).chain(older.map(|(number, _)| older_name(number)));
        Self { scenario: scenario.name, property, lines, holders: holders.collect(), moves: moves.len() }
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

fn process_name(number: u8) -> String {
    char::from(b'A' + number).to_string()
}

fn older_name(number: u8) -> String {
    format!("older {}", number + 1)
}

fn describe(before: &World, action: Move, after: &World) -> Option<Line> {
    let process = |number: u8, what| Some(Line { actor: process_name(number), what });
    let outside = |actor: &str, what: &str| Some(Line { actor: actor.to_owned(), what: what.to_owned() });
    match action {
        Move::Operate(number) | Move::Heal(number) | Move::Release(number) => {
            process(number, system_call(before, after, usize::from(number), action))
        }
        Move::Resume(number) => {
            let who = usize::from(number);
            let what = progress(&before.processes[who], &after.processes[who])?;
            process(number, what)
        }
        Move::Wake(number) => process(number, "poll(inotify) -> woken".to_owned()),
        Move::Elapse(number) => process(number, "poll(inotify) -> the grace is over".to_owned()),
        Move::Kill(number) => process(number, "SIGKILL".to_owned()),
        Move::Start(number) => {
            process(number, format!("starts: openat(arbiter) -> {}", after.processes[usize::from(number)].arbiter))
        }
        Move::Older(number) => {
            Some(Line { actor: older_name(number), what: older_call(before, after, usize::from(number)) })
        }
        Move::KillOlder(number) => Some(Line { actor: older_name(number), what: "SIGKILL".to_owned() }),
        Move::DeleteClaim => outside("operator", &unlinked(before)),
        Move::DeleteArbiter => outside("somebody", "rm -r .session-lock: the arbiter"),
        Move::DeleteSpares => outside("somebody", "rm -r .session-lock: the spares' names"),
        Move::Sweep => outside("somebody", "unlink(spare) of the dead"),
    }
}

/// What the process's last result leads to, if it is the end of a machine.
fn progress(before: &Process, after: &Process) -> Option<String> {
    match (before.task(), after.task()) {
        (Task::Acquire(_), Task::Hold) => Some(format!("HOLDS with token {}", after.token)),
        (Task::Heal(_), Task::Hold) if !after.may_heal() => Some("knows that its claim is lost".to_owned()),
        (Task::Release(_), Task::Acquire(_) | Task::Ended) => Some("has released".to_owned()),
        _ => None,
    }
}

fn system_call(before: &World, after: &World, who: usize, action: Move) -> String {
    let (old, new) = (&before.processes[who], &after.processes[who]);
    let operation = match action {
        Move::Heal(_) | Move::Release(_) => Some(Operation::CheckClaim),
        _ => old.operation(),
    };
    let Some(operation) = operation else { return String::new() };
    let slot = |slot: Option<Slot>| slot.map_or_else(|| "nothing".to_owned(), |slot| slot.to_string());
    let (open, arbiter, path) = (slot(old.open_slot()), old.arbiter, slot(after.kernel.path));
    let call = match operation {
        Operation::LockArbiter => format!("fcntl({arbiter}, F_OFD_SETLKW)"),
        Operation::TakeToken => format!("append({arbiter})"),
        Operation::CheckArbiter => "stat(arbiter)".to_owned(),
        Operation::ReopenArbiter => return format!("close({arbiter}), openat(arbiter) -> {}", new.arbiter),
        Operation::PublishClaim { .. } if old.spare.is_some_and(|spare| Some(spare.slot) == after.kernel.path) => {
            "linkat(the spare, claim)".to_owned()
        }
        Operation::PublishClaim { .. } => "linkat(O_TMPFILE, claim)".to_owned(),
        Operation::OpenClaim => "openat(claim)".to_owned(),
        Operation::LockClaim => format!("fcntl({open}, F_OFD_SETLK)"),
        Operation::ReadClaim => format!("pread({open})"),
        Operation::PinClaim => "openat(claim, O_PATH)".to_owned(),
        Operation::CloseClaim if new.spare.is_some() && old.spare.is_none() => {
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

fn older_call(before: &World, after: &World, who: usize) -> String {
    let open = before.older[who].open.map_or_else(String::new, |slot| slot.to_string());
    let created = after.older[who].open.map_or_else(String::new, |slot| slot.to_string());
    match before.older[who].phase {
        Phase::Idle => format!("openat(claim, O_CREAT|O_EXCL) -> {created}, HOLDS"),
        Phase::Created => format!("write({open}, older payload)"),
        Phase::Holding => format!("releases: close({open})"),
        Phase::Closed => unlinked(before),
    }
}

fn unlinked(before: &World) -> String {
    before
        .kernel
        .path
        .map_or_else(|| "unlink(claim) -> ENOENT".to_owned(), |slot| format!("unlink(claim) -> {slot} removed"))
}
