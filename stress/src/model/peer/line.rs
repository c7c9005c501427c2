//! A peer's move as a line of a counterexample.

use super::super::kernel::Slot;
use super::super::trace::{Line, unlinked};
use super::super::world::World;
use super::program::Mine;
use super::{Answer, Call, Identity, Life, Peer, Position};

/// What a peer is called.
pub(in crate::model) fn name(world: &World, number: u8) -> String {
    let position = world.peers[usize::from(number)].position;
    format!("{} {}", if position == Position::Beside { "older" } else { "peer" }, number + 1)
}

/// What a peer's step does and what comes of it. `None`: it learns of something that is told already.
pub(in crate::model) fn line(before: &World, after: &World, number: u8) -> Option<Line> {
    let who = usize::from(number);
    let (old, new) = (&before.peers[who], &after.peers[who]);
    let began = !old.is_holding() && new.is_holding();
    let what = if old.life == Life::Absent {
        let tasks = before.peers.iter().filter(|peer| peer.identity.is_process_of(old.identity)).count();
        format!("starts: {}{}", if tasks > 1 { "a task of " } else { "" }, old.identity)
    } else if old.answer.is_some() {
        if !began {
            return None;
        }
        "HOLDS".to_owned()
    } else {
        let releases = if old.is_holding() && !new.is_holding() { "releases: " } else { "" };
        let holds = if began { ", HOLDS" } else { "" };
        format!("{releases}{}{holds}", call(before, old, after, new))
    };
    Some(Line { actor: name(before, number), what })
}

fn call(before: &World, old: &Peer, after: &World, new: &Peer) -> String {
    let open = old.uses().map_or_else(String::new, |slot| slot.to_string());
    let done = match old.step().call {
        Call::Read => return read(&open, new.read),
        Call::Unlink | Call::Evict => return unlinked(before),
        Call::CreateWhenFree | Call::Create => "openat(claim, O_CREAT|O_EXCL)",
        Call::OpenOrCreate => "openat(claim, O_CREAT)",
        Call::OpenToRead => "openat(claim, O_RDONLY)",
        Call::Reopen => "openat(claim, O_RDWR)",
        Call::AskPid => return asked(&format!("kill({}, 0)", pid(old)), new, "0: somebody has it", "ESRCH"),
        Call::AskStart => {
            return asked(&format!("read(/proc/<{}>/stat)", pid(old)), new, "the same start", "another start");
        }
        Call::AskMap(mine) => return asked_self(mine, ", and not in the map", old, new),
        Call::AskSelf(mine) => return asked_self(mine, "", old, new),
        Call::Reserve | Call::Remember => return "enters its claim into the map".to_owned(),
        Call::Forget => return "removes its entry from the map".to_owned(),
        Call::Write => return format!("write({open}, {})", payload(old)),
        Call::Prepare => return format!("write({}, {}), under a name of its own", shown(new.uses()), payload(old)),
        Call::Rename => {
            let over = before.kernel.path.map_or_else(String::new, |slot| format!(", {slot} removed"));
            return format!("rename({open}, claim) -> {}{over}", shown(after.kernel.path));
        }
        Call::CheckPath => return asked("stat(claim)", new, "the same file", "another file, or none"),
        Call::Flock => return format!("flock({open}, LOCK_EX) -> locked"),
        Call::Funlock => return format!("flock({open}, LOCK_UN)"),
        Call::LockPermanent => return "flock(permanent file, LOCK_EX) -> locked".to_owned(),
        Call::UnlockPermanent => return "flock(permanent file, LOCK_UN)".to_owned(),
        Call::Close => return format!("close({open})"),
    };
    let found = new.uses().map(|slot| slot.to_string());
    let missing = if old.step().call == Call::Create { "EEXIST" } else { "ENOENT" };
    format!("{done} -> {}", found.as_deref().unwrap_or(missing))
}

fn shown(slot: Option<Slot>) -> String {
    slot.map_or_else(|| "nothing".to_owned(), |slot| slot.to_string())
}

fn read(open: &str, named: Option<Identity>) -> String {
    named.map_or_else(|| format!("read({open}) -> nothing yet"), |named| format!("read({open}) -> {named}"))
}

fn payload(peer: &Peer) -> String {
    if peer.identity == Identity::NOBODY { "older payload".to_owned() } else { peer.identity.to_string() }
}

/// The pid that it has read, as far as it is a number.
fn pid(peer: &Peer) -> String {
    match peer.read {
        Some(read) if read != Identity::NOBODY && read != Identity::OURS => read.pid.to_string(),
        _ => "that pid".to_owned(),
    }
}

fn asked(question: &str, peer: &Peer, yes: &str, no: &str) -> String {
    format!("{question} -> {}", if peer.answer == Some(Answer::Yes) { yes } else { no })
}

/// An orphan is unlinked next.
fn asked_self(mine: Mine, more: &str, old: &Peer, new: &Peer) -> String {
    let what = match mine {
        Mine::Pid => "pid",
        Mine::PidAndStart => "pid and start",
        Mine::PidStartAndNamespace => "pid, start and namespace",
    };
    let orphan = new.at == old.step().yes;
    format!("its own {what}{more}? {}", if orphan { "yes: an orphan" } else { "no" })
}
