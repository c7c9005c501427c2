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
//! A record is a JSON object, padded with spaces and ended by a newline, so that the file can be read with any tool.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The size of every record in the file, newline included.
pub const RECORD_BYTES: usize = 128;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A worker process has started: the first record of its incarnation.
    Start,
    /// An acquire has returned with the lock. Detail: the wait in microseconds.
    Acquired,
    /// The worker waits inside its hold for the kill that the supervisor asked for.
    Caught,
    /// The worker's section is complete and it is about to release.
    Releasing,
    /// An acquire has given up at its deadline. Detail: the wait in microseconds.
    Timeout,
    /// An acquire or a release has failed. The reason stands in the run's `workers.log`.
    Error,
    /// The worker ends in good order: the last record of its incarnation.
    Done,
    /// The supervisor is about to send SIGKILL.
    Kill,
    /// The supervisor is about to send SIGSTOP. Detail: for how many microseconds.
    Stop,
    /// The supervisor is about to send SIGCONT.
    Continue,
    /// The supervisor has reaped the process. Detail: its exit code, or the signal that ended it as a negative number.
    Exit,
}

impl Event {
    /// Whether the worker wrote this, as opposed to the supervisor about it.
    #[must_use]
    pub const fn is_own(self) -> bool {
        !matches!(self, Self::Kill | Self::Stop | Self::Continue | Self::Exit)
    }

    /// The event's name, as the records spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Acquired => "acquired",
            Self::Caught => "caught",
            Self::Releasing => "releasing",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Done => "done",
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Continue => "continue",
            Self::Exit => "exit",
        }
    }
}

/// One line of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What happened.
    #[serde(rename = "e")]
    pub event: Event,
    /// The worker's place in the crew.
    #[serde(rename = "w")]
    pub worker: u16,
    /// The worker process: never the same twice in a run.
    #[serde(rename = "i")]
    pub incarnation: u32,
    /// The lock's number, 0 where no lock is meant.
    #[serde(rename = "l")]
    pub lock: u16,
    /// The fencing token, 0 for a lock without tokens.
    #[serde(rename = "t")]
    pub token: u64,
    /// `CLOCK_MONOTONIC` in microseconds; statistics only.
    #[serde(rename = "us")]
    pub at_us: u64,
    /// See [`Event`]; 0 where nothing is said there.
    #[serde(rename = "d")]
    pub detail: i32,
}

impl Record {
    /// The record as it stands in the file.
    ///
    /// # Panics
    ///
    /// Never: the longest record has 119 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [b' '; RECORD_BYTES];
        serde_json::to_writer(&mut bytes[..RECORD_BYTES - 1], self).expect("the longest record has 119 bytes");
        bytes[RECORD_BYTES - 1] = b'\n';
        bytes
    }

    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`Undecodable`] if these bytes are not one whole record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        match bytes.split_last() {
            Some((b'\n', json)) if bytes.len() == RECORD_BYTES => serde_json::from_slice(json).map_err(|_| Undecodable),
            _ => Err(Undecodable),
        }
    }
}

/// Bytes in a history that are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecodable;

/// The writing end: appends records.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).open(path).map(Self)
    }

    /// Appends one record by one write, because only that has a place in the order.
    pub(crate) fn append(&self, record: &Record) -> io::Result<()> {
        let written = (&self.0).write(&record.encode())?;
        if written == RECORD_BYTES { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

/// The reading end: follows a history that grows.
#[derive(Debug)]
pub(crate) struct Tail {
    file: File,
    offset: u64,
    buffer: Box<[u8]>,
}

impl Tail {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, offset: 0, buffer: vec![0; 512 * RECORD_BYTES].into() })
    }

    /// Hands over the whole records that are there and not yet read, at most one buffer of them. `false`: none were.
    pub(crate) fn read(&mut self, mut take: impl FnMut(Result<Record, Undecodable>)) -> io::Result<bool> {
        let available = self.file.read_at(&mut self.buffer, self.offset)?;
        let whole = available - available % RECORD_BYTES;
        for bytes in self.buffer[..whole].chunks_exact(RECORD_BYTES) {
            take(Record::decode(bytes));
        }
        self.offset += whole as u64;
        Ok(whole > 0)
    }

    /// Whether the file ends within a record.
    pub(crate) fn is_torn(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() > self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_record_fits_and_comes_back() {
        let record = Record {
            event: Event::Releasing,
            worker: u16::MAX,
            incarnation: u32::MAX,
            lock: u16::MAX,
            token: u64::MAX,
            at_us: u64::MAX,
            detail: i32::MIN,
        };
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn the_record_size_divides_the_page_size() {
        assert_eq!(4096 % RECORD_BYTES, 0);
    }

    #[test]
    fn a_piece_of_a_record_is_none() {
        let bytes = [b' '; RECORD_BYTES];
        assert_eq!(Record::decode(&bytes[..40]), Err(Undecodable));
        assert_eq!(Record::decode(&bytes), Err(Undecodable));
        assert_eq!(Record::decode(&[]), Err(Undecodable));
    }

    #[test]
    fn the_tail_follows_and_sees_a_torn_end() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let journal = Journal::open(file.path()).expect("it opens");
        let mut tail = Tail::open(file.path()).expect("it opens");
        let mut count = 0;
        let (worker, incarnation, lock, token, at_us, detail) = (0, 1, 0, 0, 0, 0);
        let record = Record { event: Event::Start, worker, incarnation, lock, token, at_us, detail };
        for _ in 0..600 {
            journal.append(&record).expect("it is appended");
        }
        while tail.read(|read| count += usize::from(read == Ok(record))).expect("it is read") {}
        assert_eq!(count, 600);
        assert!(!tail.is_torn().expect("it has a length"));

        (&journal.0).write_all(&record.encode()[..77]).expect("it is appended");
        assert!(!tail.read(|_| count += 1).expect("it is read"), "a piece is not handed over");
        assert!(tail.is_torn().expect("it has a length"));
    }

    #[test]
    fn names_are_as_the_records_spell_them() {
        for event in [Event::Start, Event::Acquired, Event::Caught, Event::Releasing, Event::Timeout, Event::Error] {
            assert_eq!(serde_json::to_value(event).expect("an event serialises"), event.name());
        }
        for event in [Event::Done, Event::Kill, Event::Stop, Event::Continue, Event::Exit] {
            assert_eq!(serde_json::to_value(event).expect("an event serialises"), event.name());
        }
    }
}
