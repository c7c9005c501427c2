//! Releasing everything at once: for a process that restarts without ending.

use crate::error::SystemError;
use crate::process::Process;

/// What [`release_all`] has done.
#[derive(Debug, Default)]
#[must_use = "a release may have failed"]
pub struct Restart {
    /// How many holds were released.
    pub released: usize,
    /// The claims that could not be unlinked. Their locks are free all the same, and the next acquire reclaims them.
    pub failed: Vec<SystemError>,
}

/// Releases every lock of this process, in all directories, and ends every acquire that is under way.
///
/// A process that restarts in place, as a server does on a signal, keeps its pid, its start time and, in a container, its
/// PID 1. What the old iteration leaves held would stay held, because its owner lives. Call this between the two:
///
/// 1. acquires that wait end with [`crate::LockError::Restarted`], also those that have begun and are not polled yet;
/// 2. each hold is released: its guards are told ([`crate::Loss::Restarted`]), its claim is unlinked, its lock is free. Old
///    guards are inert from then on, so dropping them late cannot touch what the new iteration holds;
/// 3. when the last file is gone, the process gets a new nonce, by which people tell its claims from the older ones.
///
/// Directories stay open, and what is asked of them afterwards belongs to the new iteration. Acquires of other threads
/// stand still meanwhile, for a few short system calls per hold; nothing else is waited for. A forked child holds
/// nothing, so nothing happens there. A thread that blocks without a deadline in [`crate::Lock::blocking`] is interrupted
/// by `SIGURG`, for which there is a handler meanwhile that calls the program's own; one that blocks that signal ends
/// when its turn comes. This must not be called from a signal handler or from a [`crate::event::Sink`].
pub fn release_all() -> Restart {
    let mut restart = Restart::default();
    for result in Process::known().map(Process::restart).unwrap_or_default() {
        match result {
            Ok(()) => restart.released += 1,
            Err(error) => restart.failed.push(error),
        }
    }
    restart
}
