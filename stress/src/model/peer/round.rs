//! What each program does, as tables: a call and the step after it, by the answer.

use std::ops::Range;

use super::program::Call::{
    AskMap, AskPid, AskSelf, AskStart, CheckPath, Close, Create, CreateWhenFree, Evict, Flock, Forget, Funlock,
    LockPermanent, OpenOrCreate, OpenToRead, Prepare, Read, Remember, Rename, Reopen, Reserve, Unlink, UnlockPermanent,
    Write,
};
use super::program::{END, Mine, Step, ask, then};

/// A round, and before which of its steps a peer holds.
pub(super) struct Round {
    pub(super) steps: &'static [Step],
    pub(super) holds: Range<u8>,
}

/// Counts as holding from the creation on: a peer that writes its payload later, or never, must not be robbed either.
pub(super) const IDEAL: Round =
    Round { steps: &[then(CreateWhenFree, 1), then(Write, 2), then(Close, 3), then(Unlink, END)], holds: 1..3 };

pub(super) const DELETE_CREATE: Round = Round { steps: &delete_create(0), holds: 2..3 };
pub(super) const DELETE_CREATE_HASTY: Round = Round { steps: &delete_create(8), holds: 2..3 };

/// What cannot be read leads to this step: to the beginning, or to the takeover.
const fn delete_create(unreadable: u8) -> [Step; 9] {
    [
        ask(Create, 1, 4),
        then(Write, 2),
        then(Close, 3),
        then(Unlink, END),
        ask(OpenToRead, 5, 0),
        ask(Read, 6, unreadable),
        ask(AskPid, 7, 8),
        ask(AskStart, 0, 8),
        then(Evict, 0),
    ]
}

/// The creation is guarded too: else a claim that somebody has read is released, and the next one that is made is unlinked.
pub(super) const DELETE_CREATE_GUARDED: Round = Round {
    steps: &[
        then(LockPermanent, 1),
        ask(Create, 2, 6),
        then(Write, 3),
        then(UnlockPermanent, 4),
        then(Close, 5),
        then(Unlink, END),
        ask(OpenToRead, 7, 1),
        ask(Read, 8, 11),
        ask(AskPid, 9, 10),
        ask(AskStart, 11, 10),
        then(Evict, 1),
        then(UnlockPermanent, 0),
    ],
    holds: 4..5,
};

pub(super) const RENAME_OVER: Round = Round {
    steps: &[
        ask(Create, 1, 4),
        then(Write, 2),
        then(Close, 3),
        then(Unlink, END),
        ask(OpenToRead, 5, 0),
        ask(Read, 6, 0),
        ask(AskPid, 7, 8),
        ask(AskStart, 0, 8),
        then(Prepare, 9),
        then(Rename, 10),
        ask(Reopen, 2, 0),
    ],
    holds: 2..3,
};

pub(super) const RENAME_OVER_GUARDED: Round = Round {
    steps: &[
        then(LockPermanent, 1),
        ask(Create, 2, 6),
        then(Write, 3),
        then(UnlockPermanent, 4),
        then(Close, 5),
        then(Unlink, END),
        ask(OpenToRead, 7, 1),
        ask(Read, 8, 11),
        ask(AskPid, 9, 10),
        ask(AskStart, 11, 10),
        then(Prepare, 12),
        then(UnlockPermanent, 0),
        then(Rename, 13),
        ask(Reopen, 3, 1),
    ],
    holds: 4..5,
};

pub(super) const ORPHAN_SELF_PID: Round = Round { steps: &orphan(Mine::Pid), holds: 3..4 };
pub(super) const PID_START_TIME: Round = Round { steps: &orphan(Mine::PidAndStart), holds: 3..4 };
pub(super) const PID_NAMESPACE: Round = Round { steps: &orphan(Mine::PidStartAndNamespace), holds: 3..4 };

const fn orphan(mine: Mine) -> [Step; 10] {
    [
        ask(Create, 1, 6),
        then(Remember, 2),
        then(Write, 3),
        then(Close, 4),
        then(Unlink, 5),
        then(Forget, END),
        ask(OpenToRead, 7, 0),
        ask(Read, 8, 0),
        ask(AskMap(mine), 9, 0),
        then(Evict, 0),
    ]
}

pub(super) const EARLY_MAP_DELETE: Round = Round {
    steps: &[
        then(Reserve, 1),
        ask(Create, 2, 6),
        then(Write, 3),
        then(Forget, 4),
        then(Close, 5),
        then(Unlink, END),
        ask(OpenToRead, 7, 1),
        ask(Read, 8, 1),
        ask(AskSelf(Mine::Pid), 9, 1),
        then(Evict, 1),
    ],
    holds: 3..4,
};

pub(super) const MAP_HALF_FIX: Round = Round {
    steps: &[
        ask(Create, 1, 6),
        then(Write, 2),
        then(Remember, 3),
        then(Close, 4),
        then(Unlink, 5),
        then(Forget, END),
        ask(OpenToRead, 7, 0),
        ask(Read, 8, 0),
        ask(AskMap(Mine::Pid), 9, 0),
        then(Evict, 0),
    ],
    holds: 3..4,
};

pub(super) const MAP_RESERVED: Round = Round {
    steps: &[
        then(Reserve, 1),
        ask(Create, 2, 6),
        then(Write, 3),
        then(Close, 4),
        then(Unlink, 5),
        then(Forget, END),
        ask(OpenToRead, 7, 1),
        ask(Read, 8, 1),
        ask(AskSelf(Mine::Pid), 9, 1),
        then(Evict, 1),
    ],
    holds: 3..4,
};

pub(super) const UNLOCK_BEFORE_UNLINK: Round = Round {
    steps: &[
        then(OpenOrCreate, 1),
        then(Flock, 2),
        ask(CheckPath, 3, 7),
        then(Write, 4),
        then(Funlock, 5),
        then(Unlink, 6),
        then(Close, END),
        then(Close, 0),
    ],
    holds: 4..5,
};

pub(super) const DELETABLE_CLAIM: Round = Round {
    steps: &[
        then(OpenOrCreate, 1),
        then(Flock, 2),
        ask(CheckPath, 3, 6),
        then(Write, 4),
        then(Unlink, 5),
        then(Close, END),
        then(Close, 0),
    ],
    holds: 4..5,
};

pub(super) const PERMANENT_LOCK: Round = Round {
    steps: &[
        then(LockPermanent, 1),
        then(OpenOrCreate, 2),
        then(Write, 3),
        then(Unlink, 4),
        then(Close, 5),
        then(UnlockPermanent, END),
    ],
    holds: 3..4,
};
