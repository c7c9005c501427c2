//! One acquire in progress: the protocol's machine, and the descriptors that it works with.
//!
//! [`Attempt::run`] goes on until the machine holds or has to wait; [`Attempt::wait`] does the waiting, on
//! whatever thread. Between the two an attempt can change hands, also from a waiter that gave up to the next one.
//!
//! Dropping an attempt gives back all that it has locked, and removes its claim if it has one.

pub(crate) mod actor;
#[cfg(all(test, not(session_lock_shuttle)))]
mod tests;
mod wait;

use crate::arbiter::Arbiter;
use crate::claim::{self, Claim};
use crate::directory::Directory;
use crate::error::{LockError, REMOVED_AGAIN, SystemError};
use crate::event::Event;
use crate::evidence;
use crate::holder::Holder;
use crate::name::Session;
use crate::payload::{Content, MAX_CLAIM_LEN, OfHold};
use crate::protocol::{
    Acquire, Acquired, Completion, Inode, Machine, Operation, Refusal, Release, Released, Standing, Step,
};
use crate::queue::Parker;
use crate::request::{Asked, Claimant, Request};
use crate::sys::{self, Errno, Fd, ofd::Attempted};
use crate::tenure::Tenure;
use crate::verdict::{self, OwnerProcess, Probe, Reason};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use wait::Waited;

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) directory: Arc<Directory>,
    pub(crate) session: Arc<Session>,
    grace: Duration,
    /// Made for the first wait.
    parker: Option<Arc<Parker>>,
    machine: Acquire,
    arbiter: Option<Arc<Arbiter>>,
    locked: bool,
    /// It waits until other processes have had the lock.
    comes_last: bool,
    /// Of the holds before, if one of them has handed the lock on.
    tenure: Option<Tenure>,
    claim: Option<Claim>,
    /// For which request the claim that was handed on is renewed, and until when that counts.
    renewed: Option<(u64, Instant)>,
    /// What the claim said when it was last read.
    content: Content,
    /// The claim that was last opened.
    examined: Option<Inode>,
    pin: Option<(Fd, Inode)>,
    reported: Option<Refusal>,
    reopened: u32,
}

/// How often one acquire starts again because somebody removes the state directory.
const MAX_REOPENED: u32 = 64;

/// How soon a hold has to begin on a claim that was [renewed](Attempt::renew) for it, or else it is renewed once more. A
/// claim that goes meanwhile is found as one that goes from a hold: by its watch, or at its release. Two of the checker's
/// looks at the clock, so that both happen there.
pub(crate) const LOOK_COUNTS: Duration = Duration::from_millis(if cfg!(session_lock_shuttle) { 25 } else { 1 });

/// Where a run has come to.
pub(crate) enum Progress {
    Held(Held),
    /// It has to wait; [`Attempt::wait`] does it.
    Blocked(Operation),
}

/// Why a claim was taken over, and from whom.
pub(crate) type Reclaimed = (Reason, Box<Holder>);

/// What a finished attempt hands over.
pub(crate) struct Held {
    pub(crate) arbiter: Arc<Arbiter>,
    pub(crate) claim: Claim,
    pub(crate) token: u64,
    /// What it goes on with. `None`: it begins.
    pub(crate) tenure: Option<Tenure>,
    /// Whose claim it took over, and why that could be, if it did.
    pub(crate) reclaimed: Option<Reclaimed>,
}

impl Attempt {
    pub(crate) fn new(directory: &Arc<Directory>, session: &Arc<Session>, grace: Duration) -> Self {
        Self {
            directory: Arc::clone(directory),
            session: Arc::clone(session),
            grace,
            parker: None,
            machine: Acquire::new(),
            arbiter: None,
            locked: false,
            comes_last: false,
            tenure: None,
            claim: None,
            renewed: None,
            content: Content::Empty,
            examined: None,
            pin: None,
            reported: None,
            reopened: 0,
        }
    }

    /// One with a lock that the hold before has handed on.
    pub(crate) fn handed_on(from: &Request, arbiter: &Arc<Arbiter>, claim: Claim, tenure: &Tenure) -> Self {
        let mut attempt = Self::new(&from.directory, &from.session, from.grace);
        attempt.machine = Acquire::handed_on();
        attempt.arbiter = Some(Arc::clone(arbiter));
        attempt.locked = true;
        attempt.tenure = Some(tenure.clone());
        attempt.claim = Some(claim);
        attempt
    }

