//! An ideal older peer: `O_EXCL` create, write, hold with the file open, close, unlink of the path.
//!
//! It never steals, and it unlinks whatever the path names. An older peer that judges by pid is not ideal and not here.

use super::kernel::Slot;

/// One older peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Older {
    pub(super) phase: Phase,
    /// The file that it has open for writing.
    pub(super) open: Option<Slot>,
    /// The file that it made, while that is linked: the model's own knowledge.
    pub(super) own: Option<Slot>,
    /// See [`Property`](super::Property).
    pub(super) void: bool,
    /// The rounds that it has not begun.
    rounds_left: u8,
}

/// What it has done last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Waits for the name to be free.
    Idle,
    /// Has made its claim, with nothing in it yet. Counts as holding: a peer that writes its payload later, or never,
    /// must not be robbed either.
    Created,
    /// Holds.
    Holding,
    /// Has closed its claim.
    Closed,
}

impl Older {
    pub(super) fn new(rounds: u8) -> Self {
        Self { phase: Phase::Idle, open: None, own: None, void: false, rounds_left: rounds }
    }

    /// From the creation to the close.
    pub(super) fn is_holding(self) -> bool {
        matches!(self.phase, Phase::Created | Phase::Holding)
    }

    /// It has no round left to begin.
    pub(super) fn is_final(self) -> bool {
        self.phase == Phase::Idle && self.rounds_left == 0
    }

    pub(super) fn created(&mut self, slot: Slot) {
        *self = Self {
            phase: Phase::Created,
            open: Some(slot),
            own: Some(slot),
            void: false,
            rounds_left: self.rounds_left - 1,
        };
    }

    pub(super) fn closed(&mut self) {
        self.phase = Phase::Closed;
        self.open = None;
    }

    /// After its unlink or its death, the next round can begin.
    pub(super) fn next_round(&mut self) {
        *self = Self::new(self.rounds_left);
    }
}
