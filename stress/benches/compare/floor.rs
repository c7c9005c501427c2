//! The floor: the lock's system calls bare, of the same kinds and in the same order, without the protocol that decides on them.
#![allow(dead_code, reason = "each benchmark uses its part")]

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags};
use std::fs::File;
use std::hint::black_box;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// As long as a claim without a label or a span.
const PAYLOAD: usize = 290;
/// What the lock writes of its counters, each time at the other one of two places, and where the next process's begin.
const METRICS: usize = 440;
const METRICS_COPY: u64 = 4096;
const METRICS_SLOT: u64 = 8192;
const STATE: &str = ".session-lock";

pub(crate) struct Floor {
    number: u64,
    dir: OwnedFd,
    claim_name: String,
    arbiter_name: String,
    arbiter: File,
    /// Has a second name, so that it can be linked again and again.
    claim: File,
    metrics: File,
    counted: u64,
    payload: [u8; PAYLOAD],
}

impl Floor {
    /// The process of this number on the lock of this name.
    pub(crate) fn new(path: &Path, name: &str, number: u64) -> Self {
        let (claim_name, arbiter_name) = (format!("{name}.lock"), format!("{STATE}/arbiter-{name}"));
        let state = path.join(STATE);
        std::fs::create_dir_all(&state).expect("create");
        let dir = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("open");
        let mut options = File::options();
        let arbiter = options.create(true).append(true).read(true).open(path.join(&arbiter_name)).expect("create");
        let mut options = File::options();
        let metrics = options.create(true).truncate(false).write(true).open(state.join("metrics")).expect("create");
        let claim = File::create(state.join(format!("spare-{name}-{number}"))).expect("create");
        ofd_lock(&claim, libc::F_WRLCK).expect("its own");
        let payload = [b'x'; PAYLOAD];
        Self { number, dir, claim_name, arbiter_name, arbiter, claim, metrics, counted: 0, payload }
    }

    /// Waits in the kernel's queue for the arbiter if it is locked.
    pub(crate) fn acquire(&mut self) {
        if let Err(error) = ofd_lock(&self.arbiter, libc::F_WRLCK) {
            assert!(matches!(error, Errno::EAGAIN | Errno::EACCES), "{error}");
            ofd_wait(&self.arbiter);
        }
        black_box(rustix::process::getrlimit(rustix::process::Resource::Fsize));
        rustix::io::write(&self.arbiter, b".").expect("append");
        black_box(rustix::fs::tell(&self.arbiter).expect("position"));
        black_box(look(&self.claim));
        rustix::io::pwrite(&self.claim, &self.payload, 0).expect("write");
        match rustix::fs::linkat(&self.claim, c"", &self.dir, &self.claim_name, AtFlags::EMPTY_PATH) {
            Ok(()) => drop(black_box(self.stat(&self.arbiter_name))),
            Err(error) => {
                assert_eq!(error, rustix::io::Errno::EXIST);
                self.take_over();
            }
        }
    }

    pub(crate) fn release(&self) {
        black_box(self.stat(&self.claim_name));
        rustix::fs::unlinkat(&self.dir, &self.claim_name, AtFlags::empty()).expect("unlink");
        ofd_lock(&self.arbiter, libc::F_UNLCK).expect("unlock");
    }

    /// What the lock counts, after each release.
    pub(crate) fn count(&mut self) {
        self.counted += 1;
        let place = METRICS_SLOT * self.number + METRICS_COPY * (self.counted % 2);
        self.metrics.write_all_at(&[b'.'; METRICS], place).expect("write");
    }

    /// A dead owner's claim becomes one's own.
    fn take_over(&mut self) {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        black_box(self.stat(&self.claim_name));
        let claim = rustix::fs::openat(&self.dir, &self.claim_name, flags, Mode::empty()).expect("open");
        ofd_lock(&claim, libc::F_WRLCK).expect("its owner is dead");
        black_box(look(&claim));
        let mut payload = [0; PAYLOAD];
        black_box(rustix::io::pread(&claim, &mut payload, 0).expect("read"));
        rustix::io::pwrite(&claim, &self.payload, 0).expect("write");
        black_box(self.stat(&self.claim_name));
        self.claim = claim.into();
    }

    fn stat(&self, name: &str) -> Statx {
        rustix::fs::statx(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, LOOKED_AT).expect("stat")
    }
}

/// Everything but times.
const LOOKED_AT: StatxFlags = StatxFlags::BASIC_STATS
    .difference(StatxFlags::ATIME.union(StatxFlags::MTIME).union(StatxFlags::CTIME).union(StatxFlags::BLOCKS));

fn look(file: impl AsFd) -> Statx {
    rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, LOOKED_AT).expect("stat")
}

/// `F_OFD_SETLK`: locks, or unlocks with `F_UNLCK`, without waiting.
pub(crate) fn ofd_lock(file: impl AsFd, kind: libc::c_int) -> Result<(), Errno> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&one_byte(kind))).map(drop)
}

/// `F_OFD_SETLKW`: waits in the kernel's queue.
pub(crate) fn ofd_wait(file: impl AsFd) {
    fcntl(file, FcntlArg::F_OFD_SETLKW(&one_byte(libc::F_WRLCK))).expect("lock");
}

fn one_byte(kind: libc::c_int) -> libc::flock {
    let l_type = libc::c_short::try_from(kind).expect("a lock type is small");
    libc::flock { l_type, l_whence: 0, l_start: 0, l_len: 1, l_pid: 0 }
}
