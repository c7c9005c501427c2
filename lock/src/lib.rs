//! A cross-process lock for session files.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "session-lock needs Linux: it rests on open file description locks, file leases, O_TMPFILE and inotify, and no \
     other system has them"
);

mod arbiter;
mod attempt;
mod claim;
mod dir;
mod directory;
pub mod error;
pub mod event;
mod guard;
mod hold;
mod holder;
mod lock;
mod name;
pub mod payload;
mod process;
pub mod protocol;
mod queue;
mod request;
mod sys;
pub mod verdict;
mod waiters;
mod watch;

pub use dir::{DEFAULT_GRACE, LockDir, Options, TryAcquire};
pub use error::{LockError, OpenError, ReleaseError};
pub use guard::{Guard, Lost};
pub use holder::{Holder, HolderKind};
pub use lock::{Acquire, Lock};
pub use name::{MAX_NAME_LEN, NameError};
pub use protocol::LossCause;
