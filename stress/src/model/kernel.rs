//! The files of the simulated kernel. Who has them open, locked or pinned is kept with the actors.

use std::fmt;

use session_lock::protocol::Inode;

use super::scenario::Scenario;

/// A place for an inode, and so its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot(u8);

/// A set of them, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Slots(u32);

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
    /// An older peer's payload.
    Foreign,
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

/// One for the path, an open and a pinned file and a spare for each process and one that is just being made, one open
/// file for each older peer, one spare for each process that was killed.
const SLOTS: usize =
    2 + 3 * Scenario::MAX_PROCESSES as usize + Scenario::MAX_OLDER as usize + Scenario::MAX_CRASHES as usize;

/// The claim's path, the inodes, the arbiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    fn index(self) -> usize {
        usize::from(self.0)
    }

    /// As a machine sees it.
    pub(super) fn inode(self) -> Inode {
        Inode { dev: 1, ino: u64::from(self.0) }
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

    pub(super) fn minus(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
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
        debug_assert!(self.path.is_none(), "the name is free");
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
