//! Counting what happens in one directory, and writing it through to this process's slot.
//!
//! Each finished operation is one `pwrite`: the end of an acquire without the lock, and a release, which takes its acquire
//! with it. What is not finished within [`LATER`] is written by the watcher, and so are the acquires that wait. So a process
//! that is killed takes at most one operation with it for each that it had under way.
//!
//! A slot that cannot be had or written never fails a lock: it is said once, the totals go on in memory, and another try
//! follows from time to time.

use super::exemplar::Exemplars;
use super::file::Slot;
use super::record::Contention;
use super::slot::{CONTENTIONS, EXEMPLARS, WAITS};
use super::totals::Totals;
use crate::directory::Directory;
use crate::event::Event;
use crate::payload::TraceParent;
use crate::request::Request;
use crate::sys::{self, Errno};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How soon what is under way is written, and for how long an acquire waits before it is told.
pub(crate) const LATER: Duration = Duration::from_millis(10);
/// Shorter waits are counted, and not remembered one by one.
const WORTH_TELLING: Duration = Duration::from_millis(1);
const RETRY: Duration = Duration::from_secs(1);

/// The counters of one directory in this process.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    state: Mutex<State>,
    flush_is_due: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    totals: Totals,
    slot: Option<Slot>,
    /// The path names another file than the slot's.
    slot_is_elsewhere: bool,
    /// The slot before, in another file, until its successor is written.
    left: Option<Slot>,
    /// There was no slot to be had; when to try again.
    retry_at: Option<Instant>,
    failure_is_said: bool,
    /// Something is counted that is not written.
    dirty: bool,
    /// By the numbers of their requests.
    waits: BTreeMap<u64, (Instant, Box<Contention>)>,
    /// How many records of waits the slot has.
    told_waits: u64,
    /// Waits that have ended and are not written: the last ones, because there is no place for more.
    ended_waits: VecDeque<Contention>,
    next_contention: u64,
    exemplars: Box<Exemplars>,
    unwritten_exemplars: u32,
}

/// What a record led to.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// [`Recorder::flush`] is to be called after [`LATER`].
    pub(crate) flush_later: bool,
    /// The counters cannot be written, which has not been said yet.
    pub(crate) failed: Option<Errno>,
}

impl Recorder {
    /// Counts what happened to a request or to its hold, in this span if that is sampled.
    pub(crate) fn record(&self, request: &Request, event: &Event, span: Option<TraceParent>) -> Recorded {
        let mut state = self.state();
        state.totals.count(event);
        if let Some(span) = span.filter(TraceParent::is_sampled) {
            state.unwritten_exemplars += u32::from(state.exemplars.keep(event, span));
        }
        let failed = match event {
            Event::Contended { by, holder } => {
                let asker = request.directory.process.asker();
                let contention = Contention {
                    session: request.session.name.clone(),
                    pid: asker.pid,
                    pid_ns: asker.pid_ns,
                    label: request.label.clone(),
                    since: sys::clock::wall(),
                    waited: None,
                    by: *by,
                    holder: holder.as_ref().and_then(|holder| holder.payload.clone()),
                };
                state.waits.insert(request.number, (sys::clock::now(), Box::new(contention)));
                if state.slot.is_none() {
                    // Taken by the flush, it would keep an acquire waiting whose turn has come.
                    state.write(&request.directory, limit(&request.directory))
                } else {
                    state.later()
                }
            }
            Event::Acquired { waited, .. } => {
                state.end_wait(request, *waited);
                state.later()
            }
            Event::NotAcquired { waited, .. } => {
                state.end_wait(request, *waited);
                state.write(&request.directory, limit(&request.directory))
            }
            Event::Released { held, .. } => {
                let directory = &request.directory;
                state.write(directory, directory.size_limit_at(*held))
            }
            Event::ReclaimRefused { .. }
            | Event::Reclaimed { .. }
            | Event::Reentered { .. }
            | Event::ClaimRestored
            | Event::Lost { .. }
            | Event::HoldExceeded { .. }
            | Event::NotCounted { .. } => state.later(),
        };
        let later = state.dirty
            || state.unwritten_exemplars > 0
            || !state.ended_waits.is_empty()
            || !state.waits.is_empty()
            || state.told_waits > 0;
        drop(state);
        let flush_later =
            later && !self.flush_is_due.load(Ordering::Acquire) && !self.flush_is_due.swap(true, Ordering::AcqRel);
        Recorded { flush_later, failed }
    }

