//! What a worker does: acquire, write down, count, release, again and again. The same for processes and threads; a task waits in
//! another way (`task`).

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::unistd::Pid;

use super::Host;
use crate::clock::monotonic_us;
use crate::fault::Fault;
use crate::history::{Event, Record};
use crate::options::LockChoice;
use crate::peers::{Acquired, Asked, End, Held};
use crate::run_dir::Ask;

/// How long a worker waits inside its hold for the kill that was announced to it.
const CAUGHT: Duration = Duration::from_secs(2);
/// How long it pauses after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(10);
/// A worker looks no more often than this for what it is asked to do: short holds need not pay for that each time.
const LOOKS_EVERY_US: u64 = 250;
/// The end of the run is noticed within this time.
pub(super) const SLICE: Duration = Duration::from_millis(50);

/// One worker, by its place in the crew: a thread of its own, or a task.
pub(super) struct Worker {
    pub(super) host: Arc<Host>,
    pub(super) place: u16,
    pub(super) incarnation: u32,
    pub(super) random: fastrand::Rng,
    looked_us: u64,
    /// Forked children that may have ended since.
    pub(super) children: Vec<Pid>,
}

/// An acquire that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) asked: Asked,
    pub(super) since_us: u64,
}

/// A hold, from its *acquired* record on.
pub(super) struct Inside {
    held: Box<dyn Held>,
    lock: u16,
    token: u64,
    count: u64,
    /// How long it is to last.
    pub(super) lasting: Duration,
}

/// What an acquire came to.
pub(super) enum Entry {
    Inside(Inside),
    /// Nothing is held. A pause, before the next.
    Outside(Duration),
}

impl Worker {
    pub(super) fn new(host: Arc<Host>, place: u16) -> Self {
        let options = &host.options;
        let random = fastrand::Rng::with_seed(options.seed.wrapping_add(u64::from(place)));
        let (place, incarnation) = (options.worker + place, options.incarnation + u32::from(place));
        Self { host, place, incarnation, random, looked_us: 0, children: Vec::new() }
    }

