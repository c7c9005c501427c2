//! The records that workers write themselves.

use super::cause::{Standing, overlap};
use super::finding::{Hold, Kind, Numbered, Violation};
use super::life::{Life, Seen, Stage, Suspicion};
use super::lock::{Closed, Open};
use super::{Cause, Misfit, Oracle, Side, Succession, Tokens};
use crate::fault::Fault;
use crate::history::{Event, Record};

impl Oracle {
    /// A record that a worker wrote.
    pub(super) fn own(&mut self, now: Numbered) -> Result<Option<Succession>, Misfit> {
        let Record { event, incarnation, lock: index, .. } = now.record;
        let grace = self.setup.grace;
        let life = self.life(incarnation);
        let (seen, releasing) = (life.seen, life.releasing);
        life.seen = Seen::of(now);
        // Whoever writes was alive all the time.
        for suspected in std::mem::take(&mut life.suspected) {
            self.findings.blame_often(suspected.violation.settled_by(now), suspected.count);
        }
        if let Some(lock) = releasing {
            self.returned(now, lock)?;
            if let Some(lock) = self.lock(lock) {
                lock.end_release(now, grace);
            }
        }
        let life = self.life(incarnation);
        if event == Event::Start {
            return life.start();
        }
        if life.stage != Stage::Started {
            return Err(Misfit);
        }
        match event {
            Event::Acquired => return self.acquired(now, seen),
            Event::Releasing => return self.releasing(now),
            Event::Timeout => self.timeout(now, seen),
            Event::Cancelled => self.findings.cancelled += 1,
            Event::Error => self.error(now, seen),
            Event::Caught | Event::Forked if !life.is_inside(index) => return Err(Misfit),
            Event::Forked => self.findings.count(Fault::Fork),
            Event::Exec => return self.executing(now),
            Event::Released | Event::Lost if releasing != Some(index) && !life.unknown => return Err(Misfit),
            Event::Done => return life.done(),
            _ => {}
        }
        Ok(None)
    }

    /// The first record after *releasing*: the release is over.
    fn returned(&mut self, now: Numbered, index: u16) -> Result<(), Misfit> {
        let Record { event, incarnation, .. } = now.record;
        self.life(incarnation).releasing = None;
        let lock = self.lock(index).ok_or(Misfit)?;
        if event == Event::Lost {
            let excused = lock.excuses_loss(incarnation);
            self.findings.lost += 1;
            self.findings.explained.lost += u64::from(excused);
            self.findings.oddities.lost += u64::from(!excused);
        }
        Ok(())
    }

    fn acquired(&mut self, now: Numbered, seen: Seen) -> Result<Option<Succession>, Misfit> {
        let Record { incarnation, lock: index, worker, .. } = now.record;
        let (side, grace, state) = (self.side(worker), self.setup.grace, self.state);
        let life = self.life(incarnation);
        if life.inside.is_some() {
            return Err(Misfit);
        }
        let doomed = life.killed;
        let lock = self.lock(index).ok_or(Misfit)?;
        let standing = lock.standing(now, side, seen, state.as_ref(), grace);
        lock.acquired += 1;
        lock.moved_at = now.number;
        lock.stuck = false;
        let passed_on = lock.last_worker.replace(worker).is_some_and(|last| last != worker);
        if side == Side::Ours {
            lock.taken_by_ours(now);
        }
        let life = self.life(incarnation);
        life.inside = Some(index);
        life.unknown = false;
        self.findings.acquired += 1;
        self.findings.acquired_by_older += u64::from(side.is_older());
        self.findings.passed_on += u64::from(passed_on);
        if side == Side::Ours {
            self.check_token(now, seen);
        }
        let endangered = self.suspect(now, &standing);
        let lock = self.lock(index).ok_or(Misfit)?;
        lock.endangered += u64::from(endangered);
        lock.open.push(Open { hold: Hold { began: now }, standing, doomed, endangered });
        let Some((succession, before)) = lock.ended.take().filter(|_| !doomed) else { return Ok(None) };
        self.findings.takeovers += u64::from(succession.after_kill);
        self.findings.takeovers_of_older += u64::from(succession.after_kill && before.is_older() && !side.is_older());
        Ok(Some(succession))
    }

    fn check_token(&mut self, now: Numbered, seen: Seen) {
        let Record { incarnation, lock: index, token, .. } = now.record;
        let Some(lock) = self.locks.get_mut(usize::from(index)) else { return };
        if self.setup.tokens == Tokens::Absent && token == 0 && lock.tokens.is_empty() {
            return;
        }
        if let Err(previous) = lock.tokens.take(token, seen.place) {
            let story = self.recent.tell(index, &[incarnation], &[]);
            let holds = vec![Hold { began: now }];
            let kind = Kind::TokenNotLarger { previous };
            self.findings.blame(Violation { holds, story, ..Violation::new(kind, index) });
        }
    }

