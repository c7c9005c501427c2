//! What a scrape costs, over HTTP from the exporter's binary: directories with claims of which a hundred are held, the others
//! left by processes that were killed, half of them of this crate and half of older peers.

#[path = "../../../../exporter/tests/exporter/http.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod http;

use super::cost::{Cost, ms, percentile};
use super::held::holder;
use super::member::Member;
use super::sweep::{leave_foreign, leave_own};
use crate::report::{Figure, Missing, Report, Unit};
use crate::run::{Place, Run};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECTION: &str = "scrape";
const SUBJECT: &str = "exporter";
const HELD: u64 = 100;

pub(crate) fn run(run: &Run, report: &mut Report) {
    let binary = match build() {
        Ok(binary) => binary,
        Err(why) => {
            report.missing.push(Missing { section: SECTION, subject: SUBJECT.to_owned(), why });
            return;
        }
    };
    let Some(place) = run.places.first() else { return };
    let counts: &[u64] = run.either(&[10, 1_000, 10_000, 100_000], &[10, 1_000, 10_000]);
    let mut directories: Vec<_> = counts.iter().map(|&claims| Directory::new(run, place, &binary, claims)).collect();
    for _ in 0..run.either(6, 2) {
        directories.iter_mut().for_each(Directory::scrape_for_a_round);
    }
    let per_claim = directories.iter_mut().map(|directory| directory.report(place, report)).collect::<Vec<_>>();
    if let [.., less, more] = per_claim.as_slice() {
        let what = format!("time per claim, / that at {}", counts[counts.len() - 2]);
        let figure = Figure::of(SECTION, &place.file_system, SUBJECT, &what, Unit::Ratio, &[more / less]);
        report.figures.push(figure.at(counts[counts.len() - 1]));
    }
}

/// The exporter's binary, which the benchmarks of another package do not bring with them.
fn build() -> Result<PathBuf, String> {
    let command = "cargo build --release -p session-lock-exporter --bin session-lock-exporter";
    let failed = |why: String| format!("{why}; `{command}` has to succeed");
    let own = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let release = own.ancestors().nth(2).ok_or_else(|| failed("this program is in no target directory".to_owned()))?;
    let target = release.parent().ok_or_else(|| failed("this program is in no target directory".to_owned()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(command.split(' ').skip(1))
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(said.lines().last().unwrap_or("the build failed").to_owned()));
    }
    Ok(release.join("session-lock-exporter"))
}

struct Directory {
    claims: u64,
    exporter: Exporter,
    /// How many scrapes are a round, so that a round takes about as long for each directory.
    scrapes: usize,
    rounds: Vec<Vec<Duration>>,
    cpu: Vec<f64>,
    locks: Vec<f64>,
    _holder: Member,
    _dir: TempDir,
}

impl Directory {
    fn new(run: &Run, place: &Place, binary: &Path, claims: u64) -> Self {
        let dir = place.fresh("scrape");
        let held = HELD.min(claims / 2);
        let own = held + (claims - held) / 2;
        leave_own(run, dir.path(), held..own);
        leave_foreign(dir.path(), own..claims);
        let holder = holder(run, dir.path(), 0..held);
        let exporter = Exporter::start(binary, dir.path());
        let metrics = exporter.get("/metrics").1;
        for (state, count) in [("held", held), ("reclaimable", claims - held)] {
            let found = metrics.lines().find(|line| line.starts_with("session_lock_files") && line.contains(state));
            assert!(found.is_some_and(|line| line.ends_with(&format!(" {count}.0"))), "{state}: {found:?}");
        }
        let scrapes = if claims > 10_000 { 3 } else { 20 };
        let (rounds, cpu, locks) = (Vec::new(), Vec::new(), Vec::new());
        Self { claims, exporter, scrapes, rounds, cpu, locks, _holder: holder, _dir: dir }
    }

    fn scrape_for_a_round(&mut self) {
        let before = Cost::of(self.exporter.child.id());
        let times = (0..self.scrapes).map(|_| self.exporter.get("/metrics").0).collect();
        let after = Cost::of(self.exporter.child.id());
        self.rounds.push(times);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        self.cpu.push(ms(after.cpu.saturating_sub(before.cpu)) / self.scrapes as f64);
    }

    /// The time for each claim.
    fn report(&mut self, place: &Place, report: &mut Report) -> f64 {
        let peak = Cost::of(self.exporter.child.id()).peak_mib;
        // After the peak was read, because these answers are longer.
        self.locks.extend((0..3).map(|_| ms(self.exporter.get("/api/v1/locks").0)));
        let p50s: Vec<_> = self.rounds.iter_mut().map(|times| ms(percentile(times, 50))).collect();
        let mut all = self.rounds.concat();
        let p99 = ms(percentile(&mut all, 99));
        let mut figure = |what: &str, unit, values: &[f64]| {
            let figure = Figure::of(SECTION, &place.file_system, SUBJECT, what, unit, values).at(self.claims);
            report.figures.push(figure);
        };
        figure("scrape p50", Unit::Milliseconds, &p50s);
        figure("scrape p99", Unit::Milliseconds, &[p99]);
        figure("CPU per scrape", Unit::Milliseconds, &self.cpu);
        figure("memory at its peak, scrapes", Unit::Mebibytes, &[peak]);
        figure("/api/v1/locks", Unit::Milliseconds, &self.locks);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let claims = self.claims as f64;
        ms(percentile(&mut all, 50)) / claims
    }
}

/// The binary, running; killed when it is dropped.
struct Exporter {
    child: Child,
    address: SocketAddr,
    /// Kept open, because it may have more to say.
    _stderr: BufReader<ChildStderr>,
}

impl Exporter {
    fn start(binary: &Path, dir: &Path) -> Self {
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("OTEL_") || text.starts_with("SESSION_LOCK_EXPORTER_") || text.starts_with("LISTEN_") {
                command.env_remove(&name);
            }
        }
        command.arg("--dir").arg(dir).args(["--web.listen-address", "127.0.0.1:0"]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let address = loop {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).expect("text");
            assert_ne!(read, 0, "the exporter has ended: {:?}", child.wait());
            if let Some(address) = address(&line) {
                break address;
            }
        };
        Self { child, address, _stderr: stderr }
    }

    fn get(&self, path: &str) -> (Duration, String) {
        let began = Instant::now();
        let answer = http::request(self.address, "GET", path, &[]).expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        (began.elapsed(), answer.text())
    }
}

/// The address in the line that says that it listens.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening")?;
    let (_, rest) = rest.split_once("://")?;
    rest.trim_end().trim_end_matches(['"', '}']).split('"').next()?.parse().ok()
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Both fail where it has ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
