//! What the tool itself costs: `stress run` with eight workers on eight locks and its oracle, beside as many processes that do
//! the protocol's system calls bare. Two more loops do what is added to them, bare too: the tool's two records and counter
//! for each acquisition, and with these the lock's own counters, which is the tool's loop call by call.

use super::cost;
use super::member::{Member, ready, told};
use crate::floor::Floor;
use crate::report::{Figure, Report, Unit};
use crate::run::{Place, Run};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SECTION: &str = "throughput";
const WORKERS: u64 = 8;
const RECORD: usize = 32;

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
        counters.set_len(8 * WORKERS).expect("it grows");
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

/// What one turn of a loop came to.
#[derive(Clone, Copy)]
struct Turn {
    /// Acquisitions per second.
    rate: f64,
    /// Processor time of all processes for each of them, which other load on the machine disturbs less.
    cpu_us: f64,
}

impl Turn {
    fn of(seconds: u64, run: impl FnOnce() -> f64) -> Self {
        let before = cost::of_children();
        let rate = run();
        let used = cost::us(cost::of_children().saturating_sub(before));
        Self { rate, cpu_us: used / (rate * Duration::from_secs(seconds).as_secs_f64()) }
    }
}

pub(crate) fn run(run: &Run, report: &mut Report) {
    let seconds = run.either(2, 1);
    for place in &run.places {
        let dir = place.fresh("throughput");
        let fresh = |name: &str| {
            let path = dir.path().join(name);
            std::fs::DirBuilder::new().mode(0o700).create(&path).expect("create");
            path
        };
        let (ours, theirs) = (fresh("stress"), Added::ALL.map(|added| (added, fresh(added.name()))));
        let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); 1 + Added::ALL.len()];
        for _ in 0..run.either(3, 1) {
            turns[0].push(Turn::of(seconds, || tool(&ours, seconds)));
            for ((added, path), turns) in theirs.iter().zip(&mut turns[1..]) {
                turns.push(Turn::of(seconds, || bare_loop(run, path, seconds, *added)));
            }
        }
        tell(place, &turns, report);
    }
}

fn tell(place: &Place, turns: &[Vec<Turn>], report: &mut Report) {
    let names = ["stress"].into_iter().chain(Added::ALL.map(Added::name));
    let mut figure = |subject: &str, what: &str, unit, values: Vec<f64>| {
        report.figures.push(Figure::of(SECTION, &place.file_system, subject, what, unit, &values));
    };
    let of = |turns: &[Turn], value: fn(&Turn) -> f64| turns.iter().map(value).collect();
    for (name, turns) in names.clone().zip(turns) {
        figure(name, "acquisitions per second", Unit::PerSecond, of(turns, |turn| turn.rate));
    }
    for (name, turns) in names.clone().zip(turns) {
        figure(name, "CPU per acquisition", Unit::Microseconds, of(turns, |turn| turn.cpu_us));
    }
    let beside = |other: &[Turn], ratio: fn((&Turn, &Turn)) -> f64| turns[0].iter().zip(other).map(ratio).collect();
    for (name, other) in names.clone().zip(turns).skip(1) {
        let ratios = beside(other, |(tool, other)| tool.rate / other.rate);
        figure(&format!("stress / {name}"), "rate", Unit::Ratio, ratios);
    }
    for (name, other) in names.zip(turns).skip(1) {
        let ratios = beside(other, |(tool, other)| other.cpu_us / tool.cpu_us);
        figure(&format!("{name} / stress"), "CPU", Unit::Ratio, ratios);
    }
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

/// Acquisitions per second of all processes of the bare loop.
fn bare_loop(run: &Run, dir: &Path, seconds: u64, added: Added) -> f64 {
    let start = |number: u64| {
        let mut command = run.role("bare");
        command.args([added.name(), &number.to_string(), &seconds.to_string()]).arg(dir);
        Member::start(command)
    };
    let mut members: Vec<_> = (0..WORKERS).map(start).collect();
    for member in &mut members {
        member.tell("go");
    }
    members.iter_mut().map(|member| member.numbers::<1>()[0]).sum()
}

/// One of the processes of a bare loop.
pub(crate) fn bare(arguments: &[String]) {
    let [name, number, seconds, dir] = arguments else { panic!("{arguments:?}") };
    let added = Added::ALL.into_iter().find(|added| added.name() == name).expect("a loop");
    let path = Path::new(dir);
    let owner = number.parse().expect("a number");
    let (mut bare, written) = (Floor::new(path, number, owner), Written::new(path, owner));
    let time = Duration::from_secs(seconds.parse().expect("a number"));
    ready();
    told();
    let (began, mut acquired) = (Instant::now(), 0_u32);
    while began.elapsed() < time {
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
    println!("{}", f64::from(acquired) / began.elapsed().as_secs_f64());
}
