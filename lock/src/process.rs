//! What is one per process: its identity, its open directories, its holds, its watcher and its waiter threads.
//!
//! A forked child starts with a new one. The parent's is left alone, because its mutexes may have been locked by threads
//! that the child does not have.
//!
//! A process may restart without ending: an *instance* is what lies between two restarts. Requests belong to the
//! instance that they began in, and an attempt runs only inside [`Process::in_instance`], which a restart waits for. So
//! while a restart is under way no claim of this process appears, and all that there are belong to a hold that the
//! watcher knows or to an attempt that was handed on to a waiter.

use crate::arbiter::ABOVE_ARBITERS;
use crate::directory::Directory;
use crate::error::SystemError;
use crate::event::Loss;
use crate::protocol::Inode;
use crate::relay::part;
use crate::sys::sync::{Mutex, MutexGuard, RwLock};
use crate::sys::{self, fork::Generation, interrupt::Interruptible};
use crate::verdict::Asker;
use crate::waiters::Waiters;
use crate::watch::Watcher;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, Weak};

#[derive(Debug)]
pub(crate) struct Process {
    generation: Generation,
    identity: Asker,
    /// Names this instance in claims, for people: it decides nothing.
    nonce: Mutex<[u8; 16]>,
    /// How often the process has restarted.
    instance: AtomicU64,
    /// Shared while an attempt runs or a hold is handed on, exclusive while the process restarts.
    restarting: RwLock<()>,
    /// How often the nonce was drawn anew.
    drawn: AtomicU64,
    next_number: AtomicU64,
    pub(crate) host: String,
    pub(crate) proc_is_ours: bool,
    /// By the directory's identity, so that every path and every handle leads to the same queues.
    directories: Mutex<HashMap<Inode, Weak<Directory>>>,
    pub(crate) watcher: Watcher,
    pub(crate) waiters: Waiters,
    /// The callers' own threads that wait in the kernel.
    pub(crate) waiting: Interruptible,
    /// Whether a thread waits for termination signals.
    pub(crate) releasing: Mutex<bool>,
}

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());

