//! The directory of sessions, and how to acquire in it.

use crate::directory::Directory;
use crate::error::{LockError, OpenError, PREPARE, SystemError};
use crate::event::Sink;
use crate::guard::Guard;
use crate::holder::Holder;
use crate::lock::Lock;
use crate::metrics::{self, Metrics};
use crate::process::Process;
use crate::request::Counters;
use crate::sys;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long an older peer may take between closing its claim and unlinking it.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(1);

/// How long a process keeps a lock for its own waiters.
pub const DEFAULT_TENURE: Duration = Duration::from_millis(1);

/// A directory of sessions. Cloning it is cheap, and all handles of a directory in a process share their queues,
/// whatever path they were opened by.
///
/// A hold costs one descriptor and less than 4 KiB of memory, and no thread; `tests/many.rs` holds 10,000 at once. Besides, a
/// process has at most 256 arbiters open for a directory, and for all directories one inotify instance and one thread that
/// looks after holds. A session that is contended in this process has a thread that waits for it.
///
/// After a fork the child has to open the directory again; the inherited handle says [`LockError::Forked`].
#[derive(Clone)]
pub struct LockDir {
    pub(crate) directory: Arc<Directory>,
    pub(crate) grace: Duration,
    pub(crate) tenure: Duration,
    pub(crate) sink: Option<Arc<dyn Sink>>,
    pub(crate) counters: Counters,
}

/// How to open a [`LockDir`].
#[derive(Clone)]
#[must_use = "options do nothing until the directory is opened"]
pub struct Options {
    grace: Duration,
    tenure: Duration,
    sink: Option<Arc<dyn Sink>>,
    counters: Counters,
    any_file_system: bool,
    any_permissions: bool,
}

/// What a try came to. That the lock is busy is an outcome, not an error.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub enum TryAcquire {
    /// The lock is held now.
    Acquired(Guard),
    /// Somebody else holds it, or is about to.
    Busy(Box<Holder>),
}

impl LockDir {
    /// Opens an existing directory with the default [`Options`].
    ///
    /// # Errors
    ///
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::options().open(path)
    }

    /// The default options: a grace of one second, a tenure of one millisecond, no sink, only file systems and
    /// permissions that can hold the promise.
    pub fn options() -> Options {
        Options {
            grace: DEFAULT_GRACE,
            tenure: DEFAULT_TENURE,
            sink: None,
            counters: Counters::Kept,
            any_file_system: false,
            any_permissions: false,
        }
    }

    /// The directory, as it was first opened in this process.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    /// Asks for the lock of the session named `name`: one path component of 1 to 250 bytes that does not end in `.lock`.
    /// Nothing happens until the [`Lock`] is awaited or told to block.
    pub fn lock(&self, name: &str) -> Lock<'_> {
        Lock::new(self, name)
    }

    /// What the processes of this directory have counted, also those that are dead, and who waits for whom now. It only
    /// reads, and disturbs nobody.
    ///
    /// # Errors
    ///
    /// The counters cannot be read: permissions, or something else is in their file's place.
    pub fn metrics(&self) -> Result<Metrics, SystemError> {
        metrics::read(&self.directory)
    }

    /// Takes the lock if that needs no waiting.
    ///
    /// A dead older peer's claim makes it busy until its grace is over; the grace goes on in the background, so that
    /// trying again gets there.
    ///
    /// # Errors
    ///
    /// As [`Lock::blocking`], without the timeout.
    pub fn try_lock(&self, name: &str) -> Result<TryAcquire, LockError> {
        self.lock(name).try_now()
    }
}

impl Options {
    /// How long an older peer may take between closing its claim and unlinking it. Longer than any pause of such a
    /// process, or two may hold; it delays only the takeover of older peers' claims. Default: one second.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a lock goes from one waiter of this process to the next, without a turn for other processes. Each turn
    /// has its own token, and the claim says whose turn it is; what is left out is to unlink, to unlock, to lock and to
    /// link in between, which costs more than all the rest.
    ///
    /// It counts from the first of these holds, and the hold in which it ends is the last: a process that waits does so
    /// for at most this long, one hold, and the time that the next waiter here needs to be polled, for each process
    /// before it. Then the processes that wait come first, unless they do not come within some milliseconds of being
    /// woken. Where nobody in this process waits at that moment nothing is kept for the others: the kernel wakes them,
    /// and whoever asks next may be quicker. Zero: every hold goes through the kernel. Default: one millisecond.
    pub fn tenure(mut self, longest: Duration) -> Self {
        self.tenure = longest;
        self
    }

    /// Where events go. Default: nowhere.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Does not count what this handle's acquires and holds do. Default: it is counted in `.session-lock/metrics-v1`
    /// ([`LockDir::metrics`]), at the cost of a short write for each hold.
    pub fn without_counters(mut self) -> Self {
        self.counters = Counters::Off;
        self
    }

    /// Takes any file system. The caller answers for it that all processes that use the directory run on one kernel and
    /// see the same files and locks: NFS, CIFS, FUSE, 9p, virtiofs and the two sides of an overlay do not give that.
    pub fn any_file_system(mut self) -> Self {
        self.any_file_system = true;
        self
    }

    /// Takes a directory that everybody may write to, or whose sticky bit keeps users from each other's claims. The caller
    /// answers for everybody, and for claims of dead users that stay.
    pub fn any_permissions(mut self) -> Self {
        self.any_permissions = true;
        self
    }

    /// Opens an existing directory. Symbolic links are followed here and nowhere else.
    ///
    /// The first open in a process starts a thread that looks after held claims.
    ///
    /// # Errors
    ///
    /// [`OpenError::FileSystem`] and [`OpenError::Permissions`] where the promise cannot be kept, with the way to
    /// override; [`OpenError::System`] if the directory or /proc cannot be read.
    pub fn open(self, path: impl AsRef<Path>) -> Result<LockDir, OpenError> {
        let path = path.as_ref();
        let failed = |operation| move |cause: std::io::Error| SystemError { operation, path: path.to_owned(), cause };
        let process = Process::current().map_err(failed(PREPARE))?;
        let fd = sys::file::open_directory(path).map_err(|errno| failed("open")(errno.into()))?;
        let stat = sys::file::stat(&fd).map_err(|errno| failed("look at")(errno.into()))?;
        if !self.any_file_system {
            let kind = sys::mount::kind(&fd).map_err(failed("find the file system of"))?;
            if !["ext4", "xfs", "btrfs", "tmpfs", "overlay"].contains(&kind.as_str()) {
                return Err(OpenError::FileSystem { path: path.to_owned(), kind });
            }
        }
        if !self.any_permissions && stat.permissions & 0o1002 != 0 {
            return Err(OpenError::Permissions { path: path.to_owned(), permissions: stat.permissions });
        }
        let directory = process.directory(stat.inode, || Directory::new(fd, path, stat, process));
        let Self { grace, tenure, sink, counters, .. } = self;
        Ok(LockDir { directory, grace, tenure, sink, counters })
    }
}

impl fmt::Debug for LockDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockDir")
            .field("path", &self.directory.path)
            .field("grace", &self.grace)
            .field("tenure", &self.tenure)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("grace", &self.grace)
            .field("tenure", &self.tenure)
            .field("any_file_system", &self.any_file_system)
            .field("any_permissions", &self.any_permissions)
            .finish_non_exhaustive()
    }
}
