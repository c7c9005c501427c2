//! A slot of `metrics-v1`: one process's totals, on which its successor goes on.
//!
//! | Bytes of a slot | What |
//! |---|---|
//! | 0..4096 | totals, copy A |
//! | 4096..8192 | totals, copy B |
//! | 8192..40960 | the last contentions: 8 [records](super::record) |
//! | 40960..73728 | the acquires that wait: 8 records |
//! | 73728..77824 | [exemplars](super::exemplar) |
//! | ..81920 | not used |
//!
//! | Bytes of a copy | What |
//! |---|---|
//! | 0..4 | `slm1` |
//! | 4..8 | CRC-32 of what follows |
//! | 8..16 | how many bytes follow from here on |
//! | 16..24 | layout of the cells |
//! | 24..32 | sequence number |
//! | 32.. | the cells; those that are not there are zero |
//!
//! All numbers are little endian. The copies are written alternately, each with one `pwrite` that lies in one page, so a
//! writer that is killed leaves the other one whole, and a reader beside a writer finds at least one.

use super::catalogue::{CELLS, layout};
use super::totals::Totals;

pub(super) const PAGE: u64 = 4096;
/// From one slot to the next.
pub(super) const STRIDE: u64 = 20 * PAGE;
/// How many slots there are: as many processes of a directory are counted at once.
pub(super) const SLOTS: u64 = 1024;
pub(super) const CONTENTIONS: Section = Section { at: 2 * PAGE, pages: 8 };
pub(super) const WAITS: Section = Section { at: 10 * PAGE, pages: 8 };
pub(super) const EXEMPLARS: Section = Section { at: 18 * PAGE, pages: 1 };

/// Pages of a slot behind its totals, each written by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    /// The first byte, from the beginning of the slot.
    pub(super) at: u64,
    pub(super) pages: u64,
}

impl Section {
    pub(super) fn len(self) -> usize {
        usize::try_from(self.pages * PAGE).unwrap_or_default()
    }
}

const MAGIC: [u8; 4] = *b"slm1";
const CELLS_AT: usize = 32;
pub(super) const COPY_LEN: usize = CELLS_AT + CELLS * 8;
const _: () = assert!(COPY_LEN <= 4096, "a copy lies in one page");

/// What the two copies of a slot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nobody has used it.
    Fresh,
    /// The newer copy that is whole.
    Totals { sequence: u64, totals: Box<Totals> },
    /// Another version of this crate counts here.
    Other,
    /// Neither copy is whole.
    Damaged,
}

/// The bytes of a copy, kept from one write to the next.
#[derive(Debug)]
pub(super) struct Copy(Box<[u8; COPY_LEN]>);

impl Copy {
    pub(super) fn new() -> Self {
        let mut copy = Box::new([0; COPY_LEN]);
        copy[..4].copy_from_slice(&MAGIC);
        copy[16..24].copy_from_slice(&layout().to_le_bytes());
        Self(copy)
    }

    pub(super) fn encode(&mut self, sequence: u64, totals: &Totals) -> &[u8] {
        let used = totals.used();
        let copy = &mut self.0[..CELLS_AT + used.len() * 8];
        let follow = copy.len() as u64 - 16;
        copy[8..16].copy_from_slice(&follow.to_le_bytes());
        copy[24..32].copy_from_slice(&sequence.to_le_bytes());
        for (bytes, cell) in copy[CELLS_AT..].as_chunks_mut::<8>().0.iter_mut().zip(used) {
            *bytes = cell.to_le_bytes();
        }
        let check = crc32fast::hash(&copy[8..]);
        copy[4..8].copy_from_slice(&check.to_le_bytes());
        copy
    }
}

/// What stands in the first two pages of a slot, or in as much of them as the file has.
pub(super) fn decode(bytes: &[u8]) -> Content {
    if bytes.iter().all(|byte| *byte == 0) {
        return Content::Fresh;
    }
    let whole = bytes.chunks(4096).take(2).filter_map(whole).max_by_key(|body| number(body, 8));
    match whole {
        None => Content::Damaged,
        Some(body) if number(body, 0) != Some(layout()) || body.len() > COPY_LEN - 16 => Content::Other,
        Some(body) => {
            let cells = body[16..].as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
            Content::Totals { sequence: number(body, 8).unwrap_or_default(), totals: Box::new(Totals::of(cells)) }
        }
    }
}

/// Whether a copy is there that is not whole.
pub(super) fn is_torn(bytes: &[u8]) -> bool {
    bytes.chunks(4096).take(2).any(|copy| whole(copy).is_none() && copy.iter().any(|byte| *byte != 0))
}

/// A whole copy from its layout on, of whatever version.
fn whole(copy: &[u8]) -> Option<&[u8]> {
    let len = usize::try_from(number(copy, 8)?).ok()?;
    let checked = copy.get(8..16_usize.checked_add(len)?)?;
    let check = u32::from_le_bytes(copy.get(4..8)?.try_into().ok()?);
    (len >= 16 && copy[..4] == MAGIC && crc32fast::hash(checked) == check).then(|| &checked[8..])
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::{COPY_LEN, Content, Copy, decode, is_torn};
    use crate::metrics::totals::Totals;

    fn slot(a: Option<(u64, &Totals)>, b: Option<(u64, &Totals)>) -> Vec<u8> {
        let mut bytes = vec![0; 8192];
        for (at, copy) in [(0, a), (4096, b)] {
            if let Some((sequence, totals)) = copy {
                let mut copy = Copy::new();
                let copy = copy.encode(sequence, totals);
                bytes[at..at + copy.len()].copy_from_slice(copy);
            }
        }
        bytes
    }

    fn totals(seed: u64) -> Totals {
        Totals::of((0..).map(|n| seed * 1000 + n))
    }

    #[test]
    fn the_newer_whole_copy_counts() {
        let (one, other) = (totals(1), totals(2));
        let read = |bytes: &[u8]| match decode(bytes) {
            Content::Totals { sequence, totals } => (sequence, *totals),
            content => panic!("{content:?}"),
        };
        assert_eq!(read(&slot(Some((7, &one)), Some((8, &other)))), (8, other.clone()));
        assert_eq!(read(&slot(Some((9, &one)), Some((8, &other)))), (9, one.clone()));
        assert_eq!(read(&slot(Some((9, &one)), None)), (9, one.clone()));
        // Each byte of the newer copy damaged in turn: the older one counts.
        let bytes = slot(Some((9, &one)), Some((8, &other)));
        for at in 0..COPY_LEN {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            assert_eq!(read(&damaged), (8, other.clone()), "byte {at}");
            assert!(is_torn(&damaged) && !is_torn(&bytes), "byte {at}");
        }
    }

    #[test]
    fn what_is_not_whole_is_said() {
        let one = totals(1);
        assert_eq!(decode(&[]), Content::Fresh);
        assert_eq!(decode(&[0; 8192]), Content::Fresh);
        let whole = slot(Some((1, &one)), None);
        for len in 1..COPY_LEN {
            assert_eq!(decode(&whole[..len]), Content::Damaged, "cut to {len}");
        }
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let len = random.usize(1..8192);
            let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
            assert_eq!(decode(&noise), Content::Damaged);
        }
    }

    #[test]
    fn another_version_is_neither_counted_nor_damaged() {
        let mut bytes = slot(Some((1, &totals(1))), None);
        bytes[16] ^= 2;
        let check = crc32fast::hash(&bytes[8..COPY_LEN]);
        bytes[4..8].copy_from_slice(&check.to_le_bytes());
        assert_eq!(decode(&bytes), Content::Other);
    }
}
