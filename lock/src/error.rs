//! Errors: one enum per operation, each with the path and, where there is one, the way out.

use crate::inspection::Inspection;
use crate::name::NameError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// A system call that failed.
#[derive(Debug, Error)]
#[error("cannot {operation} {}", path.display())]
pub struct SystemError {
    /// What was tried.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the kernel answered.
    pub source: io::Error,
}

/// Why a directory cannot be used for locks.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file system is not known to lock between all processes of a kernel.
    #[error(
        "{} is on {kind}, where locks may not exclude other processes; use ext4, xfs, btrfs, tmpfs or overlay, or \
         take the responsibility with Options::any_file_system", path.display()
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
        path.display()
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
    #[error("{name:?} cannot name a session")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: NameError,
    },
    /// The label is longer than 128 bytes.
    #[error("a label has at most 128 bytes, and this one has {len}")]
    Label {
        /// Its length in bytes.
        len: usize,
    },
    /// The deadline passed while somebody else held the lock.
    #[error("{} is still locked after {waited:?}: {found}", path.display())]
    Timeout {
        /// The claim.
        path: PathBuf,
        /// How long this acquire waited.
        waited: Duration,
        /// What was in the way at the end. Who waits in the kernel's queue was not asked.
        found: Box<Inspection>,
    },
    /// Something that no lock wrote is at the claim's path. It was not touched.
    #[error("{} is not a lock file: {found}; nothing was changed. Move it away, or use another session name", path.display())]
    NotAClaim {
        /// The claim's path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// Something that this crate did not put there is in the state directory.
    #[error("{} is not usable: {found}. Remove it while no process holds a lock in this directory", path.display())]
    State {
        /// The path in the state directory.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// The process was forked after the directory was opened; open the directory again in the child.
    #[error("the directory was opened before a fork; the child has to open it again")]
    Forked,
    /// A system call failed.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Why a release did not go as planned. The lock is free afterwards all the same.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The guard was inherited by a forked child, which holds nothing: the parent still does.
    #[error("the lock belongs to the parent of this forked process")]
    Forked,
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
    #[error("{name:?} cannot name a session")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: NameError,
    },
    /// The process was forked after the directory was opened; open the directory again in the child.
    #[error("the directory was opened before a fork; the child has to open it again")]
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
    #[error("the directory was opened before a fork; the child has to open it again")]
    Forked,
    /// The directory cannot be listed, or a thread cannot be started.
    #[error(transparent)]
    System(#[from] SystemError),
}
