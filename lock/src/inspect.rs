//! Inspecting a directory's locks: what state each is in, who holds it, who waits. It changes nothing.

use crate::dir::LockDir;
use crate::directory::Directory;
use crate::error::{InspectError, SystemError};
use crate::inspection::{Glance, Inspection};
use crate::look::Look;
use crate::name::Session;
use crate::sys;

impl LockDir {
    /// Looks at one session's lock: its state, its holder, who waits for it.
    ///
    /// It creates nothing, locks nothing and takes no token. Permission to read the directory and the files in it is
    /// enough; what may not be read is [`crate::State::Unknown`]. Somebody who opens the claim at the same moment may have to
    /// try again once, and reading /proc/locks, which it does for a lock that is taken, holds up the file locks of the whole
    /// machine for a moment: look when somebody asks, not in a loop.
    ///
    /// Takes some microseconds; up to 31 ms for a claim that is locked while its recorded process has ended, which may be a
    /// takeover that is under way, and for a lock that is held without a claim.
    ///
    /// The answer is a snapshot. Only an acquire can tell that a lock is free and keep it so.
    ///
    /// # Errors
    ///
    /// - [`InspectError::Name`]: the name is not valid.
    /// - [`InspectError::Forked`]: the directory was opened before a fork.
    pub fn inspect(&self, name: &str) -> Result<Inspection, InspectError> {
        let directory = &*self.directory;
        if !directory.process.is_current() {
            return Err(InspectError::Forked);
        }
        let session = Session::new(name).map_err(|cause| InspectError::Name { name: name.to_owned(), cause })?;
        Ok(Look::full(directory).at(&session))
    }

    /// As [`LockDir::inspect_all`], without what takes a walk through /proc or a read of /proc/locks: no pid of a holder in
    /// another PID namespace, and of those who wait only this process's. So it disturbs nobody, however many locks there are.
    ///
    /// # Errors
    ///
    /// As [`LockDir::inspect_all`].
    pub fn scan(&self) -> Result<Vec<Inspection>, InspectError> {
        self.look_at_all(&Look::short(&self.directory).of_many())
    }

    /// Looks at every session that has a claim, or something else at its claim's path, sorted by name. As
    /// [`LockDir::inspect`]; /proc is walked and /proc/locks read at most once for all.
    ///
    /// A lock that is held while somebody has deleted its claim is not among them until the claim is back.
    ///
    /// # Errors
    ///
    /// - [`InspectError::Forked`]: the directory was opened before a fork.
    /// - [`InspectError::System`]: the directory cannot be listed.
    pub fn inspect_all(&self) -> Result<Vec<Inspection>, InspectError> {
        self.look_at_all(&Look::full(&self.directory).of_many())
    }

    /// The state of every lock that [`LockDir::scan`] tells of, and since when it has been held: what metrics are made of.
    /// Each lock is looked at when the iterator comes to it, so that of all of them only the names are in memory.
    ///
    /// # Errors
    ///
    /// As [`LockDir::inspect_all`].
    pub fn glance(&self) -> Result<impl Iterator<Item = Glance>, InspectError> {
        let look = Look::glances(&self.directory).of_many();
        Ok(self.sessions()?.map(move |session| look.glance(session)))
    }

    fn look_at_all(&self, look: &Look<'_>) -> Result<Vec<Inspection>, InspectError> {
        Ok(self.sessions()?.map(|session| look.at(&session)).collect())
    }

    fn sessions(&self) -> Result<impl Iterator<Item = Session>, InspectError> {
        if !self.directory.process.is_current() {
            return Err(InspectError::Forked);
        }
        Ok(sessions(&self.directory)?)
    }
}

/// The sessions that have something at their claim's path, sorted by name.
pub(crate) fn sessions(directory: &Directory) -> Result<impl Iterator<Item = Session> + use<>, SystemError> {
    let listed = sys::file::stems(&directory.fd, ".lock");
    let mut names =
        listed.map_err(|errno| SystemError { operation: "list", path: directory.path.clone(), cause: errno.into() })?;
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().filter_map(|name| Session::new(&name).ok()))
}
