//! The records that the supervisor writes: about a worker, the directory or the machine.

use super::finding::Numbered;
use super::lock::Deletion;
use super::{Oracle, Stage, Succession};
use crate::fault::Fault;
use crate::history::{Event, NOBODY, Record};

/// The number by which an *exit* says that its process died of the kill.
const SIGKILL: i32 = 9;

impl Oracle {
    /// A record that the supervisor wrote.
    pub(super) fn supervised(&mut self, now: Numbered) {
        let Record { event, fault, at_us, incarnation, .. } = now.record;
        match event {
            Event::Kill => self.kill(now),
            Event::Exit => self.exit(now),
            Event::Stop => {
                self.findings.stops += 1;
                self.findings.count(fault.unwrap_or(Fault::Stop));
                self.life(incarnation).stopped_us.get_or_insert(at_us);
            }
            Event::Continue => self.moves(incarnation, at_us),
            Event::Strike | Event::Relieve => match fault {
                Some(fault) if event == Event::Strike => self.strike(now, fault),
                Some(fault) => self.relieve(now, fault),
                None => self.findings.oddities.misfits += 1,
            },
            _ => {}
        }
    }

    fn kill(&mut self, now: Numbered) {
        let Record { fault, incarnation, at_us, .. } = now.record;
        self.findings.kills += 1;
        self.moves(incarnation, at_us);
        let life = self.life(incarnation);
        life.killed = true;
        for suspected in &mut life.suspected {
            suspected.violation.story.push(now);
        }
        let inside = life.inside.and_then(|index| self.lock(index)?.doom(now).map(|side| (index, side)));
        if let Some((index, side)) = inside {
            self.findings.kills_inside += 1;
            if let Some(lock) = self.lock(index) {
                lock.ended = Some((Succession { after_kill: true, ended_us: at_us }, side));
            }
        }
        match fault {
            // Counted when the new process has the pid.
            Some(Fault::PidReuse) => {}
            Some(fault) => self.findings.count(fault),
            None if inside.is_some() => self.findings.count(Fault::KillInside),
            None => self.findings.count(Fault::Kill),
        }
    }

    fn exit(&mut self, now: Numbered) {
        let Record { incarnation, at_us, detail, .. } = now.record;
        self.moves(incarnation, at_us);
        let grace = self.setup.grace;
        let Some(life) = self.lives.remove(&incarnation) else {
            self.findings.oddities.crashed += u64::from(!self.is_cut());
            return;
        };
        let done = life.stage == Stage::Done || life.unknown;
        if life.killed && detail == -SIGKILL {
            for suspected in life.suspected.into_iter().filter(|suspected| !suspected.cleared_by_exit) {
                self.findings.blame_often(suspected.violation.settled_by(now), suspected.count);
            }
        } else if detail != 0 || !done {
            self.findings.oddities.crashed += 1;
        }
        if let Some(lock) = life.inside.and_then(|index| self.lock(index))
            && lock.close(incarnation).is_some_and(|open| !open.doomed)
        {
            lock.ended = None;
        }
        if let Some(lock) = life.releasing.and_then(|index| self.lock(index)) {
            lock.end_release(now, grace);
        }
    }

    /// A worker that may have stood still does so no longer.
    fn moves(&mut self, incarnation: u32, at_us: u64) {
        if let Some(since_us) = self.lives.get_mut(&incarnation).and_then(|life| life.stopped_us.take()) {
            self.around.moves(since_us, at_us);
        }
    }

    fn strike(&mut self, now: Numbered, fault: Fault) {
        let Record { worker, incarnation, lock: index, .. } = now.record;
        self.findings.count(fault);
        self.around.strike(fault);
        match fault {
            Fault::DeleteClaim | Fault::TruncateClaim | Fault::ReplaceClaim => {
                let Some(lock) = self.lock(index) else {
                    self.findings.oddities.misfits += 1;
                    return;
                };
                lock.struck = Some(now.number);
                if fault != Fault::TruncateClaim {
                    lock.strike(now);
                }
            }
            Fault::DeleteState => {
                self.state = Some(Deletion::new(now));
                for lock in &mut self.locks {
                    lock.strike_state(now);
                }
            }
            Fault::NoDescriptors if worker != NOBODY => self.life(incarnation).no_descriptors.strike(),
            _ => {}
        }
    }

    fn relieve(&mut self, now: Numbered, fault: Fault) {
        let Record { incarnation, lock: index, .. } = now.record;
        let place = now.number;
        self.around.relieve(fault, place);
        match fault {
            Fault::DeleteClaim | Fault::ReplaceClaim => {
                if let Some(lock) = self.lock(index) {
                    lock.relieve(now);
                }
            }
            Fault::DeleteState => {
                if let Some(state) = &mut self.state {
                    state.relieve(now);
                }
                for lock in &mut self.locks {
                    lock.tokens.relieve(place);
                }
            }
            Fault::NoDescriptors => {
                // It may be gone by now.
                if let Some(life) = self.lives.get_mut(&incarnation) {
                    life.no_descriptors.relieve(place);
                }
            }
            _ => {}
        }
    }
}
