//! The swim lanes: the last records of a run, or those around its first violation, as holds, waits and faults.
//!
//! While the run goes, only records are kept, and of what has been dropped only what had not ended: who held a lock, and
//! which stop or fault lasted. The items are made of that when the run is over.

use std::collections::VecDeque;

use serde::Serialize;

use super::KEPT;
use crate::fault::Fault;
use crate::history::{Event, NOBODY, Record};
use crate::oracle::Numbered;

/// Keeps the records to draw.
#[derive(Debug)]
pub(super) struct Lanes {
    recent: VecDeque<Numbered>,
    /// By worker: the hold that began before the records at hand.
    holding: Vec<Option<Numbered>>,
    /// The stops and faults that began before the records at hand.
    lasting: Vec<Numbered>,
    /// The number of the last record to keep, once there is a violation.
    last: Option<u64>,
}

/// What to draw, from its first to its last record. Times are microseconds since the run began.
#[derive(Debug, Default, Serialize)]
pub(super) struct Stretch {
    /// Whether it ends because of a violation, not with the run.
    frozen: bool,
    /// The first record at hand and the last one, and their times.
    records: [u64; 2],
    times: [u64; 2],
    holds: Vec<Bar>,
    gave_up: Vec<GaveUp>,
    spans: Vec<Span>,
    marks: Vec<Mark>,
}

/// A hold: worker, incarnation, lock, token; when it was asked for, began and ended; its first and last record; its end.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Bar(u16, u32, u16, u64, u64, u64, u64, u64, u64, End);

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum End {
    /// By a release.
    Released,
    /// By a kill.
    Killed,
    /// With its process, in another way.
    Gone,
    /// After the last record at hand.
    Open,
}

/// An acquire that came to nothing: worker, lock, what became of it, when it was asked for and ended, its record.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct GaveUp(u16, u16, &'static str, u64, u64, u64);

/// A stop or a fault that lasted: worker, lock, fault, when it began and ended, its first and last record.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Span(Option<u16>, u16, String, u64, u64, u64, u64);

/// What took no time: worker, lock, event, fault, when, its record, its detail.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Mark(Option<u16>, u16, &'static str, String, u64, u64, i32);

impl Lanes {
    pub(super) fn new(workers: u16) -> Self {
        let holding = vec![None; workers.into()];
        Self { recent: VecDeque::with_capacity(KEPT), holding, lasting: Vec::new(), last: None }
    }

    /// Keeps nothing after the record with this number.
    pub(super) fn freeze_after(&mut self, number: u64) {
        self.last = Some(number);
    }

    pub(super) fn observe(&mut self, told: Numbered) {
        if self.last.is_some_and(|last| last < told.number) {
            return;
        }
        if self.recent.len() == KEPT
            && let Some(dropped) = self.recent.pop_front()
        {
            self.forget(dropped);
        }
        self.recent.push_back(told);
    }

    fn forget(&mut self, dropped: Numbered) {
        let Record { event, worker, incarnation, .. } = dropped.record;
        match event {
            Event::Acquired => {
                if let Some(holding) = self.holding.get_mut(usize::from(worker)) {
                    *holding = Some(dropped);
                }
            }
            Event::Releasing | Event::Kill | Event::Exec => self.let_go(worker, incarnation),
            Event::Exit => {
                self.let_go(worker, incarnation);
                self.lasting.retain(|began| began.record.incarnation != incarnation);
            }
            Event::Stop => self.lasting.push(dropped),
            Event::Strike if lasts(&dropped.record) => self.lasting.push(dropped),
            Event::Continue | Event::Relieve => self.lasting.retain(|began| !ends(&began.record, &dropped.record)),
            _ => {}
        }
    }

    fn let_go(&mut self, worker: u16, incarnation: u32) {
        if let Some(holding) = self.holding.get_mut(usize::from(worker)) {
            *holding = holding.filter(|began| began.record.incarnation != incarnation);
        }
    }

    /// The items of the records at hand. `told`: records that must not be missing, however early.
    pub(super) fn stretch(&self, told: Vec<Numbered>) -> Stretch {
        let (Some(first), Some(last)) = (self.recent.front(), self.recent.back()) else { return Stretch::default() };
        let mut earlier = told;
        earlier.retain(|told| told.number < first.number);
        earlier.extend(self.holding.iter().flatten().chain(&self.lasting));
        earlier.sort_unstable_by_key(|told| told.number);
        earlier.dedup_by_key(|told| told.number);
        let mut drawing = Drawing {
            holding: vec![None; self.holding.len()],
            lasting: Vec::new(),
            stretch: Stretch {
                frozen: self.last.is_some_and(|until| until <= last.number),
                records: [first.number, last.number],
                times: [first.record.at_us, last.record.at_us],
                ..Stretch::default()
            },
        };
        for told in earlier.into_iter().chain(self.recent.iter().copied()) {
            drawing.draw(told);
        }
        drawing.finish(*last)
    }
}

