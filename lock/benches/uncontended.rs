//! Uncontended acquire and release, beside the same system calls bare, in the same order, in the same run.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod support;

use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{AtFlags, Mode, OFlags};
use session_lock::LockDir;
use std::fs::File;
use std::hint::black_box;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use support::{percentile, places, print_machine, us};

const ROUNDS: usize = 40;
const PER_ROUND: usize = 500;
const PAYLOAD: usize = 384;

/// The protocol's system calls, without the protocol.
struct Bare {
    dir: OwnedFd,
    arbiter: File,
    /// Has a second name, so that it can be linked again and again.
    claim: File,
}

impl Bare {
    fn new(path: &Path) -> Self {
        let dir = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("open");
        let arbiter = File::options().create(true).append(true).read(true).open(path.join("arbiter")).expect("create");
        let claim = File::create(path.join("spare")).expect("create");
        ofd_lock(&claim, libc::F_WRLCK, 0);
        Self { dir, arbiter, claim }
    }

    fn acquire_and_release(&self, payload: &[u8]) {
        ofd_lock(&self.arbiter, libc::F_WRLCK, 1);
        black_box(rustix::process::getrlimit(rustix::process::Resource::Fsize));
        rustix::io::write(&self.arbiter, b".").expect("append");
        black_box(rustix::fs::tell(&self.arbiter).expect("position"));
        black_box(rustix::fs::fstat(&self.claim).expect("stat"));
        rustix::io::pwrite(&self.claim, payload, 0).expect("write");
        rustix::fs::linkat(&self.claim, c"", &self.dir, c"claim", AtFlags::EMPTY_PATH).expect("link");
        black_box(rustix::fs::statat(&self.dir, c"arbiter", AtFlags::SYMLINK_NOFOLLOW).expect("stat"));
        black_box(rustix::fs::statat(&self.dir, c"claim", AtFlags::SYMLINK_NOFOLLOW).expect("stat"));
        rustix::fs::unlinkat(&self.dir, c"claim", AtFlags::empty()).expect("unlink");
        ofd_lock(&self.arbiter, libc::F_UNLCK, 1);
    }
}

fn ofd_lock(file: impl AsFd, kind: libc::c_int, len: i64) {
    let kind = libc::c_short::try_from(kind).expect("a lock type is small");
    let lock = libc::flock { l_type: kind, l_whence: 0, l_start: 77 * len, l_len: len, l_pid: 0 };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).expect("lock");
}

fn main() {
    print_machine();
    println!("uncontended acquire + release, µs; {ROUNDS} interleaved rounds of {PER_ROUND}\n");
    println!(
        "{:12} {:>10} {:>10} {:>10} {:>8} {:>8} {:>10} {:>10}",
        "file system", "lock p50", "uncounted", "bare p50", "ratio", "counters", "lock p99", "bare p99"
    );
    for (file_system, dir) in places() {
        let (sessions, bare_dir) = (dir.path().join("lock"), dir.path().join("bare"));
        for path in [&sessions, &bare_dir] {
            std::fs::create_dir(path).expect("create");
        }
        let locks = LockDir::open(&sessions).expect("open");
        let without = LockDir::options().without_counters().open(&sessions).expect("open");
        let bare = Bare::new(&bare_dir);
        let payload = [b'x'; PAYLOAD];
        let (mut ours, mut uncounted, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let mut samples = (Vec::new(), Vec::new(), Vec::new());
            let acquire_and_release =
                |locks: &LockDir| locks.lock("s").blocking().expect("free").release().expect("released");
            measure(&mut samples.0, || acquire_and_release(&locks));
            measure(&mut samples.1, || acquire_and_release(&without));
            measure(&mut samples.2, || bare.acquire_and_release(&payload));
            if round > 0 {
                ours.append(&mut samples.0);
                uncounted.append(&mut samples.1);
                theirs.append(&mut samples.2);
            }
        }
        let [lock, off, floor] = [&mut ours, &mut uncounted, &mut theirs].map(|samples| percentile(samples, 50));
        println!(
            "{file_system:12} {:>10} {:>10} {:>10} {:>8.2} {:>+7.1}% {:>10} {:>10}",
            us(lock),
            us(off),
            us(floor),
            off.as_secs_f64() / floor.as_secs_f64(),
            100.0 * (lock.as_secs_f64() / off.as_secs_f64() - 1.0),
            us(percentile(&mut ours, 99)),
            us(percentile(&mut theirs, 99)),
        );
    }
}

fn measure(samples: &mut Vec<Duration>, mut operation: impl FnMut()) {
    for _ in 0..PER_ROUND {
        let began = Instant::now();
        operation();
        samples.push(began.elapsed());
    }
}
