//! One observation for each bucket of a histogram, with the span in which it was made.
//!
//! | Bytes of the page | What |
//! |---|---|
//! | 0..4 | CRC-32 of what follows |
//! | 8.. | 40 bytes for each bucket: observed nanoseconds, microseconds since 1970, trace (16 bytes), span |
//!
//! A trace of zero is none. A page that is not whole is skipped.

use super::catalogue::{BUCKETS, HOLD, WAIT, bucket};
use super::totals::nanoseconds;
use crate::event::Event;
use crate::payload::TraceParent;
use crate::sys;
use std::num::{NonZeroU64, NonZeroU128};
use std::time::{Duration, SystemTime};

/// An observation that belongs to a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exemplar {
    /// The trace, as in W3C Trace Context.
    pub trace_id: NonZeroU128,
    /// The span in it.
    pub span_id: NonZeroU64,
    /// What was observed.
    pub value: Duration,
    /// When, by its process's clock.
    pub at: SystemTime,
}

const ENTRY: usize = 40;
const ENTRIES_AT: usize = 8;
const HISTOGRAMS: usize = 2;
const LEN: usize = ENTRIES_AT + HISTOGRAMS * BUCKETS * ENTRY;
const _: () = assert!(LEN <= 4096, "they lie in one page");

/// The exemplars of the waits for locks that were acquired, and of the holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exemplars([[Option<Exemplar>; BUCKETS]; HISTOGRAMS]);

impl Default for Exemplars {
    fn default() -> Self {
        Self([[None; BUCKETS]; HISTOGRAMS])
    }
}

impl Exemplars {
    /// Keeps what happened, if it is an observation.
    pub(super) fn keep(&mut self, event: &Event, span: TraceParent) -> bool {
        let (histogram, value) = match event {
            Event::Acquired { waited, .. } => (0, *waited),
            Event::Released { held, .. } => (1, *held),
            _ => return false,
        };
        let TraceParent { trace_id, span_id, .. } = span;
        let at = sys::clock::wall();
        self.0[histogram][bucket(value)] = Some(Exemplar { trace_id, span_id, value, at });
        true
    }

    /// Those of the series of a histogram, bucket by bucket.
    pub(super) fn of(&self, first_cell: usize) -> Vec<Option<Exemplar>> {
        match first_cell {
            cell if cell == WAIT.first => self.0[0].to_vec(),
            cell if cell == HOLD.first => self.0[1].to_vec(),
            _ => vec![None; BUCKETS],
        }
    }

    /// Takes over what is later.
    pub(super) fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.0.as_flattened_mut().iter_mut().zip(other.0.as_flattened()) {
            if theirs.map(|one| one.at) > ours.map(|one| one.at) {
                *ours = *theirs;
            }
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; LEN];
        for (bytes, one) in page[ENTRIES_AT..].chunks_exact_mut(ENTRY).zip(self.0.as_flattened()) {
            if let Some(one) = one {
                let since = one.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                bytes[..8].copy_from_slice(&nanoseconds(one.value).to_le_bytes());
                bytes[8..16].copy_from_slice(&u64::try_from(since.as_micros()).unwrap_or(u64::MAX).to_le_bytes());
                bytes[16..32].copy_from_slice(&one.trace_id.get().to_le_bytes());
                bytes[32..].copy_from_slice(&one.span_id.get().to_le_bytes());
            }
        }
        let check = crc32fast::hash(&page[ENTRIES_AT..]);
        page[..4].copy_from_slice(&check.to_le_bytes());
        page
    }

    pub(super) fn decode(page: &[u8]) -> Option<Self> {
        let page = page.get(..LEN)?;
        let check = u32::from_le_bytes(page[..4].try_into().ok()?);
        if check != crc32fast::hash(&page[ENTRIES_AT..]) {
            return None;
        }
        let mut exemplars = Self::default();
        for (one, bytes) in exemplars.0.as_flattened_mut().iter_mut().zip(page[ENTRIES_AT..].chunks_exact(ENTRY)) {
            *one = entry(bytes);
        }
        Some(exemplars)
    }
}

fn entry(bytes: &[u8]) -> Option<Exemplar> {
    let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    Some(Exemplar {
        trace_id: NonZeroU128::new(u128::from_le_bytes(bytes.get(16..32)?.try_into().ok()?))?,
        span_id: NonZeroU64::new(number(32)?)?,
        value: Duration::from_nanos(number(0)?),
        at: SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(number(8)?))?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Exemplars, LEN};
    use crate::event::Event;
    use crate::metrics::catalogue::{HOLD, WAIT};
    use crate::payload::TraceParent;
    use std::time::Duration;

    #[test]
    fn they_read_back_and_damage_is_skipped() {
        let span = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").expect("well formed");
        let mut exemplars = Exemplars::default();
        let waited = Duration::from_micros(1500);
        assert!(exemplars.keep(&Event::Acquired { token: 1, waited, blocked_by: None }, span));
        assert!(!exemplars.keep(&Event::ClaimRestored, span));
        let page = exemplars.encode();
        let read = Exemplars::decode(&page).expect("whole");
        let kept: Vec<_> = read.of(WAIT.first).into_iter().flatten().collect();
        assert_eq!((kept.len(), kept[0].value, kept[0].trace_id), (1, waited, span.trace_id));
        assert!(read.of(HOLD.first).iter().all(Option::is_none));
        for at in (0..4).chain(8..LEN) {
            let mut damaged = page.clone();
            damaged[at] ^= 1;
            assert_eq!(Exemplars::decode(&damaged), None, "byte {at}");
        }
        assert_eq!(Exemplars::decode(&page[..LEN - 1]), None);
    }
}