/// Whether this *strike* is followed by a *relieve*.
fn lasts(strike: &Record) -> bool {
    let lasting =
        [Fault::DiskFull, Fault::InodesFull, Fault::ClockJump, Fault::NoDescriptors, Fault::DeleteState].map(Some);
    lasting.contains(&strike.fault)
}

/// Whether this *continue* or *relieve* ends what that *stop* or *strike* began. A *continue* does not say after which fault.
fn ends(began: &Record, end: &Record) -> bool {
    let fits = match end.event {
        Event::Continue => began.event == Event::Stop,
        _ => began.event == Event::Strike && began.fault == end.fault,
    };
    fits && (began.worker, began.incarnation) == (end.worker, end.incarnation)
}

/// Makes items of records.
struct Drawing {
    holding: Vec<Option<Holding>>,
    lasting: Vec<Numbered>,
    stretch: Stretch,
}

/// A hold that has not ended, but for a kill that its holder may outlive.
#[derive(Debug, Clone, Copy)]
struct Holding {
    began: Numbered,
    killed: Option<Numbered>,
}

impl Holding {
    const fn is_of(&self, incarnation: u32) -> bool {
        self.began.record.incarnation == incarnation
    }
}

impl Drawing {
    fn draw(&mut self, told: Numbered) {
        let record = told.record;
        match record.event {
            Event::Acquired => {
                self.end_hold(record.worker, None, told, End::Gone);
                if let Some(holding) = self.holding.get_mut(usize::from(record.worker)) {
                    *holding = Some(Holding { began: told, killed: None });
                }
            }
            Event::Releasing => self.end_hold(record.worker, Some(record.incarnation), told, End::Released),
            Event::Exec => self.end_hold(record.worker, Some(record.incarnation), told, End::Gone),
            Event::Timeout | Event::Cancelled | Event::Error => self.give_up(told),
            Event::Kill => {
                let holding = self.holding.get_mut(usize::from(record.worker)).and_then(Option::as_mut);
                if let Some(holding) = holding.filter(|holding| holding.is_of(record.incarnation)) {
                    holding.killed = Some(told);
                }
            }
            Event::Exit => {
                self.end_hold(record.worker, Some(record.incarnation), told, End::Gone);
                let (over, lasting) =
                    self.lasting.iter().partition(|began| began.record.incarnation == record.incarnation);
                self.lasting = lasting;
                self.end_spans(&over, told);
            }
            Event::Stop => self.lasting.push(told),
            Event::Strike if lasts(&record) => self.lasting.push(told),
            Event::Continue | Event::Relieve => {
                let (over, lasting) = self.lasting.iter().partition(|began| ends(&began.record, &record));
                self.lasting = lasting;
                self.end_spans(&over, told);
            }
            _ => {}
        }
        self.mark(told);
    }

    fn mark(&mut self, told: Numbered) {
        let Record { event, worker, lock, at_us, detail, fault, .. } = told.record;
        let instant = match event {
            Event::Kill | Event::Start | Event::Exit | Event::Lost | Event::Forked | Event::Exec => true,
            Event::Strike => !lasts(&told.record),
            _ => false,
        };
        if instant {
            let fault = fault.map(Fault::name).unwrap_or_default();
            self.stretch.marks.push(Mark(somebody(worker), lock, event.name(), fault, at_us, told.number, detail));
        }
    }

    fn give_up(&mut self, told: Numbered) {
        let Record { event, worker, lock, at_us, detail, .. } = told.record;
        // The detail of an error is its number, not a time.
        let waited_us = if event == Event::Error { 0 } else { u64::try_from(detail).unwrap_or(0) };
        let asked_us = at_us.saturating_sub(waited_us);
        self.stretch.gave_up.push(GaveUp(worker, lock, event.name(), asked_us, at_us, told.number));
    }

    /// Ends the worker's hold, if it is that of this incarnation, or whosever it is.
    fn end_hold(&mut self, worker: u16, whose: Option<u32>, at: Numbered, end: End) {
        let place = self.holding.get_mut(usize::from(worker));
        let held =
            place.and_then(|place| place.take_if(|held| whose.is_none_or(|incarnation| held.is_of(incarnation))));
        let Some(Holding { began, killed }) = held else { return };
        let (at, end) = match (killed, end) {
            (Some(killed), End::Gone | End::Open) => (killed, End::Killed),
            _ => (at, end),
        };
        let Record { incarnation, lock, token, at_us, detail, .. } = began.record;
        let asked_us = at_us.saturating_sub(u64::try_from(detail).unwrap_or(0));
        let ended_us = at.record.at_us.max(at_us);
        let bar = Bar(worker, incarnation, lock, token, asked_us, at_us, ended_us, began.number, at.number, end);
        self.stretch.holds.push(bar);
    }

    fn end_spans(&mut self, over: &[Numbered], at: Numbered) {
        for began in over {
            let Record { worker, lock, fault, at_us, .. } = began.record;
            let fault = fault.unwrap_or(Fault::Stop).name();
            let ended_us = at.record.at_us.max(at_us);
            self.stretch.spans.push(Span(somebody(worker), lock, fault, at_us, ended_us, began.number, at.number));
        }
    }

