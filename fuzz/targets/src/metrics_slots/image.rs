//! The counters' file in memory, and how it is damaged: blindly, or so that its checksums are right again.

use std::ops::Range;

use arbitrary::{Result, Unstructured};

pub(super) const PAGE: usize = 4096;
/// From one slot to the next.
pub(super) const STRIDE: usize = 20 * PAGE;
/// The first byte of a copy's checksum, and the first one that it covers.
const COPY: (usize, usize) = (4, 8);

/// The bytes of the file.
#[derive(Clone, Debug)]
pub(super) struct Image(Vec<u8>);

impl Image {
    /// How many slots it has, undamaged.
    pub(super) const SLOTS: usize = 2;

    /// The first slot of these, as often as there are slots.
    pub(super) fn twice(bytes: &[u8]) -> Self {
        let mut slot = bytes[..bytes.len().min(STRIDE)].to_vec();
        slot.resize(STRIDE, 0);
        Self(slot.repeat(Self::SLOTS))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Does one thing to it.
    pub(super) fn damage(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let slot = choices.choose_index(Self::SLOTS)? * STRIDE;
        let copy = slot + choices.choose_index(2)? * PAGE;
        match choices.int_in_range(0..=8_u8)? {
            0 => self.0.truncate(choices.int_in_range(0..=Self::SLOTS * STRIDE)?),
            1 => self.0.resize(self.0.len() + choices.int_in_range(0..=3 * STRIDE)?, 0),
            2 => {
                let at = slot + choices.choose_index(STRIDE)?;
                let noise = choices.arbitrary::<&[u8]>()?;
                self.put(at, noise);
            }
            3 => {
                let page = slot + choices.choose_index(STRIDE / PAGE)? * PAGE;
                self.put(page, &[choices.arbitrary()?; PAGE]);
            }
            4 => self.damage_record(slot + PAGE * choices.int_in_range(2..=17_usize)?, choices)?,
            5 => {
                let at = slot + 18 * PAGE;
                self.put(at + 8 + choices.choose_index(38 * 40)?, &choices.arbitrary::<[u8; 8]>()?);
                self.put_checksum(at, at + 8..at + 8 + 38 * 40);
            }
            6 => {
                // Length, layout or sequence.
                let field = 8 * choices.int_in_range(1..=3_usize)?;
                self.put_number(copy + field, choices)?;
                self.mend(copy);
            }
            _ => {
                let cell = choices.choose_index(110)?;
                self.put_number(copy + 32 + cell * 8, choices)?;
                self.mend(copy);
            }
        }
        Ok(())
    }

    /// Another text in a record, whole or not.
    fn damage_record(&mut self, at: usize, choices: &mut Unstructured<'_>) -> Result<()> {
        let text = if choices.ratio(1, 3)? { choices.arbitrary::<&[u8]>()?.to_vec() } else { record(choices)? };
        let text = &text[..text.len().min(PAGE - 8)];
        let len = if choices.ratio(1, 8)? { choices.arbitrary()? } else { u32::try_from(text.len()).unwrap_or(0) };
        self.put(at, &len.to_le_bytes());
        self.put(at + 8, text);
        self.put_checksum(at + 4, at + 8..at + 8 + text.len());
        Ok(())
    }

    fn put_number(&mut self, at: usize, choices: &mut Unstructured<'_>) -> Result<()> {
        let limits = [0, 1, 16, 24, u64::MAX, u64::MAX - 16, 4080, 4088];
        let number = if choices.arbitrary()? { *choices.choose(&limits)? } else { choices.arbitrary()? };
        self.put(at, &number.to_le_bytes());
        Ok(())
    }

    /// Makes a copy's checksum right, as far as its length makes sense.
    fn mend(&mut self, copy: usize) {
        let len = self.0.get(copy + 8..copy + 16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        if let Some(len) = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= PAGE - 16) {
            self.put_checksum(copy + COPY.0, copy + COPY.1..copy + 16 + len);
        }
    }

    fn put_checksum(&mut self, at: usize, of: Range<usize>) {
        if let Some(bytes) = self.0.get(of) {
            let checksum = crc32fast::hash(bytes);
            self.put(at, &checksum.to_le_bytes());
        }
    }

    /// As much of it as the file has room for.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let room = self.0.len().saturating_sub(at).min(bytes.len());
        if room > 0 {
            self.0[at..at + room].copy_from_slice(&bytes[..room]);
        }
    }
}

/// A record's text, or nearly one.
fn record(choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let [since, waited, pid_ns]: [u64; 3] = choices.arbitrary()?;
    let (session, holder): (&str, &str) = (choices.arbitrary()?, choices.arbitrary()?);
    let by = choices.choose(&["same_process", "other_pid_namespace", "foreign", "unknown", "nobody"])?;
    let text = format!(
        "{{\"session\":{session:?},\"pid\":7,\"pidNs\":{pid_ns},\"label\":null,\"sinceMicros\":{since},\
         \"waitedMicros\":{waited},\"by\":\"{by}\",\"holder\":{holder:?}}}"
    );
    Ok(text.into_bytes())
}
