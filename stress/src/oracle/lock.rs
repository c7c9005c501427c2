//! What the oracle knows of one lock: who holds it, who is about to let go of it, and what was done to its claim.
//!
//! The rules of `cause` are kept here while the history is read; whether a suspected overlap is one is the oracle's.

use std::time::Duration;

use super::Succession;
use super::cause::{DEED, Loss, Side, Standing, Void};
use super::finding::{Hold, Numbered};
use super::life::Seen;
use super::tokens::Series;

#[derive(Debug, Default, Clone)]
pub(super) struct Lock {
    /// Holds that have not ended: more than one only while something is wrong, or a killed holder is not reaped.
    pub(super) open: Vec<Open>,
    /// Releases that have not returned.
    releases: Vec<Release>,
    /// Where the latest hold to end has ended.
    ended_at: Seen,
    /// The latest deletion or replacement of the claim.
    deletion: Option<Deletion>,
    /// The latest stray release to end, and where it did.
    stray: Option<(Seen, Void)>,
    /// The place of the latest fault done to the claim, also one that left the file.
    pub(super) struck: Option<u64>,
    pub(super) tokens: Series,
    pub(super) last_worker: Option<u16>,
    /// How the hold before ended, and whose it was, until the next begins.
    pub(super) ended: Option<(Succession, Side)>,
    pub(super) acquired: u64,
    pub(super) completed: u64,
    /// The place of the last *acquired* or *releasing*.
    pub(super) moved_at: u64,
    /// An acquire has timed out during which nobody acquired or released, and nobody has acquired since.
    pub(super) stuck: bool,
    /// Holds that an inherent overlap may have cost their update.
    pub(super) endangered: u64,
}

/// A hold that has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) hold: Hold,
    pub(super) standing: Standing,
    /// Its process was killed: over, unless the process shows that it lives.
    pub(super) doomed: bool,
    pub(super) endangered: bool,
}

/// From *releasing* on.
#[derive(Debug, Clone, Copy)]
struct Release {
    began: Numbered,
    side: Side,
    /// Once it may unlink another's claim.
    stray: Option<Void>,
    /// The next of ours has the lock, so this one of ours has unlinked.
    over: bool,
    /// What was known of the hold, and what has happened since: why it may find its claim gone.
    excused: bool,
}

/// A deletion, from its *strike* to its *relieve*.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deletion {
    strike: Numbered,
    relieved: Option<Seen>,
}

/// Whose hold was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Living,
    Doomed,
}

impl Deletion {
    pub(super) fn new(strike: Numbered) -> Self {
        Self { strike, relieved: None }
    }

    pub(super) fn relieve(&mut self, now: Numbered) {
        self.relieved.get_or_insert(Seen::of(now));
    }

    /// The *strike*, if this may have happened at or after a place.
    pub(super) fn since(&self, from: Seen) -> Option<Numbered> {
        self.relieved.is_none_or(|relieved| relieved.place >= from.place).then_some(self.strike)
    }

    /// The same for a deed that is done soon after its strike, also where no *relieve* says when, to a hold that was not
    /// asked for earlier than this by the clock.
    fn soon_since(&self, from: Seen, asked_us: u64) -> Option<Numbered> {
        let soon_us = self.strike.record.at_us.saturating_add(us(DEED));
        let done_us = self.relieved.map_or(soon_us, |relieved| relieved.at_us.max(soon_us));
        let may_be = self.strike.number >= from.place || self.relieved.is_some() || soon_us >= from.at_us;
        self.since(from).filter(|_| may_be && done_us >= asked_us)
    }
}

impl Lock {
    /// What the causes know of a hold that begins now: its holder was last seen then.
    pub(super) fn standing(
        &self,
        now: Numbered,
        side: Side,
        seen: Seen,
        state: Option<&Deletion>,
        grace: Duration,
    ) -> Standing {
        let from = if seen.place > self.ended_at.place { seen } else { self.ended_at };
        let acquired_us = now.record.at_us;
        let asked_us = acquired_us.saturating_sub(u64::try_from(now.record.detail).unwrap_or(0));
        let deleted = self.deletion.and_then(|deletion| deletion.soon_since(from, asked_us));
        let reaches = |(ended, _): &(Seen, Void)| ended.place >= from.place && ended.at_us >= asked_us;
        let mut late =
            self.releases.iter().filter(|release| release.side.is_older()).map(|release| release.late(grace));
        let void = deleted
            .map(Void::deleted)
            .or_else(|| self.stray.filter(reaches).map(|(_, void)| void))
            .or_else(|| self.releases.iter().find_map(|release| release.stray))
            .or_else(|| late.find(|void| void.since_us <= acquired_us));
        Standing { side, acquired_us, void, state_gone: state.and_then(|state| state.since(from)) }
    }

