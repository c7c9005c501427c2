//! How fast a long history is judged, and in how much memory: ten million records of 64 workers, 16 of them older peers,
//! on eight locks, with kills inside and outside of holds, stops, deleted claims and two state directories that go.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::time::{Duration, Instant};

use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, NOBODY, RECORD_BYTES, Record};
use session_lock_stress::oracle::{Findings, Oddities, Oracle, Setup, Tokens};

const RECORDS: u64 = 10_000_000;
const LOCKS: u16 = 8;
const WORKERS: u16 = 64;
const OLDER_FROM: u16 = 48;

/// Writes a history of a lock that works.
struct Forge<W> {
    out: W,
    random: fastrand::Rng,
    written: u64,
    incarnations: Vec<u32>,
    next: u32,
    tokens: [u64; LOCKS as usize],
    completed: [u64; LOCKS as usize],
}

impl<W: Write> Forge<W> {
    fn put(&mut self, event: Event, worker: u16, lock: u16, detail: i32) {
        self.put_fault(event, None, worker, lock, detail);
    }

    fn put_fault(&mut self, event: Event, fault: Option<Fault>, worker: u16, lock: u16, detail: i32) {
        let incarnation = self.incarnations.get(usize::from(worker)).copied().unwrap_or(0);
        let tokens = event == Event::Acquired && worker < OLDER_FROM;
        self.tokens[usize::from(lock)] += u64::from(tokens);
        let token = if tokens { self.tokens[usize::from(lock)] } else { 0 };
        let record = Record { event, fault, worker, incarnation, lock, token, at_us: self.written, detail };
        self.out.write_all(&record.encode()).expect("the disk has room");
        self.written += 1;
    }

    fn hire(&mut self, worker: u16) {
        self.incarnations[usize::from(worker)] = self.next;
        self.next += 1;
        self.put(Event::Start, worker, 0, 0);
    }

    /// One hold after another on all locks, as records of many would lie between each other.
    fn round(&mut self) {
        let mut workers: Vec<_> = (0..WORKERS).collect();
        self.random.shuffle(&mut workers);
        let holds: Vec<_> = (0..LOCKS).zip(workers).collect();
        for &(lock, worker) in &holds {
            self.put(Event::Acquired, worker, lock, 5);
        }
        for (lock, worker) in holds {
            match self.random.u32(..5000) {
                0..10 => {
                    self.put_fault(Event::Kill, Some(Fault::KillInside), worker, 0, 0);
                    self.put(Event::Exit, worker, 0, -9);
                    self.hire(worker);
                    continue;
                }
                10..13 => {
                    self.put_fault(Event::Stop, Some(Fault::Stop), worker, 0, 100);
                    self.put_fault(Event::Continue, Some(Fault::Stop), worker, 0, 0);
                }
                13 => self.put_fault(Event::Strike, Some(Fault::DeleteClaim), NOBODY, lock, 0),
                _ => {}
            }
            self.put(Event::Releasing, worker, lock, 0);
            self.completed[usize::from(lock)] += 1;
            if worker >= OLDER_FROM {
                self.put(Event::Released, worker, lock, 0);
            }
        }
    }

    fn all(&mut self) {
        (0..WORKERS).for_each(|worker| self.hire(worker));
        while self.written < RECORDS - 2 * u64::from(WORKERS) {
            self.round();
        }
        for worker in 0..WORKERS {
            self.put(Event::Done, worker, 0, 0);
            self.put(Event::Exit, worker, 0, 0);
        }
        self.out.flush().expect("the disk has room");
    }
}

fn main() {
    let history = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut forge = Forge {
        out: BufWriter::with_capacity(1 << 20, history.reopen().expect("it opens")),
        random: fastrand::Rng::with_seed(1),
        written: 0,
        incarnations: vec![0; usize::from(WORKERS)],
        next: 1,
        tokens: [0; LOCKS as usize],
        completed: [0; LOCKS as usize],
    };
    forge.all();
    let started = Instant::now();
    let findings = judge(history.reopen().expect("it opens"), &forge.completed);
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(
        (findings.violations, findings.oddities),
        (0, Oddities::default()),
        "the history is of a lock that works"
    );
    let Findings { records, acquired, takeovers, .. } = findings;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
    let rate = (records as f64 / seconds) as u64;
    println!("{records} records, {acquired} acquisitions, {takeovers} takeovers");
    println!("{seconds:.2} s, {rate} records/s, peak {} KiB", peak_kib());
}

fn judge(mut history: File, completed: &[u64]) -> Findings {
    let grace = Duration::from_secs(1);
    let mut oracle = Oracle::new(Setup { locks: LOCKS, tokens: Tokens::Grow, older_from: OLDER_FROM, grace });
    let mut buffer = vec![0; 4096 * RECORD_BYTES];
    loop {
        let read = history.read(&mut buffer).expect("it reads");
        if read == 0 {
            return oracle.finish(completed);
        }
        for bytes in buffer[..read].chunks_exact(RECORD_BYTES) {
            oracle.observe(Record::decode(bytes));
        }
    }
}

/// The most memory this process ever had, by the kernel.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).expect("the kernel says it")
}
