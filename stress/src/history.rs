//! The history: what the workers and the supervisor did, in one order.
//!
//! All processes of a run append records of [`RECORD_BYTES`] to one file, each by one `write` on an `O_APPEND`
//! descriptor. **The position in the file is the stamp.** Why that is a total order one can judge by:
//!
//! - A write to a regular file happens under the inode's lock, and with `O_APPEND` the position is chosen under it. So a
//!   record whose write had returned before another's began stands before it, whichever process, container or core
//!   wrote them. No clock takes part.
//! - *acquired* is written after the acquire has returned, and *releasing* before the release is called. So what the
//!   records enclose lies within the true hold, and where two enclosed stretches intersect, two true holds did.
//! - *kill* is written before the signal is sent, so the victim was alive until then and the true hold is longer still.
//!   The victim may write some more records after its *kill*: a signal takes its time.
//! - A record survives the death of its writer (the page cache has it), and a kill never tears one: the kernel looks at
//!   fatal signals between pages, and the record size divides the page size.
//!
//! A long run's history is one file too, with a hole where the records were that are judged and far behind (`retention`).
//! Segments would bound the disk as well, but the order comes from the lock of one inode: two files have two, and which
//! of two records stands first where one segment ends and the next begins would need another order to tell.
//!
//! A record is [`RECORD_BYTES`] of numbers, least significant byte first, with a check against what is no record; `stress
//! history` prints a history as JSON, one record a line.
//!
//! | Bytes | Field |
//! |---|---|
//! | 0..8 | the clock, in microseconds |
//! | 8..16 | token |
//! | 16..20 | incarnation |
//! | 20..24 | detail |
//! | 24..26 | worker |
//! | 26..28 | lock |
//! | 28 | event |
//! | 29 | fault, 0 for none |
//! | 30..32 | the exclusive or of the fifteen 16-bit words before, and of `0x5e55` |

use serde::Serialize;

use crate::fault::Fault;

mod ends;
mod retention;

pub(crate) use ends::{Journal, Piece, Tail, kept};
pub(crate) use retention::{Calm, Retention};

/// The size of every record in the file.
pub const RECORD_BYTES: usize = 32;

/// The worker of a record that is about none: about the directory, or the machine.
pub const NOBODY: u16 = u16::MAX;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Event {
    /// A worker has started: the first record of its incarnation.
    Start = 1,
    /// An acquire has returned with the lock. Detail: the wait in microseconds.
    Acquired = 2,
    /// The worker waits inside its hold for the kill that the supervisor asked for.
    Caught = 3,
    /// The worker's section is complete and it is about to release.
    Releasing = 4,
    /// The release has returned. Written by older peers only: theirs can be stopped on the way.
    Released = 5,
    /// The release has found that the claim was taken away.
    Lost = 6,
    /// An acquire has given up at its deadline. Detail: the wait in microseconds.
    Timeout = 7,
    /// An acquire was cancelled while it waited. Detail: the wait in microseconds.
    Cancelled = 8,
    /// An acquire or a release has failed. Detail: the error number, 0 for none. The reason stands in `workers.log`.
    Error = 9,
    /// The worker has forked a child that outlives the hold.
    Forked = 10,
    /// The worker is about to execute another program in its place, which ends its hold. A *start* of the same
    /// incarnation follows.
    Exec = 11,
    /// The worker ends in good order: the last record of its incarnation.
    Done = 12,
    /// The supervisor is about to kill the worker's process.
    Kill = 13,
    /// The supervisor is about to stop the worker's process. Detail: for how many microseconds.
    Stop = 14,
    /// The supervisor is about to let it continue.
    Continue = 15,
    /// The worker's process is gone. Detail: its exit code, or the signal that ended it as a negative number.
    Exit = 16,
    /// Another fault is about to begin: of this worker, on this lock, or with neither. Detail: for how many microseconds.
    Strike = 17,
    /// It is over.
    Relieve = 18,
}

impl Event {
    /// All events, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Start,
        Self::Acquired,
        Self::Caught,
        Self::Releasing,
        Self::Released,
        Self::Lost,
        Self::Timeout,
        Self::Cancelled,
        Self::Error,
        Self::Forked,
        Self::Exec,
        Self::Done,
        Self::Kill,
        Self::Stop,
        Self::Continue,
        Self::Exit,
        Self::Strike,
        Self::Relieve,
    ];

    /// Whether the worker wrote this, as opposed to the supervisor about it.
    #[must_use]
    pub const fn is_own(self) -> bool {
        (self as u8) <= Self::Done as u8
    }

    /// The event's name, as it is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Acquired => "acquired",
            Self::Caught => "caught",
            Self::Releasing => "releasing",
            Self::Released => "released",
            Self::Lost => "lost",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
            Self::Forked => "forked",
            Self::Exec => "exec",
            Self::Done => "done",
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Continue => "continue",
            Self::Exit => "exit",
            Self::Strike => "strike",
            Self::Relieve => "relieve",
        }
    }
}

