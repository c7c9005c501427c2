//! What is one per process: its identity, its open directories, its watcher and its waiter threads.
//!
//! A forked child starts with a new one. The parent's is left alone, because its mutexes may have been locked by threads
//! that the child does not have.

use crate::directory::Directory;
use crate::protocol::Inode;
use crate::sys::{self, fork::Generation};
use crate::verdict::Asker;
use crate::waiters::Waiters;
use crate::watch::Watcher;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicPtr;
use std::sync::{Mutex, PoisonError, Weak};

#[derive(Debug)]
pub(crate) struct Process {
    generation: Generation,
    pub(crate) asker: Asker,
    pub(crate) host: String,
    pub(crate) proc_is_ours: bool,
    /// By the directory's identity, so that every path and every handle leads to the same queues.
    directories: Mutex<HashMap<Inode, Weak<Directory>>>,
    pub(crate) watcher: Watcher,
    pub(crate) waiters: Waiters,
}

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());

impl Process {
    /// This process's. Lives as long as the process.
    pub(crate) fn current() -> io::Result<&'static Self> {
        let generation = sys::fork::generation()?;
        let known = sys::leaked(&CURRENT);
        let process = match known.filter(|process| process.generation == generation) {
            Some(process) => process,
            None => sys::leak_unless_replaced(&CURRENT, known, Box::new(Self::new(generation)?)),
        };
        process.watcher.start()?;
        Ok(process)
    }

    fn new(generation: Generation) -> io::Result<Self> {
        let host: String = sys::process::host().chars().take(64).collect();
        Ok(Self {
            generation,
            asker: Asker {
                pid: sys::process::own_pid(),
                starttime: sys::process::own_starttime(),
                nonce: sys::file::random()?,
                boot_id: sys::process::boot_id()?,
                pid_ns: sys::process::namespace("pid"),
                time_ns: sys::process::namespace("time"),
            },
            host,
            proc_is_ours: sys::process::proc_is_ours(),
            directories: Mutex::default(),
            watcher: Watcher::new()?,
            waiters: Waiters::default(),
        })
    }

    /// Whether this is still the process, and not a forked child of it.
    pub(crate) fn is_current(&self) -> bool {
        self.generation.is_current()
    }

    /// The directory with this identity, opened once per process.
    pub(crate) fn directory(&self, inode: Inode, open: impl FnOnce() -> Directory) -> std::sync::Arc<Directory> {
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        directories.retain(|_, directory| directory.strong_count() > 0);
        if let Some(directory) = directories.get(&inode).and_then(Weak::upgrade) {
            return directory;
        }
        let directory = std::sync::Arc::new(open());
        directories.insert(inode, std::sync::Arc::downgrade(&directory));
        directory
    }
}