    /// Writes what is not written yet, and who waits. True if it is to be called again.
    pub(crate) fn flush(&self, directory: &Directory) -> bool {
        self.flush_is_due.store(false, Ordering::Release);
        let mut state = self.state();
        // Somebody may have removed the file, and with it what the dead have counted; what this process has goes on.
        state.slot_is_elsewhere = state.slot.as_ref().is_some_and(|slot| !slot.is_at_path(directory));
        if state.slot_is_elsewhere {
            state.dirty = true;
        }
        if state.dirty {
            // It is said to whoever records next.
            state.write(directory, limit(directory));
        }
        // One clock for both: a wait that is too young to be told has to be told by the next flush.
        let now = sys::clock::now();
        state.write_ended_waits(directory);
        state.tell_waits(directory, now);
        state.write_exemplars(directory);
        let again = state.waits.values().any(|(since, _)| now.saturating_duration_since(*since) < LATER);
        again && !self.flush_is_due.swap(true, Ordering::AcqRel)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn later(&mut self) -> Option<Errno> {
        self.dirty = true;
        None
    }

    /// Writes the totals. The reason, if they cannot be written and that has not been said.
    fn write(&mut self, directory: &Directory, limit: u64) -> Option<Errno> {
        self.dirty = true;
        if self.slot.is_none() || self.slot_is_elsewhere {
            let now = sys::clock::now();
            if self.retry_at.is_some_and(|at| now < at) {
                return None;
            }
            self.retry_at = now.checked_add(RETRY);
            if let Err(errno) = self.take_slot(directory) {
                return self.say(errno);
            }
        }
        let slot = self.slot.as_mut()?;
        match slot.write(&self.totals, limit) {
            Ok(()) => {
                if let Some(left) = self.left.take() {
                    left.erase(limit);
                }
                self.dirty = false;
                self.failure_is_said = false;
                None
            }
            Err(errno) => self.say(errno),
        }
    }

    /// Takes a slot in the file at the path. The one before is kept until then: given up, it would look like that of somebody
    /// dead, and once its file is back at the path, this process would inherit its own numbers and count them twice.
    fn take_slot(&mut self, directory: &Directory) -> sys::Result<()> {
        if self.slot.as_ref().is_some_and(|slot| slot.is_at_path(directory)) {
            self.slot_is_elsewhere = false;
            return Ok(());
        }
        let (slot, inherited) = Slot::take(directory)?;
        self.totals.inherit(&inherited);
        self.slot_is_elsewhere = false;
        let before = self.slot.replace(slot);
        if let Some(never_written) = before.and_then(|before| self.left.replace(before)) {
            never_written.erase(limit(directory));
        }
        Ok(())
    }

    fn say(&mut self, errno: Errno) -> Option<Errno> {
        (!std::mem::replace(&mut self.failure_is_said, true)).then_some(errno)
    }

    /// Remembers the wait, if the request was contended. Whoever waits for this acquire does not wait for its record too.
    fn end_wait(&mut self, request: &Request, waited: Duration) {
        let Some((_, mut contention)) = self.waits.remove(&request.number) else { return };
        if waited < WORTH_TELLING {
            return;
        }
        contention.waited = Some(waited);
        self.ended_waits.push_back(*contention);
        if self.ended_waits.len() as u64 > CONTENTIONS.pages {
            self.ended_waits.pop_front();
        }
    }

    fn write_ended_waits(&mut self, directory: &Directory) {
        let (false, Some(slot)) = (self.ended_waits.is_empty(), &self.slot) else { return };
        let limit = limit(directory);
        for record in self.ended_waits.drain(..).filter_map(|ended| ended.encode()) {
            // Best effort: it is counted in any case.
            slot.write_record(CONTENTIONS, self.next_contention % CONTENTIONS.pages, &record, limit).ok();
            self.next_contention += 1;
        }
    }

    fn write_exemplars(&mut self, directory: &Directory) {
        if let (1.., Some(slot)) = (self.unwritten_exemplars, &self.slot) {
            // Best effort: the next one is as good.
            slot.write_record(EXEMPLARS, 0, &self.exemplars.encode(), limit(directory)).ok();
            self.unwritten_exemplars = 0;
        }
    }

    /// The longest waits, and as many empty records as there were more before.
    fn tell_waits(&mut self, directory: &Directory, now: Instant) {
        let Some(slot) = &self.slot else { return };
        if self.waits.is_empty() && self.told_waits == 0 {
            return;
        }
        let limit = limit(directory);
        let mut waits: Vec<_> = self.waits.values().collect();
        waits.sort_by_key(|(since, _)| *since);
        let old = waits.into_iter().filter(|(since, _)| now.saturating_duration_since(*since) >= LATER);
        let mut told = 0;
        for (_, contention) in old {
            if told < WAITS.pages
                && let Some(record) = contention.encode()
                && slot.write_record(WAITS, told, &record, limit).is_ok()
            {
                told += 1;
            }
        }
        for nth in told..self.told_waits {
            slot.write_record(WAITS, nth, &[0; 8], limit).ok();
        }
        self.told_waits = told;
    }
}

fn limit(directory: &Directory) -> u64 {
    directory.ask_size_limit().unwrap_or(u64::MAX)
}
