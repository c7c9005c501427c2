//! Errors: one enum per operation. Each message says what was tried, on what, why it failed and, where there is one, the way
//! out, on one line and without control characters of anybody's (`shown.rs`).
//!
//! A cause is part of its error's message and not its [`source`](std::error::Error::source): whoever prints the whole chain
//! reads it once.

use crate::event::Loss;
use crate::inspection::Inspection;
use crate::name::NameError;
use crate::shown::{shown, shown_path};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// A system call that failed: operation, path, the kernel's answer and, where there is one, the remedy.
///
/// The cause is in the message, so it is no [`source`](std::error::Error::source).
#[derive(Debug)]
pub struct SystemError {
    /// What was tried.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the kernel answered.
    pub cause: io::Error,
}

impl SystemError {
    /// What whoever runs the program can do about it, if the kernel's answer tells that.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self.cause.raw_os_error()? {
            libc::EMFILE => "raise the limit of open files of this process (ulimit -n)",
            libc::ENFILE => "raise the limit of open files of this machine (sysctl fs.file-max)",
            libc::ENOSPC | libc::EDQUOT => "free space or inodes there (df, df -i, quota)",
            libc::EROFS => "remount the file system for writing, or use another directory",
            libc::EACCES | libc::EPERM => {
                "the directory must let this user write and search, and what is in .session-lock read and write; several \
                 users need a common group (chgrp, chmod 2770)"
            }
            libc::EFBIG => "raise the limit of file sizes (ulimit -f)",
            libc::EAGAIN if [START_WAITER, START_SWEEPER, PREPARE].contains(&self.operation) => {
                "raise the limit of processes and threads (ulimit -u, or pids.max of the control group)"
            }
            libc::ENOMEM => "free memory, or raise the limit of memory (ulimit -v, or memory.max of the control group)",
            libc::ENOENT => "create the directory; one that was removed while it was open has to be opened again",
            libc::ENOTDIR => "use a directory",
            libc::EOPNOTSUPP => {
                "use a file system that has O_TMPFILE: ext4, xfs, btrfs, tmpfs, or overlay since Linux 6.1"
            }
            libc::ENOLCK => "the kernel has no more locks, or the file system has none: use a local file system",
            _ => return None,
        })
    }
}

/// Operations that start a thread.
pub(crate) const START_WAITER: &str = "start a thread that waits for";
pub(crate) const START_SWEEPER: &str = "start a thread that sweeps";
pub(crate) const PREPARE: &str = "prepare the lock of";

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, shown_path(&self.path), self.cause)?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl std::error::Error for SystemError {}

/// Why a directory cannot be used for locks.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file system is not known to lock between all processes of a kernel.
    #[error(
        "{} is on {}, where locks may not exclude other processes; use ext4, xfs, btrfs, tmpfs or overlay, or \
         take the responsibility with Options::any_file_system",
        shown_path(path),
        shown(kind)
    )]
    FileSystem {
        /// The directory.
        path: PathBuf,
        /// Its mount type.
        kind: String,
    },
    /// Everybody can put files into the directory, or not everybody who can may take a dead owner's claim away.
    #[error(
        "{} has mode {permissions:o}: everybody may write to it, or its sticky bit keeps users from taking over each \
         other's claims; change that (chmod o-w,-t), or take the responsibility with Options::any_permissions",
        shown_path(path)
    )]
    Permissions {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        permissions: u32,
    },
    /// A system call failed.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Why a lock was not acquired. A lock that is merely busy is no error of a try: see [`crate::TryAcquire`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// The name cannot name a session.
    #[error("{name:?} cannot name a session: {cause}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        cause: NameError,
    },
    /// The label is longer than 128 bytes.
    #[error("a label has at most 128 bytes, and this one has {len}; shorten it")]
    Label {
        /// Its length in bytes.
        len: usize,
    },
    /// The deadline passed while somebody else held the lock.
    #[error("{} is still locked after {waited:?}: {found}", shown_path(path))]
    Timeout {
        /// The claim.
        path: PathBuf,
        /// How long this acquire waited.
        waited: Duration,
        /// What was in the way at the end. Who waits in the kernel's queue was not asked.
        found: Box<Inspection>,
    },
    /// Something that no lock wrote is at the claim's path. It was not touched.
    #[error(
        "{} is not a lock file: it is {found}; nothing was changed: move it away, or use another session name",
        shown_path(path)
    )]
    NotAClaim {
        /// The claim's path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// Something that this crate did not put there is in the state directory, or somebody keeps removing what it puts there.
    #[error("{} cannot be used: {found}; {}", shown_path(path), state_remedy(found))]
    State {
        /// The path in the state directory.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// The process was forked after the directory was opened; open the directory again in the child.
    #[error("the directory was opened before this process was forked: open it again in the child")]
    Forked,
    /// The process released everything ([`crate::release_all`]) after this acquire began. Ask again.
    #[error("all locks of this process were released while this acquire waited; ask again")]
    Restarted,
    /// A system call failed.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// The state of [`LockError::State`] that is not mended by removing something.
pub(crate) const REMOVED_AGAIN: &str = "it is removed again and again";

fn state_remedy(found: &str) -> &'static str {
    if found == REMOVED_AGAIN {
        "stop what removes it"
    } else {
        "remove it while no process holds a lock in this directory"
    }
}

/// Why a hold cannot be entered once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReentryError {
    /// Its last guard has been released. Acquire the lock again.
    #[error("the hold has been released; acquire the lock again")]
    Over,
    /// The hold was lost.
    #[error("the hold was lost: {0}; acquire the lock again")]
    Lost(Loss),
    /// The handle was inherited by a forked child, which holds nothing.
    #[error("the lock is held by the parent of this forked process; acquire it in the child")]
    Forked,
}

/// Why a release did not go as planned. This process does not hold the lock afterwards, whatever the reason; after
/// [`ReleaseError::Forked`] its parent still does.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The guard was inherited by a forked child, which holds nothing: the parent still does.
    #[error("the lock is held by the parent of this forked process, which has to release it")]
    Forked,
    /// The hold was lost before its release: what was written meanwhile may have met another writer.
    #[error("{session:?} was not held to the end: {cause}; check what was written meanwhile")]
    Lost {
        /// The session's name.
        session: String,
        /// How it was lost.
        cause: Loss,
    },
    /// A system call failed; the claim may still be there, and the next acquire reclaims it.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Why a directory's locks cannot be inspected. What cannot be read of one lock is no error, but
/// [`crate::State::Unknown`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The name cannot name a session.
    #[error("{name:?} cannot name a session: {cause}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        cause: NameError,
    },
    /// The process was forked after the directory was opened; open the directory again in the child.
    #[error("the directory was opened before this process was forked: open it again in the child")]
    Forked,
    /// The directory cannot be listed.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Why a directory was not swept. What goes wrong with one claim is told in [`crate::Swept`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The process was forked after the directory was opened; open the directory again in the child.
    #[error("the directory was opened before this process was forked: open it again in the child")]
    Forked,
    /// The directory cannot be listed, or a thread cannot be started.
    #[error(transparent)]
    System(#[from] SystemError),
}
