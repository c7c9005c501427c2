//! Exit codes of `run` where the command has none: those of sysexits.h, where flock(1) has them.
//!
//! | Code | When |
//! |---|---|
//! | 64 | wrong usage, a name or a label that cannot be one |
//! | 65 | something that no lock wrote is at the claim's path, or in the state directory |
//! | 66 | the directory cannot be opened, or may not hold locks |
//! | 69 | the command cannot be started |
//! | 71 | descriptors, memory or locks of the kernel have run out |
//! | 73 | the file system is full or read-only |

use rustix::io::Errno;
use session_lock::error::SystemError;
use session_lock::{LockError, OpenError};

use crate::USAGE;

const DATA: u8 = 65;
const NO_INPUT: u8 = 66;
pub(crate) const UNAVAILABLE: u8 = 69;
pub(crate) const OS: u8 = 71;
const CANNOT_CREATE: u8 = 73;

/// Why the directory was not opened.
pub(super) fn not_opened(error: &OpenError) -> u8 {
    match error {
        OpenError::System(error) => system(error),
        _ => NO_INPUT,
    }
}

/// Why the lock was not acquired, its deadline apart.
pub(super) fn not_acquired(error: &LockError) -> u8 {
    match error {
        LockError::Name { .. } | LockError::Label { .. } => USAGE,
        LockError::NotAClaim { .. } | LockError::State { .. } => DATA,
        LockError::System(error) => system(error),
        _ => OS,
    }
}

fn system(error: &SystemError) -> u8 {
    match Errno::from_io_error(&error.cause) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOLCK | Errno::IO) => OS,
        Some(Errno::ROFS | Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => CANNOT_CREATE,
        _ => NO_INPUT,
    }
}
