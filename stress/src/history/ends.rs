//! The two ends of a history: who appends to it, and who follows it or reads what is left of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::{RECORD_BYTES, Record, Undecodable};

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
        Ok(Self { file: File::open(path)?, offset: 0, buffer: vec![0; 4096 * RECORD_BYTES].into() })
    }

    /// Hands over the whole records that are there and not yet read, at most one buffer of them. `false`: none were.
    pub(crate) fn read(&mut self, take: impl FnMut(Result<Record, Undecodable>)) -> io::Result<bool> {
        self.read_until(u64::MAX, take)
    }

    /// The same, but not beyond this place.
    fn read_until(&mut self, end: u64, mut take: impl FnMut(Result<Record, Undecodable>)) -> io::Result<bool> {
        let most = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX).min(self.buffer.len());
        let available = self.file.read_at(&mut self.buffer[..most], self.offset)?;
        let whole = available - available % RECORD_BYTES;
        for bytes in self.buffer[..whole].chunks_exact(RECORD_BYTES) {
            take(Record::decode(bytes));
        }
        self.offset += whole as u64;
        Ok(whole > 0)
    }

    /// How much has been read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where data or a hole begins, from here on. `None`: nowhere.
    fn seek(&self, whence: Whence) -> io::Result<Option<u64>> {
        let offset = i64::try_from(self.offset).map_err(io::Error::other)?;
        match lseek(&self.file, offset, whence) {
            Ok(found) => Ok(u64::try_from(found).ok()),
            Err(Errno::ENXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether the file ends within a record.
    pub(crate) fn is_torn(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() > self.offset)
    }
}

/// What there is at one place of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    Record(Result<Record, Undecodable>),
    /// So many records are not there any more.
    Missing(u64),
}

/// Reads a history that nobody writes any more, with what is missing from it, until it ends or is told to stop.
pub(crate) fn kept(path: &Path, mut take: impl FnMut(Piece) -> ControlFlow<()>) -> io::Result<()> {
    let mut tail = Tail::open(path)?;
    let length = tail.file.metadata()?.len();
    while tail.offset < length {
        let data = tail.seek(Whence::SeekData)?.unwrap_or(length);
        let missing = (data - tail.offset).div_ceil(RECORD_BYTES as u64);
        if missing > 0 && take(Piece::Missing(missing)).is_break() {
            return Ok(());
        }
        tail.offset += missing * RECORD_BYTES as u64;
        let hole = tail.seek(Whence::SeekHole)?.unwrap_or(length);
        while tail.offset < hole {
            let mut flow = ControlFlow::Continue(());
            let any = tail.read_until(hole, |record| {
                if flow.is_continue() {
                    flow = take(Piece::Record(record));
                }
            })?;
            if flow.is_break() {
                return Ok(());
            }
            if !any {
                // It ends within a record, and there it ends.
                return match take(Piece::Record(Err(Undecodable))) {
                    ControlFlow::Continue(()) | ControlFlow::Break(()) => Ok(()),
                };
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Event;

    fn record() -> Record {
        let (worker, incarnation, lock, token, at_us, detail) = (0, 1, 0, 0, 0, 0);
        Record { event: Event::Start, fault: None, worker, incarnation, lock, token, at_us, detail }
    }

    #[test]
    fn the_tail_follows_and_sees_a_torn_end() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let journal = Journal::open(file.path()).expect("it opens");
        let mut tail = Tail::open(file.path()).expect("it opens");
        let mut count = 0;
        for _ in 0..600 {
            journal.append(&record()).expect("it is appended");
        }
        while tail.read(|read| count += usize::from(read == Ok(record()))).expect("it is read") {}
        assert_eq!(count, 600);
        assert!(!tail.is_torn().expect("it has a length"));

        (&journal.0).write_all(&record().encode()[..7]).expect("it is appended");
        assert!(!tail.read(|_| count += 1).expect("it is read"), "a piece is not handed over");
        assert!(tail.is_torn().expect("it has a length"));
    }

    #[test]
    fn what_is_kept_ends_with_its_torn_end() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let journal = Journal::open(file.path()).expect("it opens");
        for _ in 0..5000 {
            journal.append(&record()).expect("it is appended");
        }
        (&journal.0).write_all(&[1; 5]).expect("it is appended");
        let mut pieces = Vec::new();
        let mut take = |piece| {
            pieces.push(piece);
            ControlFlow::Continue(())
        };
        kept(file.path(), &mut take).expect("it is read");
        assert_eq!(pieces.len(), 5001);
        assert_eq!(pieces.pop(), Some(Piece::Record(Err(Undecodable))));
        assert!(pieces.iter().all(|piece| *piece == Piece::Record(Ok(record()))));

        let mut count = 0;
        let stop = |_| {
            count += 1;
            if count == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        kept(file.path(), stop).expect("it is read");
        assert_eq!(count, 7);
    }
}
