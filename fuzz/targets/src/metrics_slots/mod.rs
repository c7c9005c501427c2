//! A damaged file of counters: the reader says exactly what its undamaged slots say, tells how many are damaged, and never
//! panics; the exporter's look at the directory does neither.

mod image;
mod reading;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use arbitrary::{Result, Unstructured};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use session_lock::metrics::Metrics;
use session_lock::{LockDir, TryAcquire};
use session_lock_exporter::{Directory, Source};
use tempfile::TempDir;

use crate::temporary;
use image::Image;
use reading::Reading;

/// Runs the target on one input.
///
/// # Panics
///
/// On a finding, or if the directory cannot be used.
pub fn run(bytes: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::prepare());
    // Bytes that are too few are no case.
    GROUND.with(|ground| ground.check(&mut Unstructured::new(bytes)).unwrap_or_default());
}

const COUNTERS: &str = ".session-lock/metrics-v1";

struct Ground {
    directory: TempDir,
    locks: LockDir,
    counters: File,
    /// What processes that did something have left.
    whole: Image,
}

impl Ground {
    fn prepare() -> Self {
        let whole = Image::twice(&recorded());
        let directory = temporary();
        fs::create_dir(directory.path().join(".session-lock")).expect("the directory is ours");
        let options = LockDir::options().without_counters().any_permissions();
        let locks = options.open(directory.path()).expect("locks can be had there");
        let counters = File::options().read(true).write(true).create_new(true).open(directory.path().join(COUNTERS));
        Self { directory, locks, counters: counters.expect("the name is free"), whole }
    }

    fn check(&self, choices: &mut Unstructured<'_>) -> Result<()> {
        let lives = choices.arbitrary()?;
        let is_scraped = choices.ratio(1, 8)?;
        let mut image = self.whole.clone();
        for _ in 0..choices.int_in_range(0..=6_u8)? {
            image.damage(choices)?;
        }
        self.counters.set_len(0).expect("it is ours");
        self.counters.write_all_at(image.bytes(), 0).expect("there is room");
        self.lock_first_slot(if lives { libc::F_WRLCK } else { libc::F_UNLCK });
        let found = self.locks.metrics().expect("it is a regular file");
        Reading::of(&image, &self.whole, lives).check(&found);
        check_records(&found, lives);
        if is_scraped {
            self.scrape(&found);
        }
        Ok(())
    }

    /// The first slot's process lives, or it does not.
    fn lock_first_slot(&self, kind: libc::c_int) {
        let range = libc::flock {
            l_type: i16::try_from(kind).expect("a small constant"),
            l_whence: i16::try_from(libc::SEEK_SET).expect("a small constant"),
            l_start: 0,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&self.counters, FcntlArg::F_OFD_SETLK(&range)).expect("nobody else knows the file");
    }

    fn scrape(&self, found: &Metrics) {
        let directory = Directory::new("damaged", self.directory.path());
        let gathered = directory.gather(Instant::now(), 3);
        assert_eq!(gathered.error, None, "the counters can be read, damaged or not");
        let names: Vec<String> = gathered.families.iter().map(session_lock_exporter::family::Family::name).collect();
        assert!(names.iter().any(|name| name == "session_lock_slots"), "damage is told: {names:?}");
        let json = directory.contention(Instant::now()).expect("the counters can be read");
        let json: serde_json::Value = serde_json::from_str(json.get()).expect("JSON");
        let len = |list: &str| json[list].as_array().map(Vec::len);
        assert_eq!((len("past"), len("waiting")), (Some(found.contentions.len()), Some(found.waits.len())));
    }
}

/// Records are a memory of moments: any that is whole is told, a wait only of the living.
fn check_records(found: &Metrics, lives: bool) {
    assert!(found.contentions.len() <= 8 * Image::SLOTS && found.waits.len() <= 8);
    assert!(lives || found.waits.is_empty(), "the dead do not wait");
    assert!(found.waits.is_sorted_by_key(|wait| wait.since), "the longest first");
}

/// The counters' file of a process that held, waited and waits.
fn recorded() -> Vec<u8> {
    let directory = temporary();
    let locks = LockDir::options().any_permissions().open(directory.path()).expect("locks can be had there");
    let guard = locks.lock("a").label("first").blocking().expect("it is free");
    assert!(matches!(locks.try_lock("a"), Ok(TryAcquire::Busy(_))), "it is held");
    let waits = |timeout| drop(locks.lock("a").label("second").timeout(timeout).blocking());
    waits(Duration::from_millis(2));
    let bytes = thread::scope(|scope| {
        scope.spawn(|| waits(Duration::from_millis(200)));
        // A wait is written after 10 ms.
        let until = Instant::now() + Duration::from_mins(1);
        while locks.metrics().is_ok_and(|metrics| metrics.waits.is_empty()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        fs::read(directory.path().join(COUNTERS)).expect("it counts")
    });
    guard.release().expect("nobody takes it away");
    bytes
}
