//! What a file of counters says, a second time: from the table of a slot's bytes, without the code of the reader.

use std::time::Duration;

use session_lock::metrics::{BOUNDS, FAMILIES, Family, Kind, Metrics, Value};

use super::image::{Image, PAGE, STRIDE};

/// How many slots of each state there are, and the sum of what they count.
#[derive(Debug, Default)]
pub(super) struct Reading {
    living: usize,
    inherited: usize,
    damaged: usize,
    other_version: usize,
    cells: Vec<u64>,
}

/// A copy that is whole.
struct Copy<'a> {
    layout: &'a [u8],
    sequence: u64,
    cells: &'a [u8],
}

impl Reading {
    /// Of the slots of an image. `whole` is one of this layout; `lives` is the first slot's process.
    pub(super) fn of(image: &Image, whole: &Image, lives: bool) -> Self {
        let layout = &whole.bytes()[16..24];
        let mut reading = Self { cells: vec![0; families().map(|(_, width)| width).sum()], ..Self::default() };
        for (nth, slot) in image.bytes().chunks(STRIDE).enumerate() {
            reading.add(slot, layout, lives && nth == 0);
        }
        if image.bytes().is_empty() {
            // Nothing is read of an empty file, not even who lives.
            reading.living = 0;
        }
        reading
    }

    fn add(&mut self, slot: &[u8], layout: &[u8], lives: bool) {
        let copies = || slot.chunks(PAGE).take(2);
        let newest =
            copies().filter_map(copy).reduce(|one, other| if other.sequence >= one.sequence { other } else { one });
        let is_fresh = copies().flatten().all(|byte| *byte == 0);
        match newest {
            None if is_fresh => self.living += usize::from(lives),
            None => self.damaged += 1,
            Some(copy) if copy.layout != layout || copy.cells.len() > self.cells.len() * 8 => self.other_version += 1,
            Some(copy) => {
                *(if lives { &mut self.living } else { &mut self.inherited }) += 1;
                self.add_cells(copy.cells, lives);
            }
        }
    }

    fn add_cells(&mut self, bytes: &[u8], lives: bool) {
        let counts = families().flat_map(|(family, width)| vec![lives || family.kind != Kind::Gauge; width]);
        for ((cell, bytes), counts) in self.cells.iter_mut().zip(bytes.as_chunks::<8>().0).zip(counts) {
            if counts {
                *cell = cell.saturating_add(u64::from_le_bytes(*bytes));
            }
        }
    }

    /// That is what was found.
    pub(super) fn check(&self, found: &Metrics) {
        let slots = found.slots;
        assert_eq!(
            (slots.living, slots.inherited, slots.damaged, slots.other_version),
            (self.living, self.inherited, self.damaged, self.other_version),
            "living, inherited, damaged, of another version"
        );
        let mut rest = self.cells.as_slice();
        for (family, values) in found.families() {
            for value in values {
                rest = check_value(family, &value, rest);
            }
        }
        assert!(rest.is_empty(), "every cell is in a metric");
    }
}

/// Compares a value with its cells, and gives those of the next.
fn check_value<'a>(family: Family, value: &Value, cells: &'a [u64]) -> &'a [u64] {
    let (own, rest) = cells.split_at(width(family.kind));
    match value {
        Value::Number(number) => assert_eq!(*number, own[0], "{}", family.name),
        Value::Seconds(time) => assert_eq!(*time, Duration::from_nanos(own[0]), "{}", family.name),
        Value::Histogram { buckets, sum, exemplars } => {
            let mut below = 0_u64;
            for (bucket, count) in buckets.iter().zip(own) {
                below = below.saturating_add(*count);
                assert_eq!(*bucket, below, "{}", family.name);
            }
            assert_eq!(*sum, Duration::from_nanos(own[buckets.len()]), "{}", family.name);
            assert_eq!((buckets.len(), exemplars.len()), (BOUNDS.len() + 1, BOUNDS.len() + 1), "{}", family.name);
        }
    }
    rest
}

fn width(kind: Kind) -> usize {
    match kind {
        Kind::Counter | Kind::Seconds | Kind::Gauge => 1,
        // A bucket for each bound, one without, and the sum.
        Kind::Histogram => BOUNDS.len() + 2,
    }
}

/// Each metric, and how many cells all of its series have.
fn families() -> impl Iterator<Item = (Family, usize)> {
    FAMILIES.into_iter().map(|family| (family, width(family.kind) * family.values.len()))
}

fn copy(page: &[u8]) -> Option<Copy<'_>> {
    let number = |at: usize| page.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let end = usize::try_from(number(8)?.checked_add(16)?).ok().filter(|end| *end >= 32)?;
    let checked = page.get(8..end)?;
    let is_whole = page[..4] == *b"slm1" && page[4..8] == crc32fast::hash(checked).to_le_bytes();
    if !is_whole {
        return None;
    }
    Some(Copy { layout: &page[16..24], sequence: number(24)?, cells: &page[32..end] })
}