    fn finish(mut self, last: Numbered) -> Stretch {
        for worker in (0..).take(self.holding.len()) {
            self.end_hold(worker, None, last, End::Open);
        }
        let lasting = std::mem::take(&mut self.lasting);
        self.end_spans(&lasting, last);
        self.stretch
    }
}

fn somebody(worker: u16) -> Option<u16> {
    (worker != NOBODY).then_some(worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(number: u64, event: Event, worker: u16) -> Numbered {
        let (incarnation, lock, token, at_us) = (u32::from(worker) + 1, 0, number + 1, number * 10);
        let fault = (worker == NOBODY).then_some(Fault::DiskFull);
        Numbered { number, record: Record { event, fault, worker, incarnation, lock, token, at_us, detail: 5 } }
    }

    fn lanes(events: &[(Event, u16)]) -> Lanes {
        let mut lanes = Lanes::new(4);
        for (number, &(event, worker)) in (0..).zip(events) {
            lanes.observe(told(number, event, worker));
        }
        lanes
    }

    #[test]
    fn a_killed_hold_ends_at_the_kill_unless_its_holder_writes_on() {
        let events = [(Event::Acquired, 0), (Event::Kill, 0), (Event::Acquired, 1), (Event::Releasing, 0)];
        let stretch = lanes(&events).stretch(Vec::new());
        assert_eq!(stretch.holds[0], Bar(0, 1, 0, 1, 0, 0, 30, 0, 3, End::Released));
        assert_eq!(stretch.holds[1], Bar(1, 2, 0, 3, 15, 20, 30, 2, 3, End::Open));
        let stretch = lanes(&events[..3]).stretch(Vec::new());
        assert_eq!(stretch.holds[0], Bar(0, 1, 0, 1, 0, 0, 10, 0, 1, End::Killed));
        assert_eq!(stretch.marks.len(), 1, "{stretch:?}");
    }

    #[test]
    fn what_lasts_over_the_kept_records_is_drawn_from_its_true_beginning() {
        let mut lanes = lanes(&[(Event::Acquired, 3), (Event::Strike, NOBODY), (Event::Stop, 2)]);
        for number in 3..3 + 2 * KEPT as u64 {
            let event = if number % 2 == 0 { Event::Releasing } else { Event::Acquired };
            lanes.observe(told(number, event, 1));
        }
        assert_eq!(lanes.recent.len(), KEPT);
        let stretch = lanes.stretch(Vec::new());
        assert!(stretch.holds.iter().any(|bar| (bar.0, bar.7, bar.9) == (3, 0, End::Open)), "the hold");
        assert!(stretch.spans.iter().any(|span| (span.0, span.5) == (None, 1)), "the full disk");
        assert!(stretch.spans.iter().any(|span| (span.0, span.5) == (Some(2), 2)), "the stop");
        assert_eq!(stretch.holds.len(), KEPT / 2 + 1);
    }

    #[test]
    fn a_standstill_ends_with_its_continue() {
        let mut lanes = lanes(&[(Event::Stop, 2), (Event::Continue, 2), (Event::Start, 2)]);
        for number in 0..2 {
            let stop = Some(Fault::LongStop).filter(|_| number == 0);
            lanes.recent[number].record.fault = stop;
        }
        let spans = lanes.stretch(Vec::new()).spans;
        assert_eq!(
            spans.iter().map(|span| (span.2.as_str(), span.5, span.6)).collect::<Vec<_>>(),
            [("long-stop", 0, 1)]
        );
    }

    #[test]
    fn the_late_end_of_a_worker_is_not_that_of_its_successor() {
        let mut lanes = lanes(&[(Event::Acquired, 0), (Event::Kill, 0), (Event::Acquired, 0), (Event::Exit, 0)]);
        lanes.recent[2].record.incarnation = 9;
        let holds = lanes.stretch(Vec::new()).holds;
        assert_eq!(holds.iter().map(|bar| (bar.1, bar.9)).collect::<Vec<_>>(), [(1, End::Killed), (9, End::Open)]);
    }

    #[test]
    fn what_follows_a_violation_is_not_kept_for_long() {
        let mut lanes = lanes(&[(Event::Acquired, 0), (Event::Acquired, 1)]);
        lanes.freeze_after(3);
        for number in 2..100 {
            lanes.observe(told(number, Event::Timeout, 2));
        }
        let stretch = lanes.stretch(Vec::new());
        assert_eq!((stretch.records, stretch.frozen), ([0, 3], true));
        assert_eq!((stretch.holds.len(), stretch.gave_up.len()), (2, 2));
    }

    #[test]
    fn a_story_that_began_too_early_is_drawn_all_the_same() {
        let mut lanes = Lanes::new(4);
        for number in 0..KEPT as u64 + 10 {
            lanes.observe(told(number, if number == 0 { Event::Acquired } else { Event::Timeout }, 0));
        }
        lanes.observe(told(KEPT as u64 + 10, Event::Releasing, 0));
        let stretch = lanes.stretch(vec![told(0, Event::Acquired, 0)]);
        assert_eq!(stretch.holds.len(), 1);
        assert_eq!(stretch.holds[0].7, 0);
    }
}
