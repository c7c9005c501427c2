//! A look at one session's lock: which state it is in, as the kernel says, and who is behind it.
//!
//! | Claim | Its lock | Then | State |
//! |---|---|---|---|
//! | there | OFD write lock | its owner has ended, as far as its pid means something here | inherited |
//! | | | else | held |
//! | | another lock | | unknown |
//! | | none | it names this directory's arbiter | reclaimable |
//! | | | somebody has it open for writing | foreign-held |
//! | | | nobody has, and it is empty or torn | corrupt |
//! | | | nobody has | reclaimable, after the grace |
//! | none | | the arbiter's range has an OFD write lock | held |
//! | | | another lock | unknown |
//! | | | none | free |
//!
//! All of it is asked with read-only descriptors. It creates nothing, locks nothing, and takes no token; the writer probe
//! costs somebody who opens the claim for writing at the same moment one short retry.

use crate::arbiter::{STATE_DIRECTORY, c_string, file_name, path_in_directory};
use crate::claim;
use crate::directory::Directory;
use crate::evidence;
use crate::holder::Holder;
use crate::inspection::{Glance, Inspection, State, Waiters, Waiting};
use crate::name::{Range, SHARDS, Session};
use crate::payload::{ArbiterId, Content, MAX_CLAIM_LEN};
use crate::protocol::{Completion, Inode, Standing};
use crate::sys::file::Access;
use crate::sys::ofd::{self, Conflict};
use crate::sys::{self, Errno, Fd};
use crate::verdict::{self, Asker, OwnerProcess, Probe, Reason};
use facts::Facts;
use std::cell::OnceCell;
use std::ffi::CStr;
use std::time::Duration;

mod facts;

/// How often a look starts again because the claim changes under it.
const ROUNDS: u32 = 8;
/// How often it looks again at what is mostly over in a moment: a claim that is locked and not rewritten yet.
const PASSING_ROUNDS: usize = 5;
/// The first pause between two such looks. Each is twice as long as the one before, because a process that is taking a claim
/// over may wait for a processor.
const PASSING: Duration = Duration::from_millis(1);
const NOT_OURS: &str = "has a read lock or a traditional record lock, which no holder of this crate takes";

/// Looks at the sessions of one directory. What is asked once for all of them is kept.
pub(crate) struct Look<'a> {
    directory: &'a Directory,
    asker: Asker,
    depth: Depth,
    facts: Facts,
    arbiters: [OnceCell<ArbiterId>; SHARDS],
    /// Where pinned files are opened, if there are many to look at.
    descriptors: Option<Fd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// The state, and whom the claim names.
    Glance,
    /// What else a few system calls on the claim and on the arbiter tell.
    Short,
    /// Also what takes a walk through /proc.
    Full,
}

/// What one round found.
enum Round {
    Settled(Finding),
    /// Mostly over in a moment.
    Passing(Finding),
    /// What was looked at is not there any more.
    Changed,
}

struct Finding {
    state: State,
    content: Option<Content>,
    /// The claim's process, if it was asked.
    owner: Option<OwnerProcess>,
    reason: Option<Reason>,
    note: Option<String>,
}

/// A claim that is open for reading.
struct Open {
    fd: Fd,
    inode: Inode,
    /// Asked before it was read: whoever takes it over locks it before writing.
    lock: sys::Result<Conflict>,
    content: Content,
    links: u64,
}

impl<'a> Look<'a> {
    /// Only what a few system calls tell.
    pub(crate) fn short(directory: &'a Directory) -> Self {
        Self {
            directory,
            asker: directory.process.asker(),
            depth: Depth::Short,
            facts: Facts::default(),
            arbiters: std::array::from_fn(|_| OnceCell::new()),
            descriptors: None,
        }
    }

    /// Only what a [`Glance`] has.
    pub(crate) fn glances(directory: &'a Directory) -> Self {
        Self { depth: Depth::Glance, ..Self::short(directory) }
    }

    /// The same for many sessions.
    pub(crate) fn of_many(self) -> Self {
        Self { descriptors: sys::file::descriptors().ok(), ..self }
    }

    /// Also who waits in the kernel's queue, and which pid a process of another namespace has here.
    pub(crate) fn full(directory: &'a Directory) -> Self {
        Self { depth: Depth::Full, ..Self::short(directory) }
    }

    /// Looks at one session's lock.
    pub(crate) fn at(&self, session: &Session) -> Inspection {
        let finding = self.find(session);
        self.inspection(session, finding)
    }

    /// Glances at one session's lock.
    pub(crate) fn glance(&self, session: Session) -> Glance {
        let Finding { state, content, .. } = self.find(&session);
        let written_at = content.and_then(|content| content.payload()?.created_at);
        Glance { name: session.name, state, held_since: written_at.filter(|_| state.is_taken()) }
    }

