//! Whatever is done to the counters' file while locks are in use: no process dies, no lock fails, every scrape is answered.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use crate::http::PLENTY;
use crate::running::Running;
use crate::scrape::{Samples, exporter};
use crate::worker::{Task, Worker};

const ROUNDS: usize = 10_000;
const PER_SCRAPE: usize = 20;
const SEED: u64 = 20;

fn counters(directory: &Path) -> PathBuf {
    directory.join(".session-lock/metrics-v1")
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PLENTY;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Removes whatever is there.
fn remove(path: &Path) {
    fs::remove_file(path).or_else(|_| fs::remove_dir(path)).ok();
}

/// Does one thing to the file. Some fail, because of what is there or because a process was quicker.
fn damage(path: &Path, random: &mut fastrand::Rng) {
    // What is a FIFO by now has no reader.
    let open = || File::options().write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    match random.u8(0..8) {
        0 => drop(open().and_then(|file| file.set_len(random.u64(0..300_000)))),
        1 => {
            let noise: Vec<u8> = (0..random.usize(1..9000)).map(|_| random.u8(..)).collect();
            open().and_then(|file| file.write_all_at(&noise, random.u64(0..300_000))).ok();
        }
        2 => remove(path),
        3 => {
            remove(path);
            mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).ok();
        }
        4 => {
            remove(path);
            symlink("/dev/null", path).ok();
        }
        5 => {
            remove(path);
            fs::create_dir(path).ok();
        }
        6 => drop(fs::rename(path, path.with_extension("aside"))),
        _ => drop(fs::rename(path.with_extension("aside"), path)),
    }
}

/// Two processes that lock all the time, and what they said they did.
struct Lockers([(Worker, u32); 2]);

impl Lockers {
    fn start(directory: &Path) -> Self {
        Self([0, 1].map(|seed| (Worker::start(directory, Task::UntilTold, seed), 0)))
    }

    /// Waits until each has gone on.
    fn go_on(&mut self) {
        for (worker, done) in &mut self.0 {
            let line = worker.said().expect("it lives, and its locks do not fail");
            *done = line.parse().unwrap_or_else(|_| panic!("it said {line:?}"));
        }
    }

    /// Ends them. How many holds both had.
    fn end(mut self) -> f64 {
        let mut sum = 0;
        for (worker, done) in &mut self.0 {
            worker.tell();
            while let Some(line) = worker.said() {
                *done = line.parse().unwrap_or_else(|_| panic!("it said {line:?}"));
            }
            assert!(worker.wait().success(), "no lock failed");
            sum += *done;
        }
        f64::from(sum)
    }
}

/// Puts something in the file's place, quicker than somebody makes a new one.
fn in_place(path: &Path, mut put: impl FnMut() -> std::io::Result<()>) {
    wait_until("it is in place", || {
        remove(path);
        put().is_ok()
    });
}

/// The exporter says that it cannot read the counters, says none, and says what it can.
fn assert_told(running: &Running, path: &Path) {
    wait_until("the counters cannot be read", || !Samples::of(running.address).is_up());
    let samples = Samples::of(running.address);
    assert!(samples.counters().is_empty(), "a counter that is not known is not 0: {samples:?}");
    assert!(samples.find("session_lock_files", "state=\"held\"").is_some(), "{samples:?}");
    remove(path);
}

#[test]
fn whatever_is_done_to_the_counters_everybody_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = counters(directory.path());
    let running = exporter(directory.path(), &[]);
    let mut lockers = Lockers::start(directory.path());
    lockers.go_on();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut down = 0;
    for round in 0..ROUNDS {
        damage(&path, &mut random);
        if round % PER_SCRAPE == 0 {
            // Panics where it is not answered with 200.
            let samples = Samples::of(running.address);
            down += u32::from(!samples.is_up());
        }
    }
    assert!(down > 0, "a file that is none was met; seed {SEED}");

    in_place(&path, || Ok(mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0)?));
    assert_told(&running, &path);
    in_place(&path, || fs::create_dir(&path));
    assert_told(&running, &path);
    in_place(&path, || symlink("/dev/null", &path));
    assert_told(&running, &path);

    remove(&path.with_extension("aside"));
    for _ in 0..5 {
        lockers.go_on();
    }
    // The two go on where they were, although every file that they had counted in is gone.
    wait_until("both count again", || {
        let samples = Samples::of(running.address);
        samples.is_up() && samples.get("session_lock_slots", "state=\"living\"") > 1.0 && samples.acquired() > 1000.0
    });
    let holds = lockers.end();
    let samples = Samples::of(running.address);
    assert_eq!(samples.acquired().to_bits(), holds.to_bits(), "each hold is counted, and once");
    assert_damage_is_told(&running, &path);
}

/// Both slots are of dead processes now, so that nobody writes over the noise.
fn assert_damage_is_told(running: &Running, path: &Path) {
    let file = File::options().write(true).open(path).expect("it is the counters' file again");
    file.write_all_at(&[0x55; 8192], 0).expect("written");
    let samples = Samples::of(running.address);
    for (state, count) in [("damaged", 1.0_f64), ("inherited", 1.0), ("living", 0.0)] {
        let found = samples.get("session_lock_slots", &format!("state=\"{state}\""));
        assert_eq!(found.to_bits(), count.to_bits(), "{state}");
    }
    assert!(samples.is_up());
    file.set_len(0).expect("truncated");
    let samples = Samples::of(running.address);
    assert_eq!(samples.acquired().to_bits(), 0.0_f64.to_bits(), "nothing is left");
}