    /// One that lets the processes go first that wait for this arbiter.
    pub(crate) fn coming_last(from: &Request, arbiter: &Arc<Arbiter>) -> Self {
        let mut attempt = Self::new(&from.directory, &from.session, from.grace);
        attempt.arbiter = Some(Arc::clone(arbiter));
        attempt.comes_last = true;
        attempt
    }

    /// Runs until the lock is held or something has to be waited for. Each system call is short.
    pub(crate) fn run(&mut self, request: &Request) -> Result<Progress, LockError> {
        loop {
            match self.machine.poll() {
                Step::Done(acquired) => return Ok(Progress::Held(self.held(acquired, request))),
                Step::Do(operation @ (Operation::AwaitClaim(_) | Operation::AwaitGrace)) => {
                    self.report_refusal(operation, request);
                    return Ok(Progress::Blocked(operation));
                }
                Step::Do(operation) => match self.perform(operation, request)? {
                    Some(completion) => self.machine.resume(completion),
                    None => return Ok(Progress::Blocked(operation)),
                },
            }
        }
    }

    /// Where it sleeps while it waits for something that can be called off.
    pub(crate) fn parker(&mut self) -> &Arc<Parker> {
        self.parker.get_or_insert_default()
    }

    /// Whether it has waited out a grace that would be lost with it.
    pub(crate) fn has_graced(&self) -> bool {
        self.machine.has_graced()
    }

    fn held(&mut self, acquired: Acquired, request: &Request) -> Held {
        let (token, reclaimed) = match acquired {
            Acquired::Fresh { token } => (token, None),
            Acquired::Reclaimed { token, from } => {
                let asker = &self.directory.process.asker();
                let owner = match from {
                    Standing::OwnArbiter => OwnerProcess::Unknown,
                    Standing::Foreign => self.owner_process(),
                };
                let reason = verdict::reason(from, &self.content, asker, owner);
                let from = Box::new(Holder::of(self.content.clone(), asker));
                request.record(&Event::Reclaimed { reason, from: Some(from.clone()) });
                (token, Some((reason, from)))
            }
        };
        let (Some(arbiter), Some(claim)) = (self.arbiter.take(), self.claim.take()) else {
            unreachable!("the machine holds only with an arbiter and a claim");
        };
        self.locked = false;
        Held { arbiter, claim, token, tenure: self.tenure.take(), reclaimed }
    }

    fn report_refusal(&mut self, operation: Operation, request: &Request) {
        let why = match operation {
            Operation::AwaitClaim(refusal) => refusal,
            _ => Refusal::Grace,
        };
        if self.reported != Some(why) {
            self.reported = Some(why);
            request.record(&Event::ReclaimRefused { why });
        }
    }

    /// Does one operation that does not wait. `None`: the arbiter is locked, and has to be waited for.
    fn perform(&mut self, operation: Operation, claimant: &dyn Claimant) -> Result<Option<Completion>, LockError> {
        Ok(Some(match operation {
            Operation::LockArbiter => return self.try_lock_arbiter(),
            Operation::TakeToken => Completion::Token(self.take_token()?),
            Operation::CheckArbiter => self.check_arbiter(),
            Operation::ReopenArbiter => self.reopen_arbiter()?,
            Operation::PublishClaim { token } => self.publish(token, claimant)?,
            Operation::OpenClaim => self.open_claim()?,
            Operation::LockClaim => self.lock_claim()?,
            Operation::ReadClaim => self.read_claim()?,
            Operation::PinClaim => self.pin_claim()?,
            Operation::ProbeWriters => self.probe_writers(),
            Operation::WriteClaim { token } => self.write_claim(token, claimant)?,
            Operation::CheckClaim | Operation::UnlinkClaim | Operation::CloseClaim | Operation::UnlockArbiter => {
                self.give_back(operation)?
            }
            Operation::AwaitClaim(_) | Operation::AwaitGrace => {
                unreachable!("{operation:?} is no step of an acquire that does not wait")
            }
        }))
    }

    /// Does one operation that also a release has.
    fn give_back(&mut self, operation: Operation) -> Result<Completion, SystemError> {
        match operation {
            Operation::CheckClaim => {
                let claim = self.claim.as_mut().expect("the machine checks only an open claim");
                return claim::check(&self.directory, &self.session, claim);
            }
            Operation::UnlinkClaim => return claim::unlink(&self.directory, &self.session),
            Operation::CloseClaim => self.close_claim(),
            Operation::UnlockArbiter => self.unlock_arbiter(),
            operation => unreachable!("{operation:?} is no step of a release"),
        }
        Ok(Completion::Done)
    }

