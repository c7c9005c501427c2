//! Faults done to the directory, to its disk and to the machine's clock, by the supervisor's own process.
//!
//! | Fault | What is done | Over |
//! |---|---|---|
//! | `delete-claim` | a lock file is unlinked | at once |
//! | `truncate-claim` | a lock file is cut to nothing, or somewhere in the middle | at once |
//! | `replace-claim` | another file is renamed over it, with an older peer's payload, that nobody has open | at once |
//! | `delete-state` | the state directory is renamed away, or deleted file by file where it is | when it is gone |
//! | `disk-full`, `inodes-full` | nothing is left on the lock directory's file system, a small one of its own | after a while |
//! | `clock-jump` | the wall clock is set up to two hours ahead or back | after a while |
//!
//! Each is written into the history right before the deed and, when it is over, again, and only if there is something to do it to: a claim that is not
//! there is not deleted. `NoDescriptors` is no sabotage of this kind, it is done inside a worker. What outlives this process
//! if it is killed, a mount and a wrong clock, can be undone by another one: [`mounts`], [`undo_mount`], [`undo_clock`].

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;

use crate::clock::monotonic_us;
use crate::fault::Fault;
use crate::history::{Event, Journal, NOBODY, Record};
use crate::options::RunOptions;
use crate::run_dir::RunDir;

mod claim;
mod disk;
mod state;
mod wall_clock;

use claim::Forger;
use disk::SmallDisk;
pub(crate) use disk::SmallFs;
pub(crate) use disk::undo_mount;
use wall_clock::WallClock;
pub(crate) use wall_clock::undo_clock;

/// The faults of one run that no worker and no group is needed for.
#[derive(Debug)]
pub(crate) struct Saboteur {
    journal: Journal,
    random: fastrand::Rng,
    /// As seen from the same mount as `aside`, so that a file can be renamed from one to the other.
    sessions: PathBuf,
    /// Where things are made before they are moved in, and moved to before they are deleted.
    aside: PathBuf,
    forger: Forger,
    disk: Option<SmallDisk>,
    clock: Option<WallClock>,
    in_force: Vec<Lasting>,
}

/// A fault that is not over yet.
#[derive(Debug)]
struct Lasting {
    fault: Fault,
    until: Instant,
}

impl Saboteur {
    /// Makes everything ready that the faults asked for need, before there is any worker.
    ///
    /// # Errors
    ///
    /// What the machine does not allow: mounts need `CAP_SYS_ADMIN`, the clock needs `CAP_SYS_TIME`.
    pub(crate) fn prepare(options: &RunOptions, dir: &RunDir, seed: u64) -> anyhow::Result<Self> {
        let asked = |fault| options.rates().iter().any(|&(asked, _)| asked == fault);
        let journal = Journal::open(&dir.history())?;
        let clock = if asked(Fault::ClockJump) { Some(WallClock::prepare()?) } else { None };
        let disk = if wants_disk(options) { Some(SmallDisk::mount(options, dir)?) } else { None };
        let ground = disk.as_ref().map_or(dir.path(), SmallDisk::path);
        let (sessions, aside) = (ground.join("sessions"), ground.join("aside"));
        let saboteur = Self {
            journal,
            random: fastrand::Rng::with_seed(seed),
            sessions,
            aside,
            forger: Forger::default(),
            disk,
            clock,
            in_force: Vec::new(),
        };
        if asked(Fault::ReplaceClaim) || asked(Fault::DeleteState) {
            make_dir(&saboteur.aside)?;
        }
        Ok(saboteur)
    }

    /// By how much the wall clock is ahead of the time since the boot, for [`undo_clock`], if this run makes it jump.
    pub(crate) fn clock_truth_ns(&self) -> Option<i64> {
        self.clock.as_ref().map(WallClock::truth_ns)
    }