    /// Suspects whoever has the lock when this hold begins. Whether that overlap, if it is one, is inherent.
    fn suspect(&mut self, now: Numbered, standing: &Standing) -> bool {
        let Self { locks, lives, recent, .. } = self;
        let Record { incarnation, lock: index, .. } = now.record;
        let Some(lock) = locks.get_mut(usize::from(index)) else { return false };
        let mut endangered = false;
        for open in &mut lock.open {
            let (found, proofs) = overlap(&open.standing, standing);
            if found.cause != Cause::Unexplained {
                endangered = true;
                lock.endangered += u64::from(!std::mem::replace(&mut open.endangered, true));
            }
            let began = open.hold.began;
            let Some(holder) = lives.get_mut(&began.record.incarnation) else { continue };
            if let Some(known) = holder.suspicion(found, open.doomed) {
                known.count += 1;
                continue;
            }
            let needed = [&[began], proofs.as_slice()].concat();
            let story = recent.tell(index, &[began.record.incarnation, incarnation], &needed);
            let holds = vec![open.hold, Hold { began: now }];
            let violation = Violation { overlap: Some(found), holds, story, ..Violation::new(Kind::Overlap, index) };
            holder.suspected.push(Suspicion { violation, count: 1, cleared_by_exit: open.doomed });
        }
        endangered
    }

    fn releasing(&mut self, now: Numbered) -> Result<Option<Succession>, Misfit> {
        let Record { incarnation, lock: index, worker, .. } = now.record;
        let side = self.side(worker);
        let life = self.life(incarnation);
        if life.inside.take_if(|inside| *inside == index).is_none() && !life.unknown {
            return Err(Misfit);
        }
        let unknown = std::mem::take(&mut life.unknown);
        life.releasing = Some(index);
        let lock = self.lock(index).ok_or(Misfit)?;
        let open = lock.close(incarnation);
        lock.begin_release(now, open.as_ref().map(|open| &open.standing), side);
        lock.completed += u64::from(!unknown);
        lock.moved_at = now.number;
        if open.is_some() {
            lock.ends(now);
        }
        if open.is_some_and(|open| open.closed() == Closed::Living) {
            lock.ended = Some((Succession { after_kill: false, ended_us: now.record.at_us }, side));
        }
        self.findings.completed += u64::from(!unknown);
        Ok(None)
    }

    /// Its hold ends, without a release: what takes its place knows nothing of it.
    fn executing(&mut self, now: Numbered) -> Result<Option<Succession>, Misfit> {
        let Record { incarnation, lock: index, .. } = now.record;
        let life = self.life(incarnation);
        if !life.is_inside(index) {
            return Err(Misfit);
        }
        life.inside = None;
        life.stage = Stage::Executing;
        let lock = self.lock(index).ok_or(Misfit)?;
        lock.close(incarnation);
        lock.ends(now);
        lock.ended = None;
        self.findings.count(Fault::Exec);
        Ok(None)
    }

    fn error(&mut self, now: Numbered, seen: Seen) {
        let Record { incarnation, detail, .. } = now.record;
        let no_descriptors = self.life(incarnation).no_descriptors;
        self.findings.errors += 1;
        self.findings.explained.errors += u64::from(self.around.explain_error(detail, seen.place, no_descriptors));
    }

    fn timeout(&mut self, now: Numbered, seen: Seen) {
        let Record { lock: index, worker, at_us, detail, .. } = now.record;
        let lock = self.lock(index).map(|lock| {
            lock.stuck |= lock.moved_at < seen.place;
            lock.struck
        });
        let struck = lock.flatten().is_some_and(|struck| struck > seen.place);
        let from_us = at_us.saturating_sub(u64::try_from(detail).unwrap_or(0));
        let still = self.lives.values().filter_map(|life| life.stopped_us);
        // An older peer only polls: nobody owes it a turn.
        let explained = self.side(worker).is_older()
            || struck
            || self.around.explain_timeout(seen.place)
            || self.around.stood_still(from_us, at_us, still);
        self.findings.timeouts += 1;
        self.findings.explained.timeouts += u64::from(explained);
    }
}

impl Life {
    fn start(&mut self) -> Result<Option<Succession>, Misfit> {
        match self.stage {
            Stage::Unstarted | Stage::Executing => self.stage = Stage::Started,
            Stage::Started if self.unknown => self.unknown = false,
            Stage::Started | Stage::Done => return Err(Misfit),
        }
        Ok(None)
    }

    fn done(&mut self) -> Result<Option<Succession>, Misfit> {
        self.stage = Stage::Done;
        if self.inside.is_some() { Err(Misfit) } else { Ok(None) }
    }

    fn is_inside(&self, lock: u16) -> bool {
        self.inside == Some(lock) || self.unknown
    }
}
