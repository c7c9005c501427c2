//! The peers that are Rust: this lock, the floor, a bare OFD lock, and crates.

use crate::floor::{self, Floor};
use nix::libc;
use session_lock::LockDir;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// What peers that cannot wait are asked again after, as nothing in their documentation says otherwise.
const POLL: Duration = Duration::from_millis(1);

/// A lock as a worker uses it. It has opened what it keeps open between holds.
pub(crate) trait Peer {
    /// Acquires, does this, releases.
    fn hold(&mut self, during: &mut dyn FnMut());
}

/// The peer of this name on this session.
pub(super) fn open(name: &str, dir: &Path, session: &str, number: u64) -> Option<Box<dyn Peer>> {
    let path = dir.join(format!("{session}.lock"));
    Some(match name {
        "session-lock" => Box::new(SessionLock(LockDir::open(dir).expect("open"), session.to_owned())),
        "floor" => Box::new(Floor::new(dir, session, number)),
        "OFD lock" => Box::new(Ofd(permanent(&path))),
        "std File::lock" => Box::new(Std(permanent(&path))),
        "fd-lock" => Box::new(fd_lock::RwLock::new(permanent(&path))),
        "fs4" => Box::new(Fs4(permanent(&path))),
        "fslock" => Box::new(Fslock(fslock::LockFile::open(&path).expect("open"))),
        "named-lock" => Box::new(named_lock::NamedLock::with_path(&path).expect("open")),
        "pidlock" => Box::new(Pidlock(path)),
        "lockfile" => Box::new(Lockfile(path)),
        _ => return None,
    })
}

fn permanent(path: &Path) -> File {
    File::options().create(true).truncate(false).read(true).write(true).open(path).expect("open")
}

struct SessionLock(LockDir, String);

impl Peer for SessionLock {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        let guard = self.0.lock(&self.1).blocking().expect("acquired");
        during();
        guard.release().expect("released");
    }
}

impl Peer for Floor {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        self.acquire();
        during();
        self.release();
        self.count();
    }
}

/// `F_OFD_SETLKW` on a descriptor that is kept.
struct Ofd(File);

impl Peer for Ofd {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        floor::ofd_wait(&self.0);
        during();
        floor::ofd_lock(&self.0, libc::F_UNLCK).expect("unlocked");
    }
}

struct Std(File);

impl Peer for Std {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        self.0.lock().expect("locked");
        during();
        self.0.unlock().expect("unlocked");
    }
}

impl Peer for fd_lock::RwLock<File> {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        let guard = self.write().expect("locked");
        during();
        drop(guard);
    }
}

struct Fs4(File);

impl Peer for Fs4 {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        fs4::FileExt::lock(&self.0).expect("locked");
        during();
        fs4::FileExt::unlock(&self.0).expect("unlocked");
    }
}

/// With its pid written into the file.
struct Fslock(fslock::LockFile);

impl Peer for Fslock {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        self.0.lock_with_pid().expect("locked");
        during();
        self.0.unlock().expect("unlocked");
    }
}

impl Peer for named_lock::NamedLock {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        let guard = self.lock().expect("locked");
        during();
        drop(guard);
    }
}

struct Pidlock(std::path::PathBuf);

impl Peer for Pidlock {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        let mut lock = loop {
            let mut lock = pidlock::Pidlock::new_validated(&self.0).expect("a path");
            match lock.acquire() {
                Ok(()) => break lock,
                // Its look at who holds can lose against the holder's unlink.
                Err(pidlock::PidlockError::LockExists | pidlock::PidlockError::IOError(_)) => std::thread::sleep(POLL),
                Err(error) => panic!("{error}"),
            }
        };
        during();
        // Somebody who read the file before the pid was in it has removed it: overlaps tell.
        drop(lock.release());
    }
}

struct Lockfile(std::path::PathBuf);

impl Peer for Lockfile {
    fn hold(&mut self, during: &mut dyn FnMut()) {
        let lock = loop {
            match lockfile::Lockfile::create(&self.0) {
                Ok(lock) => break lock,
                Err(lockfile::Error::LockTaken) => std::thread::sleep(POLL),
                Err(error) => panic!("{error}"),
            }
        };
        during();
        lock.release().expect("released");
    }
}
