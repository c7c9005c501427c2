//! The spare: a claim file that a process keeps, locked, between its holds, so that a hold costs no new inode.
//!
//! A file whose last name is gone cannot be named again, so a spare has a second name, `.session-lock/spare-<nonce>`, for as
//! long as it is kept. Publishing links it to the claim's path, by descriptor and never by that name; releasing unlinks
//! the claim's path as ever. So nothing of the protocol changes but where a complete, locked claim comes from.
//!
//! A process keeps one spare per directory, from its eighth claim on: one that locks once leaves nothing. The name goes with
//! the last handle of the directory. A killed process leaves it, and so does one that ends with the directory still open;
//! whoever makes a spare next finds it unlocked, and removes it.

use crate::arbiter::{ABOVE_ARBITERS, STATE_DIRECTORY, open_state_directory};
use crate::claim::{self, Claim};
use crate::directory::Directory;
use crate::name::is_temporary;
use crate::payload::{Content, MAX_CLAIM_LEN};
use crate::protocol::Inode;
use crate::sys::file::Access;
use crate::sys::{self, Errno, Fd, ofd};
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const PREFIX: &str = "spare-";
/// A process that has made this many claims will make more.
const WORTH_IT: u32 = 8;
/// How many spares an acquire looks at.
const MAX_SWEPT: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Spare {
    idle: Mutex<Option<Claim>>,
    made: AtomicU32,
}

impl Spare {
    fn idle(&self) -> MutexGuard<'_, Option<Claim>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spare, unless it is in use, or there is none, or somebody has touched it.
    pub(crate) fn take(&self, directory: &Directory) -> Option<Claim> {
        let claim = self.idle().take()?;
        let as_made = sys::file::stat(&claim.fd).is_ok_and(|stat| {
            stat.links == 1 && stat.size == claim.size && stat.permissions == directory.file_permissions()
        });
        if as_made {
            return Some(claim);
        }
        self.discard(directory, &claim);
        None
    }

    /// Makes a fresh, locked claim the spare, if this process is worth one and has none. Best effort: a claim that does
    /// not become the spare is as good as before.
    pub(crate) fn adopt(&self, directory: &Directory, claim: Claim) -> Claim {
        if self.made.fetch_add(1, Ordering::Relaxed) + 1 != WORTH_IT {
            return claim;
        }
        match open_state_directory(directory) {
            Ok(Some((state, _))) => {
                sweep(directory, &state, Mode::Remove, MAX_SWEPT);
                let spare = sys::file::link(&claim.fd, &state, &name(directory)).is_ok();
                Claim { spare, fd: claim.fd.at_least(ABOVE_ARBITERS), ..claim }
            }
            Ok(None) | Err(_) => claim,
        }
    }

    /// Decides whether the next claim that is made becomes the spare.
    pub(crate) fn make_next(&self, make: bool) {
        self.made.store(if make { WORTH_IT - 1 } else { WORTH_IT }, Ordering::Relaxed);
    }

    /// Closes the idle spare, and leaves its name.
    pub(crate) fn close(&self) {
        *self.idle() = None;
    }

    /// Closes a claim, or keeps it if it is the spare and can be linked again.
    pub(crate) fn put_back(&self, directory: &Directory, claim: Claim) {
        if claim.spare && claim.reusable {
            *self.idle() = Some(claim);
        } else if claim.spare {
            self.discard(directory, &claim);
        }
    }

    /// Removes the spare's name. A new one may be made later.
    pub(crate) fn discard(&self, directory: &Directory, claim: &Claim) {
        // Best effort, as for a killed process: whoever makes a spare next removes what is left.
        if let Ok(state) = sys::file::open_subdirectory(&directory.fd, STATE_DIRECTORY) {
            unlink_if(&state, &name(directory), &claim.fd).ok();
        }
        self.made.store(0, Ordering::Relaxed);
    }
}

fn name(directory: &Directory) -> CString {
    let nonce = u128::from_be_bytes(directory.process.asker().nonce);
    CString::new(format!("{PREFIX}{nonce:032x}")).expect("hex digits are no NUL bytes")
}

/// Whether it is a name as [`name`] makes it.
fn is_spares_name(name: &CStr) -> bool {
    is_temporary(name, PREFIX)
}

/// Whether a sweep removes what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Remove,
    Count,
}

/// As [`sweep`], all of them, in the directory's state directory if there is one.
pub(crate) fn sweep_in(directory: &Directory, mode: Mode) -> usize {
    let state = sys::file::open_subdirectory(&directory.fd, STATE_DIRECTORY);
    state.map_or(0, |state| sweep(directory, &state, mode, usize::MAX))
}

/// Removes the spares of dead processes: those that nobody has locked. One that is still some session's claim stays until
/// that is reclaimed, and whatever is no spare stays as it is. Best effort; looks at `most` so many, and returns how many
/// there were.
fn sweep(directory: &Directory, state: &Fd, mode: Mode, most: usize) -> usize {
    let names = sys::file::names(state, is_spares_name, most).unwrap_or_default();
    // One that cannot be looked at keeps none of the others.
    names.iter().filter(|name| sweep_one(directory, state, name, mode).unwrap_or(false)).count()
}

/// Whether it was a dead process's spare.
fn sweep_one(directory: &Directory, state: &Fd, name: &CStr, mode: Mode) -> sys::Result<bool> {
    let (pinned, stat) = sys::file::pin_named(state, name)?;
    if stat.links != 1 || claim::unacceptable(directory, &stat).is_some() {
        return Ok(false);
    }
    let fd = sys::file::open_pinned(&pinned, &stat, state, name, Access::Write)?;
    if ofd::try_lock(&fd, ofd::Range::All)? == ofd::Attempted::Busy {
        return Ok(false);
    }
    let mut buffer = [0; MAX_CLAIM_LEN + 1];
    let len = sys::file::read_start(&fd, &mut buffer)?;
    let is_spare = Content::classify(&buffer[..len]) != Content::NotAClaim;
    if is_spare && mode == Mode::Remove {
        unlink_if(state, name, &fd)?;
    }
    Ok(is_spare)
}

/// Whether this file has a spare's name.
pub(crate) fn is_spare(directory: &Directory, inode: Inode) -> bool {
    let Ok(state) = sys::file::open_subdirectory(&directory.fd, STATE_DIRECTORY) else { return false };
    let names = sys::file::names(&state, is_spares_name, MAX_SWEPT).unwrap_or_default();
    names.iter().any(|name| sys::file::stat_at(&state, name).is_ok_and(|stat| stat.inode == inode))
}

/// Unlinks `name` if it names this file.
fn unlink_if(dir: &Fd, name: &CStr, file: &Fd) -> sys::Result<()> {
    if sys::file::stat_at(dir, name)?.inode == sys::file::stat(file)?.inode {
        match sys::file::unlink(dir, name) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
    }
    Ok(())
}
