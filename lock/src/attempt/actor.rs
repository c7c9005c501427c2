//! The driver, one operation at a time: what a conformance test drives beside the simulated kernel of the model checker.
//!
//! An [`Actor`] is one process as the lock directory sees it: its own descriptions, its own nonce, its own spare. It performs
//! what it is told, whatever a machine would ask for. It is no interface: anything here may change.

use super::Attempt;
use crate::claim::Claim;
use crate::directory::Directory;
use crate::error::{LockError, SystemError};
use crate::hold::Hold;
use crate::name::Session;
use crate::process::Process;
use crate::protocol::{Acquire, Acquired, Completion, Operation};
use crate::request::{Counters, Request};
use crate::spare::{self, Mode};
use crate::sys::{self, Errno};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// One process's driver for one session.
pub struct Actor {
    process: &'static Process,
    path: PathBuf,
    session: Arc<Session>,
    life: Option<Life>,
}

/// When a process makes its spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spares {
    /// With the first claim that can be one.
    AtOnce,
    /// Never.
    Never,
}

/// From a start to an end.
struct Life {
    directory: Arc<Directory>,
    request: Request,
    attempt: Attempt,
    spares: Spares,
    hold: Option<Hold>,
    /// The hold has not unlocked its arbiter.
    locked: bool,
}

impl Actor {
    /// One that has not started. What is one per process (a nonce, an inotify instance) is made here and never freed.
    ///
    /// # Errors
    ///
    /// What every process needs cannot be had: no inotify instance, no /proc.
    ///
    /// # Panics
    ///
    /// If `session` is no name of a session.
    pub fn new(path: &Path, session: &str) -> io::Result<Self> {
        let session = Arc::new(Session::new(session).expect("a session has such a name"));
        Ok(Self { process: Process::apart()?, path: path.to_owned(), session, life: None })
    }

    /// Starts: opens the directory and the session's arbiter.
    ///
    /// # Errors
    ///
    /// Either cannot be opened.
    pub fn start(&mut self, spares: Spares) -> Result<(), LockError> {
        let failed = |errno: Errno| SystemError { operation: "open", path: self.path.clone(), cause: errno.into() };
        let fd = sys::file::open_directory(&self.path).map_err(failed)?;
        let stat = sys::file::stat(&fd).map_err(failed)?;
        let directory = Arc::new(Directory::new(fd, &self.path, stat, self.process));
        let request = Request::reclaiming(&directory, &self.session, None, Counters::Off);
        let arbiter = directory.arbiter(self.session.range)?;
        let mut attempt = Attempt::new(&directory, &self.session, Duration::ZERO);
        attempt.arbiter = Some(arbiter);
        self.life = Some(Life { directory, request, attempt, spares, hold: None, locked: false });
        Ok(())
    }

    /// Performs one operation that does not wait, as an acquire does it or, within a hold, as the hold does it. `None`: the
    /// arbiter is locked. A hold is over when its claim is closed and its arbiter unlocked.
    ///
    /// # Errors
    ///
    /// It failed for good: a driver would drop the machine.
    ///
    /// # Panics
    ///
    /// If what it works on is not open, or if it is a wait.
    pub fn perform(&mut self, operation: Operation) -> Result<Option<Completion>, LockError> {
        let life = self.life();
        if matches!(operation, Operation::PublishClaim { .. }) {
            life.prepare_spare();
        }
        let Some(hold) = &life.hold else { return life.attempt.perform(operation, &life.request) };
        let completion = hold.perform(operation, &mut hold.claim())?;
        life.locked &= operation != Operation::UnlockArbiter;
        if hold.is_over() && !life.locked {
            life.hold = None;
        }
        Ok(Some(completion))
    }

    /// The acquire is over, and a hold begins with what it has open. Nobody looks after it.
    ///
    /// # Panics
    ///
    /// If it has no claim open, or holds.
    pub fn hold(&mut self) {
        let session = Arc::clone(&self.session);
        let life = self.life();
        assert!(life.hold.is_none(), "a process holds a session once");
        let mut attempt = std::mem::replace(&mut life.attempt, Attempt::new(&life.directory, &session, Duration::ZERO));
        life.attempt.arbiter.clone_from(&attempt.arbiter);
        let held = attempt.held(Acquired::Fresh { token: 0 }, &life.request);
        life.hold = Some(Hold::new(life.request.clone(), held));
        life.locked = true;
    }

    /// The hold is over, and an acquire begins with what it had.
    ///
    /// # Panics
    ///
    /// If it does not hold, or has given something back already.
    pub fn hand_on(&mut self) {
        let life = self.life();
        let hold = life.hold.take().expect("only a holder hands on");
        let claim = hold.claim().take().expect("its claim is open");
        life.attempt = hold.handed_on(claim);
        // The simulation knows no tokens that are taken ahead.
        life.attempt.tenure = None;
        // What the machine would do is asked of nobody.
        life.attempt.machine = Acquire::new();
    }

    /// Removes the spares that dead processes left, and says how many there were.
    pub fn sweep(&mut self) -> usize {
        spare::sweep_in(&self.life().directory, Mode::Remove)
    }

    /// Ends in good order, between two acquires. The next start is another process's.
    pub fn end(&mut self) {
        self.life = None;
        self.process.restart();
    }

    /// Ends as after a SIGKILL: every descriptor is closed, and nothing is done about what is on disk. The next start is
    /// another process's.
    pub fn die(&mut self) {
        if let Some(mut life) = self.life.take() {
            life.attempt.locked = false;
            life.attempt.claim = None;
            life.directory.spare.close();
        }
        self.process.restart();
    }

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().expect("a process does something only once it has started")
    }
}

impl Life {
    /// Has the next new claim become the spare, or not: without this it would be the eighth since the last spare was lost.
    fn prepare_spare(&self) {
        let (directory, spare) = (&self.directory, &self.directory.spare);
        let kept = spare.take(directory).map(|claim| spare.put_back(directory, claim));
        let is_spare = |claim: &Option<Claim>| claim.as_ref().is_some_and(|claim| claim.spare);
        let in_use = is_spare(&self.attempt.claim) || self.hold.as_ref().is_some_and(|hold| is_spare(&hold.claim()));
        spare.make_next(self.spares == Spares::AtOnce && kept.is_none() && !in_use);
    }
}