/// One entry of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// What was done, where the event is a fault: *kill*, *stop*, *continue*, *strike* and *relieve*.
    pub fault: Option<Fault>,
    /// The worker's place in the crew, or [`NOBODY`].
    pub worker: u16,
    /// The worker's life: never the same twice in a run, 0 for nobody's.
    pub incarnation: u32,
    /// The lock's number, 0 where no lock is meant.
    pub lock: u16,
    /// The fencing token, 0 for a lock without tokens.
    pub token: u64,
    /// `CLOCK_MONOTONIC` of the supervisor's time namespace, in microseconds; statistics only.
    pub at_us: u64,
    /// See [`Event`]; 0 where nothing is said there.
    pub detail: i32,
}

impl Record {
    /// The record as it stands in the file.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0..8].copy_from_slice(&self.at_us.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.token.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.detail.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.worker.to_le_bytes());
        bytes[26..28].copy_from_slice(&self.lock.to_le_bytes());
        bytes[28] = self.event as u8;
        bytes[29] = self.fault.map_or(0, |fault| fault as u8);
        let check = check(&bytes);
        bytes[30..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`Undecodable`] if these bytes are not one whole record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let bytes: &[u8; RECORD_BYTES] = bytes.try_into().map_err(|_| Undecodable)?;
        let [.., event, fault, low, high] = *bytes;
        if u16::from_le_bytes([low, high]) != check(bytes) {
            return Err(Undecodable);
        }
        let event = usize::from(event).checked_sub(1).and_then(|index| Event::ALL.get(index));
        let fault = match fault {
            0 => None,
            code => Some(Fault::of_code(code).ok_or(Undecodable)?),
        };
        Ok(Self {
            event: *event.ok_or(Undecodable)?,
            fault,
            worker: u16::from_le_bytes(part(bytes, 24)),
            incarnation: u32::from_le_bytes(part(bytes, 16)),
            lock: u16::from_le_bytes(part(bytes, 26)),
            token: u64::from_le_bytes(part(bytes, 8)),
            at_us: u64::from_le_bytes(part(bytes, 0)),
            detail: i32::from_le_bytes(part(bytes, 20)),
        })
    }
}

fn part<const N: usize>(bytes: &[u8; RECORD_BYTES], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// What the last word of a record says, so that zeros and pieces are no record.
fn check(bytes: &[u8; RECORD_BYTES]) -> u16 {
    let words = bytes[..RECORD_BYTES - 2].chunks_exact(2).map(|word| u16::from_le_bytes([word[0], word[1]]));
    words.fold(0x5e55, |check, word| check ^ word)
}

/// Bytes in a history that are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecodable;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let (worker, incarnation, lock, token, at_us, detail) = (0, 1, 0, 0, 0, 0);
        Record { event: Event::Start, fault: None, worker, incarnation, lock, token, at_us, detail }
    }

    #[test]
    fn every_event_comes_back_with_all_its_fields() {
        for event in Event::ALL {
            let record = Record {
                event,
                fault: Some(Fault::Exec),
                worker: 0x1234,
                incarnation: u32::MAX,
                lock: 0x5678,
                token: u64::MAX - 1,
                at_us: 0x0123_4567_89ab_cdef,
                detail: i32::MIN,
            };
            assert_eq!(Record::decode(&record.encode()), Ok(record));
            assert_eq!(
                Record::decode(&Record { fault: None, ..record }.encode()),
                Ok(Record { fault: None, ..record })
            );
        }
    }

    #[test]
    fn the_record_size_divides_the_page_size() {
        assert_eq!(4096 % RECORD_BYTES, 0);
    }

    #[test]
    fn whatever_was_damaged_is_no_record() {
        let whole = record().encode();
        for bit in 0..8 * RECORD_BYTES {
            let mut damaged = whole;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&damaged), Err(Undecodable), "bit {bit}");
        }
        assert_eq!(Record::decode(&whole[..20]), Err(Undecodable));
        assert_eq!(Record::decode(&[0; RECORD_BYTES]), Err(Undecodable));
        assert_eq!(Record::decode(&[]), Err(Undecodable));
    }

    #[test]
    fn names_are_as_the_events_serialise() {
        for event in Event::ALL {
            assert_eq!(serde_json::to_value(event).expect("an event serialises"), event.name());
        }
    }
}
