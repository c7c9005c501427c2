//! What led to a violation: the records at hand that have to do with it.

use std::collections::VecDeque;

use super::finding::Numbered;
use crate::fault::Fault;
use crate::history::{Event, Record};

/// So many earlier records are at hand for a story.
const MEMORY: usize = 64;
/// So many of them are told.
const TOLD: usize = 8;

/// The latest records.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Numbered>);

impl Recent {
    pub(super) fn push(&mut self, now: Numbered) {
        if self.0.len() == MEMORY {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// The last records that have to do with this lock or with these incarnations, after those the story needs.
    pub(super) fn tell(&self, lock: u16, who: &[u32], needed: &[Numbered]) -> Vec<Numbered> {
        let died_on_lock = |record: &Record| {
            matches!(record.event, Event::Kill | Event::Exit)
                && self
                    .0
                    .iter()
                    .any(|other| other.record.incarnation == record.incarnation && is_of_lock(&other.record, lock))
        };
        let concerned =
            |record: &Record| is_of_lock(record, lock) || died_on_lock(record) || who.contains(&record.incarnation);
        let last = self.0.iter().rev().filter(|told| concerned(&told.record)).take(TOLD);
        let mut story: Vec<_> = last.chain(needed.iter()).copied().collect();
        story.sort_unstable_by_key(|told| told.number);
        story.dedup_by_key(|told| told.number);
        story
    }
}

/// Whether a record is about this lock's claim, or about all of them.
fn is_of_lock(record: &Record, lock: u16) -> bool {
    match record.event {
        Event::Acquired
        | Event::Caught
        | Event::Releasing
        | Event::Released
        | Event::Lost
        | Event::Forked
        | Event::Exec => record.lock == lock,
        Event::Strike | Event::Relieve => match record.fault {
            Some(fault) if fault.is_of_a_claim() => record.lock == lock,
            Some(Fault::DeleteState) => true,
            _ => false,
        },
        _ => false,
    }
}