    /// Does this to the lock, or to what all locks share. One that lasts is left alone while it does.
    pub(crate) fn strike(&mut self, fault: Fault, lock: u16, lasting: Duration) -> anyhow::Result<()> {
        let failed = || format!("cannot do the fault {}", fault.name());
        let Self { journal, random, sessions, aside, forger, .. } = self;
        // The state directory is all locks'.
        let lock = if fault == Fault::DeleteState { 0 } else { lock };
        let announce = || note(journal, Event::Strike, fault, lock, Duration::ZERO);
        let claim = claim::path(sessions, lock);
        let is_done = match fault {
            Fault::DeleteClaim => claim::delete(&claim, announce),
            Fault::TruncateClaim => claim::truncate(&claim, random, announce),
            Fault::ReplaceClaim => forger.replace(lock, &claim, &aside.join("claim"), random, announce),
            Fault::DeleteState => {
                let way = if random.bool() { state::Way::AtOnce } else { state::Way::FileByFile };
                state::delete(sessions, aside, way, announce)
            }
            Fault::DiskFull | Fault::InodesFull | Fault::ClockJump => {
                return self.begin(fault, lasting).with_context(failed);
            }
            _ => return Ok(()),
        };
        // From here on it excuses nobody who comes anew.
        if is_done.with_context(failed)? {
            note(&self.journal, Event::Relieve, fault, lock, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Ends what is over. To be called often: what is in force is renewed, since others give back what they used.
    pub(crate) fn relieve(&mut self, now: Instant) -> anyhow::Result<()> {
        let over: Vec<_> = self.in_force.extract_if(.., |lasting| lasting.until <= now).collect();
        for Lasting { fault, .. } in over {
            self.end(fault)?;
        }
        if let Some(disk) = &mut self.disk {
            for Lasting { fault, .. } in &self.in_force {
                match fault {
                    Fault::DiskFull => disk.use_up_blocks()?,
                    Fault::InodesFull => disk.use_up_inodes()?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Ends all that lasts.
    pub(crate) fn relieve_all(&mut self) -> anyhow::Result<()> {
        while let Some(Lasting { fault, .. }) = self.in_force.pop() {
            self.end(fault)?;
        }
        Ok(())
    }

    fn begin(&mut self, fault: Fault, lasting: Duration) -> anyhow::Result<()> {
        if self.in_force.iter().any(|other| other.fault == fault) {
            return Ok(());
        }
        note(&self.journal, Event::Strike, fault, 0, lasting)?;
        // Noted first: what fails halfway is ended all the same.
        self.in_force.push(Lasting { fault, until: Instant::now() + lasting });
        match (fault, &mut self.disk, &mut self.clock) {
            (Fault::DiskFull, Some(disk), _) => disk.use_up_blocks()?,
            (Fault::InodesFull, Some(disk), _) => disk.use_up_inodes()?,
            (Fault::ClockJump, _, Some(clock)) => clock.jump(&mut self.random)?,
            _ => anyhow::bail!("it was not prepared"),
        }
        Ok(())
    }

    /// The deed comes first: until it is undone, the fault explains errors.
    fn end(&mut self, fault: Fault) -> anyhow::Result<()> {
        match (fault, &mut self.disk, &mut self.clock) {
            (Fault::DiskFull, Some(disk), _) => disk.give_back_blocks()?,
            (Fault::InodesFull, Some(disk), _) => disk.give_back_inodes()?,
            (Fault::ClockJump, _, Some(clock)) => clock.set_right()?,
            _ => {}
        }
        note(&self.journal, Event::Relieve, fault, 0, Duration::ZERO)
    }
}

impl Drop for Saboteur {
    /// Leaves the machine as it was. The small disk unmounts itself.
    fn drop(&mut self) {
        while let Some(Lasting { fault, .. }) = self.in_force.pop() {
            self.end(fault).ok();
        }
        fs::remove_dir_all(&self.aside).ok();
    }
}

/// What [`Saboteur::prepare`] will mount something on in this run, in the order in which that is to be undone.
pub(crate) fn mounts(options: &RunOptions, dir: &RunDir) -> Vec<PathBuf> {
    if wants_disk(options) { disk::mount_points(dir).into() } else { Vec::new() }
}

fn wants_disk(options: &RunOptions) -> bool {
    options.rates().iter().any(|(fault, _)| matches!(fault, Fault::DiskFull | Fault::InodesFull))
}

fn note(journal: &Journal, event: Event, fault: Fault, lock: u16, lasting: Duration) -> anyhow::Result<()> {
    let detail = i32::try_from(lasting.as_micros()).unwrap_or(i32::MAX);
    let (fault, at_us) = (Some(fault), monotonic_us());
    let record = Record { event, fault, worker: NOBODY, incarnation: 0, lock, token: 0, at_us, detail };
    journal.append(&record).context("cannot append to the history")
}

/// A directory that only this user can look into, as the lock wants it.
fn make_dir(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
        .with_context(|| format!("cannot make {}", path.display()))
}

/// What was there and is not any more is no failure: others delete as well.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Another fault is in the way.
fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOSPC as i32)
}

#[cfg(test)]
mod tests;