    fn find(&self, session: &Session) -> Finding {
        let mut passing = Vec::new();
        for _ in 0..ROUNDS {
            match self.round(session) {
                Round::Changed => passing.clear(),
                Round::Settled(finding) => return finding,
                Round::Passing(finding) => {
                    // Another claim in the same state is no sign that it lasts.
                    if passing.last().is_some_and(|last| *last != finding.content) {
                        passing.clear();
                    }
                    if passing.len() >= PASSING_ROUNDS {
                        return finding;
                    }
                    match self.depth {
                        // The deadline of an acquire has passed, perhaps on an executor's thread.
                        Depth::Glance | Depth::Short => std::thread::yield_now(),
                        Depth::Full => sys::clock::pause(PASSING * (1 << passing.len())),
                    }
                    passing.push(finding.content);
                }
            }
        }
        unknown(None, "it changes faster than it can be looked at")
    }

    fn round(&self, session: &Session) -> Round {
        let opened = match self.open(session) {
            Ok(Some(opened)) => opened,
            Ok(None) => return self.without_claim(session),
            Err(round) => return round,
        };
        match opened.lock {
            Ok(Conflict::Ofd) => self.locked(session, opened),
            Ok(Conflict::None) => self.unlocked(session, opened),
            Ok(Conflict::Other) => Round::Settled(unknown(Some(opened.content), format!("its claim {NOT_OURS}"))),
            Err(errno) => Round::Settled(unknown(Some(opened.content), told("its lock cannot be asked", errno))),
        }
    }