    /// The whole life of a worker that has a thread.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        fastrand::seed(self.random.u64(..));
        self.begin()?;
        while !self.host.is_ending() {
            self.section()?;
            let think = self.host.options.think.draw(&mut self.random);
            self.nap(think);
        }
        self.note(Event::Done, 0, 0, 0)
    }

    /// It has all it needs.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        self.note(Event::Start, 0, 0, 0)?;
        Ok(self.host.control.clear(self.place)?)
    }

    /// One acquisition from beginning to end.
    fn section(&mut self) -> anyhow::Result<()> {
        let request = self.request();
        let Self { place: worker, incarnation, .. } = *self;
        let _span = tracing::info_span!("section", worker, incarnation, lock = request.asked.lock).entered();
        let acquired = self.acquire(request.asked);
        match self.enter(request, acquired)? {
            Entry::Outside(pause) => {
                self.nap(pause);
                Ok(())
            }
            Entry::Inside(inside) => {
                self.nap(inside.lasting);
                let pause = self.leave(inside)?;
                self.nap(pause);
                Ok(())
            }
        }
    }

    /// What a dead owner left is for ours to take over. At the end these may be gone before, so an older peer stops waiting
    /// then; it only polls, and loses nothing by asking in slices.
    fn acquire(&self, asked: Asked) -> Acquired {
        let Host { peer, options, .. } = &*self.host;
        if !options.lock.is_older() {
            return peer.acquire(asked);
        }
        let deadline = Instant::now() + asked.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match peer.acquire(Asked { timeout: left.min(SLICE), ..asked })? {
                None if left > SLICE && !self.host.is_ending() => {}
                acquired => return Ok(acquired),
            }
        }
    }

    pub(super) fn request(&mut self) -> Request {
        let options = &self.host.options;
        let lock = match options.spread {
            LockChoice::Random => self.random.u16(..options.locks),
            LockChoice::Own => self.place % options.locks,
        };
        Request { asked: Asked { worker: self.place, lock, timeout: options.timeout }, since_us: monotonic_us() }
    }

    /// Writes down what an acquire came to, and does what was asked for inside the hold.
    pub(super) fn enter(&mut self, request: Request, acquired: Acquired) -> anyhow::Result<Entry> {
        let (lock, waited_us) = (request.asked.lock, monotonic_us() - request.since_us);
        let held = match acquired {
            Ok(Some(held)) => held,
            Ok(None) => {
                let gave_up = self.host.is_ending() && self.host.options.lock.is_older();
                let event = if gave_up { Event::Cancelled } else { Event::Timeout };
                self.note(event, lock, 0, waited_us)?;
                return Ok(Entry::Outside(Duration::ZERO));
            }
            Err(error) => return self.failed(lock, "acquire", &error).map(Entry::Outside),
        };
        let token = held.token();
        self.note(Event::Acquired, lock, token, waited_us)?;
        let count = self.host.counters.read(lock)?;
        let mut lasting = self.host.options.hold.draw(&mut self.random);
        match self.look()? {
            None | Some(Ask::Begin) => {}
            Some(Ask::Wait) => {
                self.note(Event::Caught, lock, token, 0)?;
                lasting += CAUGHT;
            }
            Some(Ask::Fork) => self.fork(lock, token, lasting)?,
            Some(Ask::Exec) => self.exec(lock, token)?,
        }
        Ok(Entry::Inside(Inside { held, lock, token, count, lasting }))
    }

    /// What it is asked to do in this hold.
    fn look(&mut self) -> anyhow::Result<Option<Ask>> {
        let now_us = monotonic_us();
        if now_us.saturating_sub(self.looked_us) < LOOKS_EVERY_US {
            return Ok(None);
        }
        self.looked_us = now_us;
        Ok(self.host.control.asked(self.place)?)
    }

    /// Ends the section and releases. A pause, before the next.
    pub(super) fn leave(&mut self, inside: Inside) -> anyhow::Result<Duration> {
        let Inside { held, lock, token, count, .. } = inside;
        self.host.counters.write(lock, count + 1)?;
        self.note(Event::Releasing, lock, token, 0)?;
        match held.release() {
            Ok(End::Released) if self.host.options.lock.is_older() => self.note(Event::Released, lock, token, 0)?,
            Ok(End::Released) => {}
            Ok(End::Lost) => self.note(Event::Lost, lock, token, 0)?,
            Err(error) => return self.failed(lock, "release", &error),
        }
        Ok(Duration::ZERO)
    }

    fn failed(&self, lock: u16, what: &str, error: &anyhow::Error) -> anyhow::Result<Duration> {
        let Self { place: worker, incarnation, .. } = self;
        // By one write: others write there too.
        let line = format!("worker {worker}, incarnation {incarnation}: cannot {what} lock {lock}: {error:#}\n");
        io::stderr().write_all(line.as_bytes()).ok();
        self.write(Event::Error, None, lock, 0, errno(error))?;
        Ok(AFTER_FAILURE)
    }

    /// Sleeps, in slices so that the end of the run is noticed.
    fn nap(&self, time: Duration) {
        if time <= SLICE {
            if !time.is_zero() {
                thread::sleep(time);
            }
            return;
        }
        let until = Instant::now() + time;
        while !self.host.is_ending() {
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => break,
                left => thread::sleep(left.min(SLICE)),
            }
        }
    }

    pub(super) fn note(&self, event: Event, lock: u16, token: u64, took_us: u64) -> anyhow::Result<()> {
        self.write(event, None, lock, token, i32::try_from(took_us).unwrap_or(i32::MAX))
    }

    pub(super) fn write(
        &self,
        event: Event,
        fault: Option<Fault>,
        lock: u16,
        token: u64,
        detail: i32,
    ) -> anyhow::Result<()> {
        let Self { place: worker, incarnation, .. } = *self;
        let record = Record { event, fault, worker, incarnation, lock, token, at_us: monotonic_us(), detail };
        self.host.journal.append(&record).context("cannot append to the history")
    }
}

/// The kernel's answer that is at the bottom of this, 0 if there is none.
fn errno(error: &anyhow::Error) -> i32 {
    let number = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        io.or_else(|| cause.downcast_ref::<Errno>().map(|&errno| errno as i32))
    };
    error.chain().find_map(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_below_the_words() {
        let full = anyhow::Error::from(io::Error::from_raw_os_error(28)).context("cannot write");
        assert_eq!(errno(&full), 28);
        assert_eq!(errno(&anyhow::Error::from(Errno::EMFILE).context("cannot open")), 24);
        assert_eq!(errno(&anyhow::anyhow!("something else")), 0);
    }
}
