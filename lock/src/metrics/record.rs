//! Who waits for whom: records beside a slot's totals, for people and for the exporter.
//!
//! | Bytes of a record | What |
//! |---|---|
//! | 0..4 | how many bytes the text has; 0: there is no record |
//! | 4..8 | CRC-32 of the text |
//! | 8.. | the text: a JSON object, at most 4088 bytes |
//!
//! A record lies in one page. One that is not whole is skipped: they are a memory of the last moments, not a count.

use super::slot::PAGE;
use crate::holder::{Holder, HolderKind};
use crate::payload::{Content, Payload};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// An acquire that found the lock taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contention {
    /// The session's name.
    pub session: String,
    /// The process that asked: its pid in its own PID namespace, and that namespace.
    pub pid: u32,
    /// The PID namespace of `pid`.
    pub pid_ns: Option<u64>,
    /// The label of the acquire.
    pub label: Option<String>,
    /// When it began to wait, by its process's clock.
    pub since: SystemTime,
    /// How long it waited; `None` if it still does.
    pub waited: Option<Duration>,
    /// What kind of holder was in the way, seen from its process.
    pub by: HolderKind,
    /// What that holder's claim said, if it could be read.
    pub holder: Option<Payload>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    session: String,
    pid: u32,
    pid_ns: Option<u64>,
    label: Option<String>,
    since_micros: u64,
    waited_micros: Option<u64>,
    by: By,
    /// The claim, as it stands in its file.
    holder: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", remote = "HolderKind")]
enum ByDef {
    SameProcess,
    OtherProcess,
    OtherPidNamespace,
    Foreign,
    Unknown,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct By(#[serde(with = "ByDef")] HolderKind);

const TEXT_AT: usize = 8;

impl Contention {
    /// Its record; `None` if that would be too long for a page.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let holder = self.holder.as_ref().map(|payload| {
            let bytes = payload.encode(0);
            String::from_utf8_lossy(&bytes).trim_end().to_owned()
        });
        let mut wire = Wire {
            session: self.session.clone(),
            pid: self.pid,
            pid_ns: self.pid_ns,
            label: self.label.clone(),
            since_micros: micros(self.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
            waited_micros: self.waited.map(micros),
            by: By(self.by),
            holder,
        };
        let mut text = serde_json::to_vec(&wire).ok()?;
        if text.len() + TEXT_AT > capacity() {
            // A name and labels of control characters alone: the holder's claim can still be read where it lies.
            wire.holder = None;
            text = serde_json::to_vec(&wire).ok().filter(|text| text.len() + TEXT_AT <= capacity())?;
        }
        let mut record = Vec::with_capacity(TEXT_AT + text.len());
        record.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(&text).to_le_bytes());
        record.append(&mut text);
        Some(record)
    }

    /// What a page says; `None` if there is no record, or it is not whole.
    pub(super) fn decode(page: &[u8]) -> Option<Self> {
        let number = |at: usize| page.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let len = usize::try_from(number(0)?).ok().filter(|len| *len > 0)?;
        let text = page.get(TEXT_AT..TEXT_AT.checked_add(len)?)?;
        if number(4)? != crc32fast::hash(text) {
            return None;
        }
        let wire: Wire = serde_json::from_slice(text).ok()?;
        Some(Self {
            session: wire.session,
            pid: wire.pid,
            pid_ns: wire.pid_ns,
            label: wire.label,
            since: SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(wire.since_micros))?,
            waited: wire.waited_micros.map(Duration::from_micros),
            by: wire.by.0,
            holder: wire.holder.and_then(|claim| Content::classify(claim.as_bytes()).payload().cloned()),
        })
    }

    /// Whom it waits or waited for.
    #[must_use]
    pub fn holder(&self) -> Holder {
        Holder { kind: self.by, payload: self.holder.clone() }
    }
}

fn capacity() -> usize {
    usize::try_from(PAGE).unwrap_or(usize::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Contention;
    use crate::holder::HolderKind;
    use crate::payload::Payload;
    use std::time::{Duration, SystemTime};

    fn contention(session: &str, label: Option<&str>) -> Contention {
        let holder = Payload { pid: Some(7), label: label.map(str::to_owned), version: Some(2), ..Payload::default() };
        Contention {
            session: session.to_owned(),
            pid: 12,
            pid_ns: Some(4_026_531_836),
            label: label.map(str::to_owned),
            since: SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001),
            waited: Some(Duration::from_micros(1234)),
            by: HolderKind::OtherPidNamespace,
            holder: Some(holder),
        }
    }

    #[test]
    fn a_record_reads_back_and_fits_a_page_whatever_the_names() {
        for (session, label) in [("42.jsonl", None), ("\u{1b}\"\\\n", Some("run 17")), ("ß", Some("\u{202e}"))] {
            let one = contention(session, label);
            let record = one.encode().expect("short");
            assert_eq!(Contention::decode(&record), Some(one));
        }
        let (session, label) = ("\u{1}".repeat(250), "\u{1}".repeat(128));
        let one = contention(&session, Some(&label));
        let record = one.encode().expect("without the holder at the least");
        assert!(record.len() <= 4096);
        assert_eq!(Contention::decode(&record).expect("whole").session, session);
    }

    #[test]
    fn damage_is_skipped() {
        let record = contention("s", None).encode().expect("short");
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 0x11;
            assert_eq!(Contention::decode(&damaged), None, "byte {at}");
        }
        assert_eq!(Contention::decode(&[0; 4096]), None);
        assert_eq!(Contention::decode(&[]), None);
    }
}