    /// Whether a claim of its own may be at the path.
    pub(crate) fn has_claim(&self) -> bool {
        self.machine.has_claim()
    }

    /// Ends as a hold does, and says what became of the claim.
    pub(crate) fn withdraw(&mut self) -> Result<Released, SystemError> {
        // It has none any more, whatever comes of this.
        (self.machine, self.renewed) = (Acquire::new(), None);
        let mut release = Release::new();
        loop {
            match release.poll() {
                Step::Do(operation) => release.resume(self.give_back(operation)?),
                Step::Done(released) => return Ok(released),
            }
        }
    }

    /// Has a claim that was handed on say that it is `next`'s, with a token of its own, and looks whether it is still at
    /// its path: false if it is not. Whoever takes the attempt goes on from there.
    pub(crate) fn renew(&mut self, next: &Asked) -> Result<bool, LockError> {
        self.renewed = Some((next.number, sys::clock::now() + LOOK_COUNTS));
        while let (true, Step::Do(operation)) = (self.machine.is_renewing(), self.machine.poll()) {
            let completion = self.perform(operation, next)?.expect("none of these waits");
            self.machine.resume(completion);
        }
        Ok(self.has_claim())
    }

    /// From here on it is made for this request. What was done for another one, or long ago, is done again.
    pub(crate) fn serve(&mut self, request: &Request) {
        self.grace = request.grace;
        if let Some((number, until)) = self.renewed.take()
            && (number != request.number || sys::clock::now() > until)
        {
            self.machine = Acquire::handed_on();
        }
    }

    fn close_claim(&mut self) {
        if let Some(claim) = self.claim.take() {
            self.directory.spare.put_back(&self.directory, claim);
        }
    }

    fn claim(&self) -> &Claim {
        self.claim.as_ref().expect("the machine works on a claim only while it is open")
    }

    fn arbiter(&self) -> &Arc<Arbiter> {
        self.arbiter.as_ref().expect("the machine locks the arbiter before it uses it")
    }

    fn try_lock_arbiter(&mut self) -> Result<Option<Completion>, LockError> {
        let range = self.session.range;
        if self.arbiter.is_none() {
            self.arbiter = Some(self.directory.arbiter(range)?);
        }
        match self.arbiter().try_lock(range) {
            Ok(Attempted::Locked) => {
                self.locked = true;
                Ok(Some(Completion::Done))
            }
            Ok(Attempted::Busy) => Ok(None),
            Err(errno) => Err(self.failed("lock the arbiter of", errno).into()),
        }
    }

    fn take_token(&mut self) -> Result<u64, LockError> {
        let arbiter = self.arbiter.as_ref().expect("the machine locks the arbiter before it uses it");
        let token = match &mut self.tenure {
            Some(tenure) => arbiter.next_token(&self.directory, tenure),
            None => arbiter.take_token(&self.directory),
        };
        let truncated = || LockError::State { path: arbiter.path(&self.directory), found: "it was truncated" };
        token.map_err(|errno| self.failed("take a fencing token for", errno))?.ok_or_else(truncated)
    }

    /// An arbiter that cannot be looked at counts as replaced: the claim is withdrawn, and opening the arbiter says why.
    fn check_arbiter(&self) -> Completion {
        match self.arbiter().is_at_path(&self.directory) {
            Ok(true) => Completion::Done,
            Ok(false) | Err(_) => Completion::Replaced,
        }
    }

    fn reopen_arbiter(&mut self) -> Result<Completion, LockError> {
        let range = self.session.range;
        self.unlock_arbiter();
        let stale = self.arbiter.take().expect("only an open arbiter is reopened");
        self.reopened += 1;
        if self.reopened > MAX_REOPENED {
            let path = stale.path(&self.directory);
            return Err(LockError::State { path, found: REMOVED_AGAIN });
        }
        self.arbiter = Some(self.directory.reopen_arbiter(range, &stale)?);
        Ok(Completion::Done)
    }

    fn publish(&mut self, token: u64, claimant: &dyn Claimant) -> Result<Completion, LockError> {
        let encode = |old_len| self.encode(&claimant.of_hold(token), old_len);
        self.claim = claim::publish(&self.directory, &self.session, encode)?;
        Ok(if self.claim.is_some() { Completion::Done } else { Completion::Exists })
    }