    /// Ends the hold of this incarnation, if it has one that has not ended.
    pub(super) fn close(&mut self, incarnation: u32) -> Option<Open> {
        let at = self.open.iter().position(|open| open.hold.began.record.incarnation == incarnation)?;
        Some(self.open.swap_remove(at))
    }

    /// The latest hold to end has ended here.
    pub(super) fn ends(&mut self, now: Numbered) {
        self.ended_at = Seen::of(now);
    }

    /// Marks the hold of a killed incarnation, and says whose it is if it has one that was not marked yet.
    pub(super) fn doom(&mut self, now: Numbered) -> Option<Side> {
        let incarnation = now.record.incarnation;
        let mut open = self.open.iter_mut();
        let open = open.find(|open| open.hold.began.record.incarnation == incarnation && !open.doomed)?;
        open.doomed = true;
        let side = open.standing.side;
        self.ends(now);
        Some(side)
    }

    /// A holder begins to let go of what it held.
    pub(super) fn begin_release(&mut self, now: Numbered, standing: Option<&Standing>, side: Side) {
        let stray = match side {
            Side::Older => standing.and_then(|standing| standing.void),
            // It looks before it unlinks.
            Side::Ours => self.deletion.and_then(|deletion| deletion.soon_since(Seen::of(now), 0)).map(Void::deleted),
        };
        let excused = standing.is_some_and(|standing| standing.void.is_some() || standing.state_gone.is_some());
        self.releases.push(Release { began: now, side, stray, over: false, excused });
        if let Some(stray) = stray {
            self.void_all(stray);
        }
    }

    /// The release of this incarnation has returned, or its process is gone.
    pub(super) fn end_release(&mut self, now: Numbered, grace: Duration) {
        let incarnation = now.record.incarnation;
        let Some(at) = self.releases.iter().position(|release| release.began.record.incarnation == incarnation) else {
            return;
        };
        let release = self.releases.swap_remove(at);
        let lasted = now.record.at_us.saturating_sub(release.began.record.at_us);
        let late = || (release.side.is_older() && lasted >= us(grace)).then(|| release.late(grace));
        if let Some(void) = release.stray.or_else(late) {
            self.stray = Some((Seen::of(now), void));
        }
    }

    /// One of ours has the lock: who let go of it before has unlinked its claim, which it does before it unlocks.
    pub(super) fn taken_by_ours(&mut self, now: Numbered) {
        for release in self.releases.iter_mut().filter(|release| !release.side.is_older() && !release.over) {
            release.over = true;
            if let Some(void) = release.stray.take() {
                self.stray = Some((Seen::of(now), void));
            }
        }
    }

    /// Whether the release of this incarnation may find its claim gone.
    pub(super) fn excuses_loss(&self, incarnation: u32) -> bool {
        self.releases.iter().any(|release| release.began.record.incarnation == incarnation && release.excused)
    }

    /// The claim is about to be deleted or replaced.
    pub(super) fn strike(&mut self, now: Numbered) {
        let void = Void::deleted(now);
        self.deletion = Some(Deletion::new(now));
        for release in &mut self.releases {
            if !release.over {
                release.stray.get_or_insert(void);
            }
            release.excused = true;
        }
        self.void_all(void);
    }

    /// That is done: at any moment since its strike.
    pub(super) fn relieve(&mut self, now: Numbered) {
        if let Some(deletion) = &mut self.deletion {
            deletion.relieve(now);
            let void = Void::deleted(deletion.strike);
            self.void_all(void);
        }
    }

    /// The state directory is about to be deleted.
    pub(super) fn strike_state(&mut self, now: Numbered) {
        self.tokens.strike();
        for open in &mut self.open {
            open.standing.state_gone.get_or_insert(now);
        }
        for release in &mut self.releases {
            release.excused = true;
        }
    }

    /// Forgets who is about, because a piece of the history is missing.
    pub(super) fn forget(&mut self) {
        let Self { acquired, completed, endangered, .. } = *self;
        *self = Self { acquired, completed, endangered, ..Self::default() };
    }

    fn void_all(&mut self, void: Void) {
        for open in &mut self.open {
            open.standing.void.get_or_insert(void);
        }
    }
}

impl Open {
    pub(super) fn closed(&self) -> Closed {
        if self.doomed { Closed::Doomed } else { Closed::Living }
    }
}

impl Release {
    /// What it does once the grace is over.
    fn late(&self, grace: Duration) -> Void {
        let since_us = self.began.record.at_us.saturating_add(us(grace));
        Void { loss: Loss::LateRelease, proof: self.began, since_us }
    }
}

pub(super) fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
