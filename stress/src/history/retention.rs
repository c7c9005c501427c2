//! What of a history stays on the disk while a run goes on: the end of it, and what is around the first violation.
//!
//! Behind the reader, all but the last bytes are freed as a hole in the file, so that every record keeps its place. Once
//! there is a violation, what is there then stays, and as much again after it; what comes later is freed as before. So the
//! history never takes more than three times what is kept, and some for the step in which it is freed.
//!
//! Where the file system cannot make holes, all of it stays, and that is said once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};

/// What can be freed is whole pages.
const PAGE: u64 = 4096;
/// It is freed in steps that are large enough not to cost anything.
const STEP: u64 = 16 << 20;

/// Frees a history behind its reader.
#[derive(Debug)]
pub(crate) struct Retention {
    file: File,
    keep: u64,
    /// What is before this place is free, or stays.
    settled: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Undisturbed,
    /// There was a violation.
    Disturbed,
    /// The file system cannot do it.
    Impossible,
}

/// Whether there has been a violation so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calm {
    Undisturbed,
    Violated,
}

impl Retention {
    /// Keeps so many bytes of this history.
    pub(crate) fn open(path: &Path, keep: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { file, keep, settled: 0, state: State::Undisturbed })
    }

    /// So many bytes have been judged.
    pub(crate) fn follow(&mut self, judged: u64, calm: Calm) {
        if calm == Calm::Violated && self.state == State::Undisturbed {
            self.state = State::Disturbed;
            self.settled = (judged + self.keep).next_multiple_of(PAGE);
        }
        let until = judged.saturating_sub(self.keep) / PAGE * PAGE;
        let step = (self.keep / 16).clamp(PAGE, STEP);
        if self.state == State::Impossible || until < self.settled + step {
            return;
        }
        if let Err(error) = self.free(until) {
            self.state = State::Impossible;
            // Nobody is left to tell if standard error is closed.
            writeln!(io::stderr(), "the history cannot be freed where it has been judged: {error}; all of it stays")
                .ok();
        }
        self.settled = until;
    }

    fn free(&self, until: u64) -> io::Result<()> {
        let [from, length] = [self.settled, until - self.settled].map(i64::try_from);
        let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        Ok(fallocate(&self.file, how, from.map_err(io::Error::other)?, length.map_err(io::Error::other)?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::history::{Event, Journal, Piece, Record, kept};

    const KEEP: u64 = 64 << 10;

    fn journal() -> (tempfile::NamedTempFile, Journal, Retention) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let journal = Journal::open(file.path()).expect("it opens");
        let retention = Retention::open(file.path(), KEEP).expect("it opens");
        (file, journal, retention)
    }

    /// Appends so many bytes of records, and has them followed.
    fn grow(journal: &Journal, retention: &mut Retention, place: &mut u64, bytes: u64, calm: Calm) {
        for _ in 0..bytes / 32 {
            let (worker, incarnation, lock, at_us, detail) = (0, 1, 0, 0, 0);
            let record =
                Record { event: Event::Start, fault: None, worker, incarnation, lock, token: *place, at_us, detail };
            journal.append(&record).expect("it is appended");
            *place += 1;
            retention.follow(*place * 32, calm);
        }
    }

    /// What is left: each record's token says its place.
    fn stretches(path: &Path) -> Vec<(u64, u64)> {
        let (mut place, mut stretches) = (0, Vec::<(u64, u64)>::new());
        kept(path, |piece| {
            match piece {
                Piece::Missing(records) => place += records,
                Piece::Record(record) => {
                    assert_eq!(record.map(|record| record.token), Ok(place));
                    match stretches.last_mut() {
                        Some((_, until)) if *until == place => *until += 1,
                        _ => stretches.push((place, place + 1)),
                    }
                    place += 1;
                }
            }
            ControlFlow::Continue(())
        })
        .expect("it is read");
        stretches.into_iter().map(|(from, until)| (32 * from, 32 * until)).collect()
    }

    #[test]
    fn the_end_stays_and_every_record_in_its_place() {
        let (file, journal, mut retention) = journal();
        let mut place = 0;
        grow(&journal, &mut retention, &mut place, 4 << 20, Calm::Undisturbed);
        if retention.state == State::Impossible {
            eprintln!("skipped: the file system of {} cannot make holes", file.path().display());
            return;
        }
        let stretches = stretches(file.path());
        let [(from, until)] = stretches[..] else { panic!("{stretches:?}") };
        assert_eq!(until, 4 << 20);
        assert!((KEEP..=KEEP + 4 * PAGE).contains(&(until - from)), "{stretches:?}");
        let taken = file.as_file().metadata().expect("it has metadata").blocks() * 512;
        assert!(taken < 2 * KEEP, "{taken} bytes are taken");
    }

    #[test]
    fn what_is_around_the_first_violation_stays() {
        let (file, journal, mut retention) = journal();
        let mut place = 0;
        grow(&journal, &mut retention, &mut place, 1 << 20, Calm::Undisturbed);
        grow(&journal, &mut retention, &mut place, 3 << 20, Calm::Violated);
        if retention.state == State::Impossible {
            eprintln!("skipped: the file system of {} cannot make holes", file.path().display());
            return;
        }
        let stretches = stretches(file.path());
        let [(before, after), (end, until)] = stretches[..] else { panic!("{stretches:?}") };
        assert!(before <= (1 << 20) - KEEP && after >= (1 << 20) + KEEP, "{stretches:?}");
        assert!(after - before <= 2 * KEEP + 4 * PAGE, "{stretches:?}");
        assert_eq!(until, 4 << 20);
        assert!((KEEP..=KEEP + 4 * PAGE).contains(&(until - end)), "{stretches:?}");
    }
}
