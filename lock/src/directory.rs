//! One lock directory, as one process has it open: its descriptor, its arbiters, its queues.

use crate::arbiter::Arbiter;
use crate::error::{LockError, SystemError};
use crate::holder::Holder;
use crate::metrics::Recorder;
use crate::name::{Range, SHARDS, Session};
use crate::payload::{Content, MAX_CLAIM_LEN};
use crate::process::Process;
use crate::protocol::Inode;
use crate::queue::Queues;
use crate::spare::Spare;
use crate::sys::file::{Access, Stat};
use crate::sys::sync::{Mutex, MutexGuard};
use crate::sys::{self, Errno, Fd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// For so long after a tenure or a hold has begun, the size limit that was asked for last still counts: asking costs as much
/// as half of a write. Who lowers it to nothing in this time can get a `SIGXFSZ`.
pub(crate) const LIMIT_COUNTS: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) fd: Fd,
    /// As it was first opened, for messages.
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
    pub(crate) process: &'static Process,
    arbiters: Box<[Mutex<Option<Arc<Arbiter>>>]>,
    pub(crate) queues: Queues,
    pub(crate) spare: Spare,
    pub(crate) recorder: Recorder,
    /// `RLIMIT_FSIZE` when it was asked last; the largest number for none.
    size_limit: AtomicU64,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.recorder.flush(self);
            self.discard_spare();
        }
    }
}

impl Directory {
    pub(crate) fn new(fd: Fd, path: &Path, stat: Stat, process: &'static Process) -> Self {
        let arbiters = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            fd,
            path: path.to_owned(),
            stat,
            process,
            arbiters,
            queues: Queues::default(),
            spare: Spare::default(),
            recorder: Recorder::default(),
            size_limit: AtomicU64::new(0),
        }
    }

    /// Removes the spare, if there is one and it is not in use.
    pub(crate) fn discard_spare(&self) {
        if let Some(claim) = self.spare.take(self) {
            self.spare.discard(self, &claim);
        }
    }

    /// The largest size a file may grow to, if there is one: asked of the kernel, because it may have been lowered.
    pub(crate) fn ask_size_limit(&self) -> Option<u64> {
        let limit = sys::file::size_limit();
        self.size_limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
        limit
    }

    /// The same for a write within a tenure or a hold of this age: the largest number if there is none.
    pub(crate) fn size_limit_at(&self, age: Duration) -> u64 {
        if age < LIMIT_COUNTS {
            self.size_limit.load(Ordering::Relaxed)
        } else {
            self.ask_size_limit().unwrap_or(u64::MAX)
        }
    }

    /// The permission bits of files made here: what the directory's users may do, none may execute. The owner may in any
    /// case: in a directory that was read-only when it was opened nobody could use an arbiter made later.
    pub(crate) fn file_permissions(&self) -> u32 {
        self.stat.permissions & 0o666 | 0o600
    }

    /// A new file without a name on the file system of `at`, which the directory's users may use as they may use the directory.
    pub(crate) fn create_unnamed(&self, at: &Fd, appending: bool) -> sys::Result<(Fd, Stat)> {
        let permissions = self.file_permissions();
        let fd = sys::file::create_unnamed(at, permissions, appending)?;
        let stat = sys::file::stat(&fd)?;
        sys::file::set_access(&fd, &stat, permissions, self.stat.gid)?;
        Ok((fd, stat))
    }

    /// Whether a file of this owner may stand here. Only these can have put one here: the directory's owner and root
    /// always, and where its group may write, any member of it.
    pub(crate) fn accepts_owner(&self, uid: u32) -> bool {
        uid == self.stat.uid || uid == 0 || uid == sys::process::own_euid() || self.stat.permissions & 0o020 != 0
    }

    /// The state directory's path, for messages.
    pub(crate) fn state_path(&self) -> PathBuf {
        self.path.join(".session-lock")
    }

    pub(crate) fn claim_path(&self, session: &Session) -> PathBuf {
        self.path.join(session.claim_name())
    }

    /// The open arbiter of this range.
    pub(crate) fn arbiter(&self, range: Range) -> Result<Arc<Arbiter>, LockError> {
        let mut slot = self.slot(range);
        if let Some(arbiter) = &*slot {
            return Ok(Arc::clone(arbiter));
        }
        let arbiter = Arc::new(Arbiter::open(self, range.shard)?);
        *slot = Some(Arc::clone(&arbiter));
        Ok(arbiter)
    }

    /// The arbiter that the path names now, after `stale` turned out not to be it.
    pub(crate) fn reopen_arbiter(&self, range: Range, stale: &Arc<Arbiter>) -> Result<Arc<Arbiter>, LockError> {
        let mut slot = self.slot(range);
        if slot.as_ref().is_some_and(|arbiter| Arc::ptr_eq(arbiter, stale)) {
            *slot = None;
        }
        drop(slot);
        self.arbiter(range)
    }

    fn slot(&self, range: Range) -> MutexGuard<'_, Option<Arc<Arbiter>>> {
        self.arbiters[range.shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which file the claim's path names now.
    pub(crate) fn claim_inode(&self, session: &Session) -> Result<Option<Inode>, SystemError> {
        match sys::file::stat_at(&self.fd, &session.claim) {
            Ok(stat) => Ok(Some(stat.inode)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("look at the claim", session, errno)),
        }
    }

    /// Who holds the lock, as far as the claim tells; reading it disturbs nobody.
    pub(crate) fn holder(&self, session: &Session) -> Holder {
        let mut buffer = [0; MAX_CLAIM_LEN + 1];
        let read = sys::file::open_regular(&self.fd, &session.claim, Access::Read)
            .and_then(|claim| sys::file::read_start(claim, &mut buffer));
        match read {
            Ok(len) => Holder::of(Content::classify(&buffer[..len]), &self.process.asker()),
            Err(_) => Holder::unknown(),
        }
    }

    /// What fails in a directory that was removed fails because of that: ext4 says `EPERM` to a new file there.
    pub(crate) fn failed(&self, operation: &'static str, session: &Session, errno: Errno) -> SystemError {
        let is_removed = sys::file::stat(&self.fd).is_ok_and(|stat| stat.links == 0);
        let errno = if is_removed { Errno::NOENT } else { errno };
        SystemError { operation, path: self.claim_path(session), cause: errno.into() }
    }
}
