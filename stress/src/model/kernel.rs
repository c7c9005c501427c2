//! The files of the simulated kernel. Who has them open, locked or pinned is kept with the actors.

use std::fmt;
use std::hash::{Hash, Hasher};

use session_lock::protocol::Inode;

use super::fingerprint::INODE;
use super::peer::Identity;
use super::scenario::Scenario;

/// A place for an inode, and so its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u8);

/// A set of them, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Slots(u64);

/// An arbiter file. Unlike a claim's, its identity never comes back: it contains a nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Arbiter(u8);

/// What is in a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    /// There is no such file: the number is free.
    Free,
    /// Nothing yet.
    Empty,
    /// An older peer's payload that names nobody who lives.
    Foreign,
    /// An older peer's payload.
    Named(Identity),
    /// A payload of this crate that names this arbiter.
    BackedBy(Arbiter),
}

/// The tokens of one arbiter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Tokens {
    /// The last one given out.
    given: u8,
    /// The largest one that somebody has held with: the model's own knowledge.
    held: u8,
}

/// The most tasks that there can be.
const TASKS: usize = (Scenario::MAX_PROCESSES + Scenario::MAX_TASKS - 1 + Scenario::MAX_SWEEPERS) as usize;

/// One for the path and one that is just being made; an open and a pinned file for each task, a spare for each process,
/// one open file for each peer and each reader, one spare for each process that was killed.
const SLOTS: usize = 2 + 3 * TASKS + (Scenario::MAX_PEERS + Scenario::MAX_READERS + Scenario::MAX_CRASHES) as usize;

// A set of slots has 64 bits.
const _: () = assert!(SLOTS <= 64, "every slot has its bit");

/// The claim's path, the inodes, the arbiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// The claim that the path names.
    pub(super) path: Option<Slot>,
    contents: [Content; SLOTS],
    /// Which files have a second name, a spare's.
    pub(super) kept: Slots,
    /// The arbiter that its path names.
    pub(super) arbiter_path: Option<Arbiter>,
    arbiters: u8,
    tokens: [Tokens; Scenario::MAX_ARBITERS as usize],
}

impl Slot {
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// As a machine sees it.
    pub(super) fn inode(self) -> Inode {
        Inode { dev: 1, ino: INODE | u64::from(self.0) }
    }
}

/// As a machine hashes it, so that fingerprints can give it another name.
impl Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.inode().ino);
    }
}

impl Slots {
    pub(super) fn contains(self, slot: Slot) -> bool {
        self.0 >> slot.0 & 1 != 0
    }

    pub(super) fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.0;
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.0 &= !(1 << slot.0);
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Slot> {
        (0..u8::try_from(SLOTS).expect("few")).map(Slot).filter(move |slot| self.contains(*slot))
    }

    pub(super) fn minus(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

/// Without the files, of which [`Kernel::files`] tells.
impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { path, contents: _, kept: _, arbiter_path, arbiters, tokens } = self;
        (path, arbiter_path, arbiters).hash(state);
        tokens[..usize::from(*arbiters)].hash(state);
    }
}

/// One file, with all that the kernel knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct File {
    pub(super) slot: Slot,
    content: Content,
    kept: bool,
    named: bool,
}

impl FromIterator<Slot> for Slots {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::default();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl Kernel {
    /// The first arbiter, and no claim.
    pub(super) fn new() -> Self {
        Self {
            path: None,
            contents: [Content::Free; SLOTS],
            kept: Slots::default(),
            arbiter_path: Some(Arbiter::default()),
            arbiters: 1,
            tokens: [Tokens::default(); _],
        }
    }

    /// Makes a file with the lowest free number and gives it the claim's name, which must be free.
    pub(super) fn create(&mut self, content: Content) -> Slot {
        let slot = self.create_unnamed(content);
        self.link(slot);
        slot
    }

    /// Gives a file the claim's name, which must be free.
    pub(super) fn link(&mut self, slot: Slot) {
        assert!(self.path.is_none(), "the name is free");
        self.path = Some(slot);
    }

    /// Makes a file with the lowest free number.
    pub(super) fn create_unnamed(&mut self, content: Content) -> Slot {
        let free = (0..).zip(&self.contents).find(|(_, content)| **content == Content::Free);
        let (number, _) = free.expect("there are places for all that can be open, pinned and linked");
        let slot = Slot(number);
        self.contents[slot.index()] = content;
        slot
    }

    pub(super) fn content(&self, slot: Slot) -> Content {
        self.contents[slot.index()]
    }

    pub(super) fn write(&mut self, slot: Slot, content: Content) {
        self.contents[slot.index()] = content;
    }

    /// Frees the numbers of all files that are neither linked nor in use.
    pub(super) fn reap(&mut self, in_use: Slots) {
        let linked = Slots(self.kept.0 | self.path.into_iter().collect::<Slots>().0);
        for (number, content) in self.contents.iter_mut().enumerate() {
            if (linked.0 | in_use.0) >> number & 1 == 0 {
                *content = Content::Free;
            }
        }
    }

    /// The files that there are.
    pub(super) fn files(&self) -> impl Iterator<Item = File> {
        let files = (0..).map(Slot).zip(self.contents).filter(|(_, content)| *content != Content::Free);
        files.map(|(slot, content)| File {
            slot,
            content,
            kept: self.kept.contains(slot),
            named: self.path == Some(slot),
        })
    }

    /// The arbiter at the path, made if there is none.
    pub(super) fn open_arbiter(&mut self) -> Arbiter {
        if let Some(arbiter) = self.arbiter_path {
            return arbiter;
        }
        let arbiter = Arbiter(self.arbiters);
        self.arbiters += 1;
        self.arbiter_path = Some(arbiter);
        arbiter
    }

    /// The arbiter's next token, or the last one again.
    pub(super) fn token(&mut self, arbiter: Arbiter, step: TokenStep) -> u64 {
        let tokens = &mut self.tokens[usize::from(arbiter.0)];
        if step == TokenStep::Next || tokens.given == 0 {
            tokens.given += 1;
        }
        u64::from(tokens.given)
    }

    /// Nobody has a token of this arbiter any more: it counts from the beginning. What will be given out is compared only
    /// with what will be held, so this makes one state of many that differ in nothing else.
    pub(super) fn forget_tokens(&mut self, arbiter: Arbiter) {
        self.tokens[usize::from(arbiter.0)] = Tokens::default();
    }

    /// The arbiters that have come to be.
    pub(super) fn arbiters(&self) -> impl Iterator<Item = Arbiter> + use<> {
        (0..self.arbiters).map(Arbiter)
    }

    /// Notes a hold with this token, and says whether the token is larger than all before it.
    pub(super) fn hold_with(&mut self, arbiter: Arbiter, token: u64) -> Grown {
        let tokens = &mut self.tokens[usize::from(arbiter.0)];
        let grown = if token > u64::from(tokens.held) { Grown::Yes } else { Grown::No };
        tokens.held = tokens.held.max(u8::try_from(token).unwrap_or(u8::MAX));
        grown
    }
}

/// Which token is given out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenStep {
    Next,
    Again,
}

/// Whether a token is larger than all before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grown {
    Yes,
    No,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {}", self.0 + 1)
    }
}

impl fmt::Display for Arbiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arbiter {}", self.0 + 1)
    }
}
