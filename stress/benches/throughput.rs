//! What the tool itself costs: `stress run` with eight workers on eight locks, and as many processes that do the protocol's system
//! calls bare, in the same run, in turns; on the disk and in memory. Two more loops do what is added to them, bare too: the
//! tool's two records and counter for each acquisition, and with these the lock's own counters, which is the tool's loop
//! call by call.
//!
//! The last two columns compare the tool with each loop: by rate, for which the machine should have nothing else to do, and by
//! processor time. `SECONDS` says how long each turn takes; default 3.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{AtFlags, Mode, OFlags};
use tempfile::TempDir;

const WORKERS: usize = 8;
const TURNS: usize = 3;
const PAYLOAD: usize = 300;
const RECORD: usize = 32;
/// What the lock writes of its counters, and where the next process's begin.
const METRICS: usize = 440;
const METRICS_SLOT: usize = 8192;

/// The protocol's system calls, without the protocol.
struct Bare {
    number: u64,
    dir: OwnedFd,
    claim_name: String,
    arbiter_name: String,
    arbiter: File,
    /// Has a second name, so that it can be linked again and again.
    claim: File,
    history: File,
    counters: File,
    metrics: File,
}

impl Bare {
    fn new(path: &Path, number: u64) -> Self {
        let (claim_name, arbiter_name) = (format!("{number}.lock"), format!("arbiter-{number}"));
        let dir = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("open");
        let open =
            |name: &str| File::options().create(true).append(true).read(true).open(path.join(name)).expect("create");
        let (arbiter, history) = (open(&arbiter_name), open("history"));
        let counted = |name: &str, size: usize| {
            let file = File::options().create(true).truncate(false).write(true).read(true).open(path.join(name));
            let file = file.expect("create");
            file.set_len((size * WORKERS) as u64).expect("it grows");
            file
        };
        let (counters, metrics) = (counted("counters", 8), counted("metrics", METRICS_SLOT));
        let claim = File::create(path.join(format!("spare-{number}"))).expect("create");
        ofd_lock(&claim, libc::F_WRLCK);
        Self { number, dir, claim_name, arbiter_name, arbiter, claim, history, counters, metrics }
    }

    fn acquire(&self, payload: &[u8]) {
        ofd_lock(&self.arbiter, libc::F_WRLCK);
        black_box(rustix::process::getrlimit(rustix::process::Resource::Fsize));
        rustix::io::write(&self.arbiter, b".").expect("append");
        black_box(rustix::fs::tell(&self.arbiter).expect("position"));
        black_box(rustix::fs::fstat(&self.claim).expect("stat"));
        rustix::io::pwrite(&self.claim, payload, 0).expect("write");
        rustix::fs::linkat(&self.claim, c"", &self.dir, &self.claim_name, AtFlags::EMPTY_PATH).expect("link");
        black_box(rustix::fs::statat(&self.dir, &self.arbiter_name, AtFlags::SYMLINK_NOFOLLOW).expect("stat"));
    }

    fn release(&self) {
        black_box(rustix::fs::statat(&self.dir, &self.claim_name, AtFlags::SYMLINK_NOFOLLOW).expect("stat"));
        rustix::fs::unlinkat(&self.dir, &self.claim_name, AtFlags::empty()).expect("unlink");
        ofd_lock(&self.arbiter, libc::F_UNLCK);
    }

    fn record(&self) {
        let written = (&self.history).write(&[b'.'; RECORD]).expect("append");
        assert_eq!(written, RECORD);
    }

    fn count(&self) {
        let mut count = [0; 8];
        self.counters.read_exact_at(&mut count, 8 * self.number).expect("read");
        let count = u64::from_le_bytes(count) + 1;
        self.counters.write_all_at(&count.to_le_bytes(), 8 * self.number).expect("write");
    }

    /// What the lock counts, after each release.
    fn count_for_all(&self) {
        self.metrics.write_all_at(&[b'.'; METRICS], METRICS_SLOT as u64 * self.number).expect("write");
    }
}

fn ofd_lock(file: impl AsFd, kind: libc::c_int) {
    let kind = libc::c_short::try_from(kind).expect("a lock type is small");
    let lock = libc::flock { l_type: kind, l_whence: 0, l_start: 0, l_len: 1, l_pid: 0 };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).expect("lock");
}

/// One of the processes of the bare loop. It prints how often it acquired.
fn bare(dir: &Path, number: u64, seconds: u64, added: Added) {
    let bare = Bare::new(dir, number);
    let payload = [b'x'; PAYLOAD];
    let (began, mut acquired) = (Instant::now(), 0_u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        bare.acquire(&payload);
        if added >= Added::Records {
            bare.record();
            bare.count();
            bare.record();
        }
        bare.release();
        if added == Added::All {
            bare.count_for_all();
        }
        acquired += 1;
    }
    println!("{acquired}");
}

/// What a bare loop does besides the protocol's calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Added {
    Nothing,
    Records,
    All,
}