    /// Opens and reads the claim. `None`: there is none. What is no regular file is not opened: that could have effects.
    fn open(&self, session: &Session) -> Result<Option<Open>, Round> {
        let refused = |what, errno| Round::Settled(unknown(None, told(what, errno)));
        let (dir, name) = (&self.directory.fd, &session.claim);
        // How many links it has counts only if its path still names it when the round ends.
        let (pinned, stat) = match sys::file::pin(dir, name).and_then(|pinned| Ok((sys::file::stat(&pinned)?, pinned)))
        {
            Ok((stat, pinned)) => (pinned, stat),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(refused("its claim cannot be looked at", errno)),
        };
        if let Some(found) = claim::unacceptable(self.directory, &stat) {
            return Err(Round::Settled(not_a_claim(None, found)));
        }
        let fd = match claim::between_leases(|| self.open_pinned(&pinned, &stat, name)) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Err(Round::Changed),
            Err(errno) => return Err(refused("its claim cannot be opened", errno)),
        };
        let lock = ofd::conflict(&fd, ofd::Range::All);
        let mut buffer = [0; MAX_CLAIM_LEN + 1];
        match sys::file::read_start(&fd, &mut buffer) {
            Ok(len) => {
                let content = Content::classify(&buffer[..len]);
                Ok(Some(Open { fd, inode: stat.inode, lock, content, links: stat.links }))
            }
            Err(errno) => Err(refused("its claim cannot be read", errno)),
        }
    }

    /// Somebody who uses this crate has the claim open and locked: its holder, a child that inherited it, or for a moment
    /// one who looks whether it may be taken over.
    fn locked(&self, session: &Session, opened: Open) -> Round {
        if !self.is_at_path(session, opened.inode) {
            return Round::Changed;
        }
        let here = opened.content.payload().filter(|payload| verdict::means_something(payload, &self.asker));
        let owner = here
            .map(|payload| self.facts.owner(self.directory.process, payload, |owner| owner == OwnerProcess::Present));
        let ended = owner.is_some_and(verdict::has_ended);
        let settled = opened.content.is_ours() && !ended;
        let state = if ended { State::Inherited } else { State::Held };
        let finding = Finding { state, content: Some(opened.content), owner, reason: None, note: None };
        if settled { Round::Settled(finding) } else { Round::Passing(finding) }
    }

    fn unlocked(&self, session: &Session, opened: Open) -> Round {
        let Open { fd, inode, content, links, .. } = opened;
        let finding = if content.is_ours() && self.is_backed(&content, session.range) {
            self.left(session, content, Standing::OwnArbiter)
        } else if let Some(found) = claim::unacceptable_content(self.directory, &content, links, inode) {
            not_a_claim(Some(content), found)
        } else {
            self.foreign(session, content, evidence::probe(&fd))
        };
        // Nobody has written it since it was read, nor given it another name.
        let same = sys::file::stat_at(&self.directory.fd, &session.claim)
            .is_ok_and(|stat| stat.inode == inode && stat.links == links)
            && ofd::conflict(&fd, ofd::Range::All) == Ok(Conflict::None);
        if same { Round::Settled(finding) } else { Round::Changed }
    }

    /// Whether the claim names the arbiter of this directory. What one claim named the next one does too, as a rule.
    fn is_backed(&self, content: &Content, range: Range) -> bool {
        let boot_id = self.directory.process.boot_id();
        let backs = |id: &ArbiterId| content.standing(id, boot_id) == Standing::OwnArbiter;
        let known = &self.arbiters[range.shard];
        // An arbiter that cannot be read backs no claim as far as can be told, and the writer probe answers.
        known.get().is_some_and(backs)
            || !known.get().is_some_and(|id| self.is_arbiter(range, id))
                && self
                    .arbiter(range)
                    .ok()
                    .flatten()
                    .is_some_and(|(_, id)| backs(known.get_or_init(|| id)) || backs(&id))
    }

    fn foreign(&self, session: &Session, content: Content, probe: Probe) -> Finding {
        // Where the probe answers, the owner does not matter.
        let owner = match probe {
            Probe::NoWriter | Probe::Writer => OwnerProcess::Unknown,
            Probe::Unavailable => self.owner_of(&content),
        };
        match verdict::writers(probe, &content, &self.asker, owner) {
            Completion::Writer => {
                Finding { state: State::ForeignHeld, content: Some(content), owner: None, reason: None, note: None }
            }
            Completion::NoWriter => self.left(session, content, Standing::Foreign),
            _ => unknown(
                Some(content),
                "whether anybody has its claim open for writing cannot be asked (another user's file, or no leases)",
            ),
        }
    }

    /// A claim whose owner is gone.
    fn left(&self, session: &Session, content: Content, standing: Standing) -> Finding {
        let state = if content.payload().is_some() { State::Reclaimable } else { State::Corrupt };
        if self.depth == Depth::Glance {
            return Finding { state, content: Some(content), owner: None, reason: None, note: None };
        }
        let owner = self.owner_of(&content);
        let reason = verdict::reason(standing, &content, &self.asker, owner);
        let may = sys::file::may_take_over(&self.directory.fd, &session.claim);
        let note = (!may).then(|| "this process may not open the claim for reading and writing".to_owned());
        Finding { state, content: Some(content), owner: Some(owner), reason: Some(reason), note }
    }

    fn owner_of(&self, content: &Content) -> OwnerProcess {
        let owner = |payload| self.facts.owner(self.directory.process, payload, verdict::has_ended);
        content.payload().map_or(OwnerProcess::Unknown, owner)
    }

    fn without_claim(&self, session: &Session) -> Round {
        let range = session.range;
        let finding = |state| Finding { state, content: None, owner: None, reason: None, note: None };
        let (arbiter, _) = match self.arbiter(range) {
            Ok(Some(arbiter)) => arbiter,
            Ok(None) => return Round::Settled(finding(State::Free)),
            Err(note) => return Round::Settled(unknown(None, note)),
        };
        match ofd::conflict(arbiter, ofd::Range::Byte(range.offset)) {
            Ok(Conflict::None) => match sys::file::stat_at(&self.directory.fd, &session.claim) {
                Ok(_) => Round::Changed,
                Err(_) => Round::Settled(finding(State::Free)),
            },
            Ok(Conflict::Ofd) => Round::Passing(finding(State::Held)),
            Ok(Conflict::Other) => Round::Settled(unknown(None, format!("its range of the arbiter {NOT_OURS}"))),
            Err(errno) => Round::Settled(unknown(None, told("its arbiter cannot be asked", errno))),
        }
    }

    fn is_at_path(&self, session: &Session, inode: Inode) -> bool {
        sys::file::stat_at(&self.directory.fd, &session.claim).is_ok_and(|stat| stat.inode == inode)
    }

    fn open_pinned(&self, pinned: &Fd, found: &sys::file::Stat, name: &CStr) -> sys::Result<Fd> {
        let reopened = self.descriptors.as_ref().and_then(|descriptors| sys::file::reopen(descriptors, pinned));
        reopened.unwrap_or_else(|| sys::file::open_pinned(pinned, found, &self.directory.fd, name, Access::Read))
    }

    /// Whether the arbiter's path names this file.
    fn is_arbiter(&self, range: Range, id: &ArbiterId) -> bool {
        sys::file::stat_at(&self.directory.fd, &path_in_directory(range.shard)).is_ok_and(|stat| stat.inode == id.inode)
    }

    /// The arbiter that the path names, on a descriptor of its own that is read-only. `None`: there is none.
    fn arbiter(&self, range: Range) -> Result<Option<(Fd, ArbiterId)>, String> {
        let state = match sys::file::open_subdirectory(&self.directory.fd, STATE_DIRECTORY) {
            Ok(state) => state,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(told("the state directory cannot be opened", errno)),
        };
        let failed = |errno| told("its arbiter cannot be read", errno);
        let name = c_string(file_name(range.shard));
        let no_arbiter = || "what is in place of its arbiter is none".to_owned();
        let fd = match sys::file::open_regular(&state, &name, Access::Read) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(no_arbiter()),
            Err(errno) => return Err(failed(errno)),
        };
        let stat = sys::file::stat(&fd).map_err(failed)?;
        if !self.directory.accepts_owner(stat.uid) {
            return Err(no_arbiter());
        }
        let mut nonce = [0; 16];
        let len = sys::file::read_start(&fd, &mut nonce).map_err(failed)?;
        if len < nonce.len() {
            return Err("its arbiter is damaged".to_owned());
        }
        Ok(Some((fd, ArbiterId { inode: stat.inode, nonce })))
    }

    fn inspection(&self, session: &Session, finding: Finding) -> Inspection {
        let Finding { state, content, owner, reason, note } = finding;
        let content = content.filter(|content| *content != Content::NotAClaim);
        let (process, pid_here) =
            content.as_ref().map_or((OwnerProcess::Unknown, None), |content| self.identity(content, owner));
        Inspection {
            name: session.name.clone(),
            state,
            holder: content.map(|content| Holder::of(content, &self.asker)),
            process,
            pid_here,
            reason,
            waiters: self.waiters(session.range),
            note,
        }
    }

    /// What the kernel says of the owner's process: found by its pid where that means something, by a walk through /proc
    /// in a namespace below.
    fn identity(&self, content: &Content, owner: Option<OwnerProcess>) -> (OwnerProcess, Option<u32>) {
        let (process, asker) = (self.directory.process, &self.asker);
        let elsewhere = content.payload().and_then(|payload| {
            let pid_ns = payload.pid_ns.filter(|pid_ns| Some(*pid_ns) != asker.pid_ns)?;
            Some((payload, pid_ns))
        });
        let Some((payload, pid_ns)) = elsewhere else {
            return (owner.unwrap_or_else(|| self.owner_of(content)), None);
        };
        if self.depth != Depth::Full || !process.proc_is_ours || payload.boot_id != Some(asker.boot_id) {
            return (OwnerProcess::Unknown, None);
        }
        let found = payload.pid.and_then(|pid| self.facts.pid_here(asker, pid_ns, pid));
        let Some(pid_here) = found else { return (OwnerProcess::Unknown, None) };
        let same_clock = payload.time_ns.is_some() && payload.time_ns == asker.time_ns;
        match (payload.starttime, sys::process::starttime(pid_here)) {
            (Some(theirs), Some(found)) if same_clock && theirs != found => (OwnerProcess::Another, None),
            _ => (OwnerProcess::Present, Some(pid_here)),
        }
    }

    fn waiters(&self, range: Range) -> Waiters {
        let now = sys::clock::now();
        let here = self
            .directory
            .queues
            .waiting(range)
            .into_iter()
            .map(|asked| Waiting { label: asked.label, waited: now.saturating_duration_since(asked.since) });
        Waiters { here: here.collect(), parked: if self.depth == Depth::Full { self.parked(range) } else { None } }
    }

    /// How many requests are parked at this range. Nobody is parked at one that is free, and reading the kernel's list
    /// holds up every lock for a moment, so that is asked first.
    fn parked(&self, range: Range) -> Option<usize> {
        let (arbiter, id) = match self.arbiter(range) {
            Ok(Some(arbiter)) => arbiter,
            Ok(None) => return Some(0),
            Err(_) => return None,
        };
        if ofd::conflict(&arbiter, ofd::Range::Byte(range.offset)) == Ok(Conflict::None) {
            return Some(0);
        }
        let devices = self.facts.parked(id.inode.ino, range.offset)?;
        if devices.is_empty() {
            return Some(0);
        }
        let device = sys::mount::device(&self.directory.fd).ok()?;
        Some(devices.iter().filter(|found| **found == device).count())
    }
}

fn unknown(content: Option<Content>, note: impl Into<String>) -> Finding {
    Finding { state: State::Unknown, content, owner: None, reason: None, note: Some(note.into()) }
}

fn not_a_claim(content: Option<Content>, found: &str) -> Finding {
    Finding { state: State::NotAClaim, content, owner: None, reason: None, note: Some(found.to_owned()) }
}

fn told(what: &str, errno: Errno) -> String {
    format!("{what}: {}", std::io::Error::from(errno))
}
