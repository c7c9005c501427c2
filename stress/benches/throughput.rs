//! What the tool itself costs: `stress run` with eight workers on eight locks, and as many processes that do the protocol's system
//! calls bare, in the same run, in turns; on the disk and in memory. Two more loops do what is added to them, bare too: the
//! tool's two records and counter for each acquisition, and with these the lock's own counters, which is the tool's loop
//! call by call.
//!
//! The last two columns compare the tool with each loop: by rate, for which the machine should have nothing else to do, and by
//! processor time. `SECONDS` says how long each turn takes; default 3.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

#[path = "compare/floor.rs"]
mod floor;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use floor::Floor;
use tempfile::TempDir;

const WORKERS: usize = 8;
const TURNS: usize = 3;
const RECORD: usize = 32;

/// What the tool writes of its own.
struct Written {
    number: u64,
    history: File,
    counters: File,
}

impl Written {
    fn new(path: &Path, number: u64) -> Self {
        let history = File::options().create(true).append(true).open(path.join("history")).expect("create");
        let mut options = File::options();
        let counters = options.create(true).truncate(false).write(true).read(true).open(path.join("counters"));
        let counters = counters.expect("create");
        counters.set_len(8 * WORKERS as u64).expect("it grows");
        Self { number, history, counters }
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
}

/// One of the processes of the bare loop. It prints how often it acquired.
fn bare(dir: &Path, number: u64, seconds: u64, added: Added) {
    let (mut bare, written) = (Floor::new(dir, &number.to_string(), number), Written::new(dir, number));
    let (began, mut acquired) = (Instant::now(), 0_u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        bare.acquire();
        if added >= Added::Records {
            written.record();
            written.count();
            written.record();
        }
        bare.release();
        if added == Added::All {
            bare.count();
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