impl Added {
    const ALL: [Self; 3] = [Self::Nothing, Self::Records, Self::All];

    /// Its loop, in the table and among the arguments of its processes.
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "bare",
            Self::Records => "bare + records",
            Self::All => "bare, every call",
        }
    }
}

/// Acquisitions per second of all processes of the bare loop.
#[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
fn bare_loop(dir: &Path, seconds: u64, added: Added) -> f64 {
    let own = std::env::current_exe().expect("this program has a path");
    let start = |number: usize| {
        let mut command = Command::new(&own);
        command.args([added.name(), &number.to_string(), &seconds.to_string()]).arg(dir).stdout(Stdio::piped());
        command.spawn().expect("this program starts")
    };
    let children: Vec<_> = (0..WORKERS).map(start).collect();
    let acquired = children.into_iter().map(|child| {
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8(output.stdout).expect("a number");
        text.trim().parse::<u64>().expect("a number")
    });
    acquired.sum::<u64>() as f64 / seconds as f64
}

/// Acquisitions per second of the tool, with its oracle.
#[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
fn tool(dir: &Path, seconds: u64) -> f64 {
    let workers = WORKERS.to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(["run", "--json", "--workers", &workers, "--locks", &workers, "--spread", "own", "--hold", "0s"])
        .args(["--think", "0s", "--kill-rate", "0", "--stop-rate", "0", "--duration", &format!("{seconds}s"), "--dir"])
        .arg(dir)
        .output()
        .expect("the tool starts");
    let results: serde_json::Value = serde_json::from_slice(&output.stdout).expect("results");
    assert_eq!(results["findings"]["violations"], 0, "{results:#}");
    results["acquisitions_per_second"].as_u64().expect("a rate") as f64
}

/// A fresh directory on the disk and one in memory.
fn places() -> [(&'static str, TempDir); 2] {
    let on = |parent: &Path| tempfile::tempdir_in(parent).expect("a temporary directory");
    [("disk", on(Path::new(env!("CARGO_TARGET_TMPDIR")))), ("memory", on(Path::new("/dev/shm")))]
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, name, number, seconds, dir] = arguments.as_slice()
        && let (Ok(number), Ok(seconds)) = (number.parse(), seconds.parse())
        && let Some(added) = Added::ALL.into_iter().find(|added| added.name() == name)
    {
        return bare(Path::new(dir), number, seconds, added);
    }
    let seconds = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    println!("{WORKERS} processes, each with a lock of its own; the best of {TURNS} turns of {seconds} s\n");
    println!("{:8} {:16} {:>10} {:>10} {:>8} {:>8}", "place", "loop", "per second", "CPU us", "rate", "CPU");
    for (place, dir) in places() {
        let fresh = |name: &str| {
            let path = dir.path().join(name);
            std::fs::DirBuilder::new().mode(0o700).create(&path).expect("create");
            path
        };
        let (ours, theirs) = (fresh("stress"), Added::ALL.map(|added| (added, fresh(added.name()))));
        let (mut best, mut best_bare) = (Turn::NONE, [Turn::NONE; Added::ALL.len()]);
        for _ in 0..TURNS {
            best = best.better(Turn::of(seconds, || tool(&ours, seconds)));
            for ((added, path), best) in theirs.iter().zip(&mut best_bare) {
                *best = best.better(Turn::of(seconds, || bare_loop(path, seconds, *added)));
            }
        }
        for (name, turn) in
            ["stress"].into_iter().chain(Added::ALL.map(Added::name)).zip([best].into_iter().chain(best_bare))
        {
            let (rate, cpu) = (best.rate / turn.rate, turn.cpu_us / best.cpu_us);
            println!("{place:8} {name:16} {:>10.0} {:>10.2} {rate:>8.2} {cpu:>8.2}", turn.rate, turn.cpu_us);
        }
    }
}

/// What one turn of a loop came to.
#[derive(Clone, Copy)]
struct Turn {
    /// Acquisitions per second.
    rate: f64,
    /// Processor time of all processes for each of them, which other load on the machine disturbs less.
    cpu_us: f64,
}

impl Turn {
    const NONE: Self = Self { rate: 0.0, cpu_us: f64::INFINITY };

    #[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
    fn of(seconds: u64, run: impl FnOnce() -> f64) -> Self {
        let before = children_ticks();
        let rate = run();
        let used_us = (children_ticks() - before) as f64 * 10_000.0;
        Self { rate, cpu_us: used_us / (rate * seconds as f64) }
    }

    fn better(self, other: Self) -> Self {
        Self { rate: self.rate.max(other.rate), cpu_us: self.cpu_us.min(other.cpu_us) }
    }
}

/// Processor time of all children that have been waited for, and of theirs, in ticks of 10 ms: fields 16 and 17.
fn children_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is there");
    let fields = stat.rsplit_once(')').expect("a name in parentheses").1.split_whitespace();
    fields.skip(13).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
