//! `stress history`: the records of a kept history, one line of JSON each.
//!
//! A stretch whose records are gone is a line too, and so are bytes that are no record.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::history::{Event, Piece, Record, kept};
use crate::run_dir::HISTORY;

/// The options of `stress history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryOptions {
    /// The run directory
    dir: PathBuf,

    /// Only what is about this lock
    #[arg(long, value_name = "N")]
    lock: Option<u16>,

    /// Only what is about this worker
    #[arg(long, value_name = "N")]
    worker: Option<u16>,

    /// From this record on, counted from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,

    /// At most so many lines
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    count: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Record {
        number: u64,
        #[serde(flatten)]
        record: Record,
    },
    Missing {
        number: u64,
        missing: u64,
    },
    Undecodable {
        number: u64,
        undecodable: bool,
    },
}

impl HistoryOptions {
    fn wants(&self, record: &Record) -> bool {
        let on_lock = |lock| record.lock == lock && is_about_a_lock(record);
        self.lock.is_none_or(on_lock) && self.worker.is_none_or(|worker| record.worker == worker)
    }

    /// The line for this piece, if one is wanted.
    fn line(&self, number: u64, piece: Piece) -> Option<Line> {
        let all = self.lock.is_none() && self.worker.is_none();
        match piece {
            Piece::Record(Ok(record)) => {
                (number >= self.from && self.wants(&record)).then_some(Line::Record { number, record })
            }
            Piece::Record(Err(_)) => {
                (number >= self.from && all).then_some(Line::Undecodable { number, undecodable: true })
            }
            Piece::Missing(missing) => (number + missing > self.from).then_some(Line::Missing { number, missing }),
        }
    }
}

/// Whether the lock of a record means one: that of a worker's start is 0 because there is none.
fn is_about_a_lock(record: &Record) -> bool {
    match record.event {
        Event::Start | Event::Done | Event::Kill | Event::Stop | Event::Continue | Event::Exit => false,
        Event::Strike | Event::Relieve => record.fault.is_some_and(crate::fault::Fault::is_of_a_claim),
        _ => true,
    }
}

/// Prints what is asked for. Whoever reads may stop at any time.
pub(crate) fn print(options: &HistoryOptions, out: impl Write) -> anyhow::Result<()> {
    let mut out = BufWriter::new(out);
    let (mut number, mut left) = (0, options.count);
    let mut written = Ok(());
    let path = options.dir.join(HISTORY);
    let read = kept(&path, |piece| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        if let Some(line) = options.line(number, piece) {
            left -= 1;
            written = write_line(&mut out, &line);
        }
        number += match piece {
            Piece::Record(_) => 1,
            Piece::Missing(records) => records,
        };
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    read.with_context(|| format!("cannot read {}", path.display()))?;
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

fn write_line(out: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line).map_err(io::Error::from)?;
    out.write_all(b"\n")
}