    fn open_claim(&mut self) -> Result<Completion, LockError> {
        self.examined = None;
        match claim::open(&self.directory, &self.session)? {
            Ok(claim) => {
                let inode = claim.inode;
                if self.pin.as_ref().is_some_and(|(_, pinned)| *pinned != inode) {
                    self.pin = None;
                }
                self.examined = Some(inode);
                let linked = claim.links != 1;
                self.claim = Some(claim);
                if linked {
                    // It may be anybody's file under a second name, which is not even locked.
                    self.read_content()?;
                }
                Ok(Completion::Opened { inode })
            }
            Err(completion) => Ok(completion),
        }
    }

    fn lock_claim(&self) -> Result<Completion, LockError> {
        match sys::ofd::try_lock(&self.claim().fd, sys::ofd::Range::All) {
            Ok(Attempted::Locked) => Ok(Completion::Done),
            Ok(Attempted::Busy) => Ok(Completion::Busy),
            Err(errno) => Err(self.failed("lock", errno).into()),
        }
    }

    fn read_claim(&mut self) -> Result<Completion, LockError> {
        let len = self.read_content()?;
        if let Some(claim) = &mut self.claim {
            claim.size = len as u64;
        }
        let boot_id = self.directory.process.boot_id();
        Ok(Completion::Read(self.content.standing(&self.arbiter().id, boot_id)))
    }

    /// Reads the claim and refuses what is none.
    fn read_content(&mut self) -> Result<usize, LockError> {
        let mut buffer = [0; MAX_CLAIM_LEN + 1];
        let claim = self.claim();
        let (links, inode) = (claim.links, claim.inode);
        let len = sys::file::read_start(&claim.fd, &mut buffer).map_err(|errno| self.failed("read", errno))?;
        self.content = Content::classify(&buffer[..len]);
        match claim::unacceptable_content(&self.directory, &self.content, links, inode) {
            Some(found) => Err(LockError::NotAClaim { path: self.directory.claim_path(&self.session), found }),
            None => Ok(len),
        }
    }

    fn pin_claim(&mut self) -> Result<Completion, LockError> {
        let inode = self.claim().inode;
        let pinned = sys::file::pin(&self.directory.fd, &self.session.claim)
            .and_then(|pin| sys::file::stat(&pin).map(|stat| (pin, stat.inode)));
        match pinned {
            Ok((pin, found)) if found == inode => {
                self.pin = Some((pin, inode));
                Ok(Completion::Done)
            }
            Ok(_) | Err(Errno::NOENT) => Ok(Completion::Gone),
            Err(errno) => Err(self.failed("pin", errno).into()),
        }
    }

    /// Never an error: what cannot be had is unknown, and unknown means wait.
    fn probe_writers(&self) -> Completion {
        match self.writers() {
            Ok(Some(probe)) => {
                let asker = &self.directory.process.asker();
                verdict::writers(probe, &self.content, asker, self.owner_process())
            }
            Ok(None) => Completion::Gone,
            Err(_) => Completion::Unknown,
        }
    }

    fn writers(&self) -> sys::Result<Option<Probe>> {
        evidence::writers(&self.directory, &self.session, self.pin.as_ref().map(|(_, inode)| *inode))
    }

    fn owner_process(&self) -> OwnerProcess {
        evidence::owner_process(self.directory.process, &self.content)
    }

    fn write_claim(&mut self, token: u64, claimant: &dyn Claimant) -> Result<Completion, LockError> {
        let old_len = usize::try_from(self.claim().size).unwrap_or(MAX_CLAIM_LEN);
        let bytes = self.encode(&claimant.of_hold(token), old_len);
        sys::file::write_at(&self.claim().fd, &bytes, 0).map_err(|errno| self.failed("overwrite", errno))?;
        if let Some(claim) = &mut self.claim {
            claim.size = bytes.len() as u64;
        }
        Ok(Completion::Done)
    }

    fn encode(&self, hold: &OfHold<'_>, old_len: usize) -> Vec<u8> {
        self.arbiter().encode_claim(self.directory.process, hold, old_len)
    }

    fn failed(&self, operation: &'static str, errno: Errno) -> SystemError {
        self.directory.failed(operation, &self.session, errno)
    }

    fn unlock_arbiter(&mut self) {
        if let (true, Some(arbiter)) = (self.locked, &self.arbiter) {
            // Fails only for a bad descriptor; closing the description would unlock as well.
            arbiter.unlock(self.session.range).ok();
        }
        self.locked = false;
        self.tenure = None;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.directory.process.is_current() {
            if self.has_claim() {
                // Nobody is left to be told.
                drop(self.withdraw());
            }
            // Its path may not have been unlinked.
            if let Some(claim) = &mut self.claim {
                claim.reusable = false;
            }
            self.close_claim();
            self.unlock_arbiter();
        }
    }
}