impl Process {
    /// This process's. Lives as long as the process.
    pub(crate) fn current() -> io::Result<&'static Self> {
        let generation = sys::fork::generation()?;
        let known = sys::leaked(&CURRENT);
        let process = match known.filter(|process: &&Self| process.generation == generation) {
            Some(process) => process,
            None => sys::leak_unless_replaced(&CURRENT, known, Box::new(Self::new(generation)?)),
        };
        process.watcher.start()?;
        Ok(process)
    }

    /// One beside this process's, with a nonce of its own and no watcher's thread, as if it were another process's. Lives as
    /// long as the process.
    pub(crate) fn apart() -> io::Result<&'static Self> {
        Ok(Box::leak(Box::new(Self::new(sys::fork::generation()?)?)))
    }

    /// This process's, if it has opened a directory yet.
    pub(crate) fn known() -> Option<&'static Self> {
        sys::leaked(&CURRENT).filter(|process: &&Self| process.is_current())
    }

    fn new(generation: Generation) -> io::Result<Self> {
        let host: String = sys::process::host().chars().take(64).collect();
        let nonce = sys::file::random()?;
        sys::fd::make_room(ABOVE_ARBITERS);
        Ok(Self {
            generation,
            identity: Asker {
                pid: sys::process::own_pid(),
                starttime: sys::process::own_starttime(),
                nonce,
                boot_id: sys::process::boot_id()?,
                pid_ns: sys::process::namespace("pid"),
                time_ns: sys::process::namespace("time"),
            },
            nonce: Mutex::new(nonce),
            instance: AtomicU64::default(),
            restarting: RwLock::default(),
            drawn: AtomicU64::default(),
            next_number: AtomicU64::default(),
            host,
            proc_is_ours: sys::process::proc_is_ours(),
            directories: Mutex::default(),
            watcher: Watcher::new()?,
            waiters: Waiters::default(),
            waiting: Interruptible::default(),
            releasing: Mutex::default(),
        })
    }

    /// Whether this is still the process, and not a forked child of it.
    pub(crate) fn is_current(&self) -> bool {
        self.generation.is_current()
    }

    /// The directory with this identity, opened once per process.
    pub(crate) fn directory(&self, inode: Inode, open: impl FnOnce() -> Directory) -> Arc<Directory> {
        let mut directories = lock(&self.directories);
        directories.retain(|_, directory| directory.strong_count() > 0);
        if let Some(directory) = directories.get(&inode).and_then(Weak::upgrade) {
            return directory;
        }
        let directory = Arc::new(open());
        directories.insert(inode, Arc::downgrade(&directory));
        directory
    }

    /// Who asks, when this process does.
    pub(crate) fn asker(&self) -> Asker {
        Asker { nonce: *lock(&self.nonce), ..self.identity }
    }

    /// The boot that this process runs in.
    pub(crate) fn boot_id(&self) -> &[u8; 16] {
        &self.identity.boot_id
    }

    /// Changes whenever what [`Process::asker`] says of this process has changed.
    pub(crate) fn identity(&self) -> u64 {
        self.drawn.load(Ordering::Acquire)
    }

    /// The current instance. It may be one whose restart is still under way.
    pub(crate) fn instance(&self) -> u64 {
        self.instance.load(Ordering::Acquire)
    }

    /// Runs something that may begin a hold or hand one on, which a restart waits for. `None` if that instance is over.
    pub(crate) fn in_instance<T>(&self, instance: u64, run: impl FnOnce() -> T) -> Option<T> {
        let _running = self.restarting.read().unwrap_or_else(PoisonError::into_inner);
        (self.instance() == instance).then(run)
    }

    /// Runs something that a restart waits for, in whichever instance.
    pub(crate) fn between_restarts<T>(&self, run: impl FnOnce() -> T) -> T {
        let _running = self.restarting.read().unwrap_or_else(PoisonError::into_inner);
        run()
    }

    /// A number that this process has not given yet.
    pub(crate) fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends this instance: what waits is woken to find it over, every hold is released, and the next nonce is drawn when
    /// the last file is gone. One result for each hold that there was.
    pub(crate) fn restart(&self) -> Vec<Result<(), SystemError>> {
        let restarting = self.restarting.write().unwrap_or_else(PoisonError::into_inner);
        let instance = self.instance.fetch_add(1, Ordering::AcqRel) + 1;
        let directories: Vec<_> = lock(&self.directories).values().filter_map(Weak::upgrade).collect();
        let waiters: Vec<_> =
            directories.iter().map(|directory| (directory, directory.queues.take_waiters())).collect();
        let holds = self.watcher.holds();
        let ended: Vec<_> = holds.iter().filter_map(|hold| Some((hold, hold.take_away(Loss::Restarted)?))).collect();
        let partings: Vec<_> = waiters
            .into_iter()
            .flat_map(|(directory, waiters)| waiters.into_iter().map(move |(range, waiter)| (directory, range, waiter)))
            .map(|(directory, range, waiter)| (directory, range, waiter.end().without_claim()))
            .collect();
        for directory in &directories {
            directory.discard_spare();
        }
        // It names no more than what people see: without a new one the old one goes on.
        if let Ok(nonce) = sys::file::random() {
            *lock(&self.nonce) = nonce;
            self.drawn.fetch_add(1, Ordering::AcqRel);
        }
        drop(restarting);
        // Only now, because a waker may run what it wakes.
        let mut released: Vec<_> = ended.into_iter().map(|(hold, ended)| hold.finish(ended)).collect();
        for hold in &holds {
            hold.wake_lost();
        }
        for (directory, range, (parting, withdrawn)) in partings {
            // What was handed on belongs to no hold; only what could not be unlinked is told.
            released.extend(withdrawn.err().map(Err));
            part(directory, range, parting);
        }
        self.waiting.interrupt_before(instance);
        released
    }
}

/// Locks a mutex, also one that a thread held that panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
