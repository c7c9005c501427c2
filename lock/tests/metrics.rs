//! What happens in a directory is counted over all its processes, and what the dead have counted stays.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::event::{Event, Sink};
use session_lock::metrics::{Metrics, Value};
use session_lock::{HoldExceeded, HolderKind, LockDir, TryAcquire};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::process::OtherProcess;
use support::{GRACE, LONG, SHORT, lock_dir, wait_until};

fn number(metrics: &Metrics, name: &str, value: &str) -> u64 {
    match metrics.get(name, value) {
        Some(Value::Number(number)) => number,
        other => panic!("{name} {value}: {other:?}"),
    }
}

fn read(locks: &LockDir) -> Metrics {
    locks.metrics().expect("readable")
}

fn counters(dir: &Path) -> PathBuf {
    dir.join(".session-lock/metrics-v1")
}

#[test]
fn what_happens_is_counted() {
    let (dir, locks) = lock_dir();
    assert_eq!(number(&read(&locks), "session_lock_acquire_total", "acquired"), 0);
    for _ in 0..5 {
        locks.lock("s").blocking().expect("free").release().expect("held");
    }
    let guard = locks.lock("s").blocking().expect("free");
    drop(guard.handle().reenter().expect("held"));
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    locks.lock("s").timeout(SHORT).blocking().expect_err("busy");
    drop(guard);
    drop(locks.lock("t").max_hold(Duration::ZERO, HoldExceeded::Report).blocking().expect("free"));
    // A dead owner's, and a living one's that is in the way.
    fs::write(dir.path().join("dead.lock"), "").expect("written");
    drop(locks.lock("dead").timeout(LONG).blocking().expect("free after the grace"));
    let foreign = File::create_new(dir.path().join("foreign.lock")).expect("created");
    locks.lock("foreign").timeout(SHORT).blocking().expect_err("busy");
    drop(foreign);

    let metrics = read(&locks);
    let expected = [
        ("session_lock_acquire_total", "acquired", 8),
        ("session_lock_acquire_total", "reentrant", 1),
        ("session_lock_acquire_total", "busy", 1),
        ("session_lock_acquire_total", "timeout", 2),
        ("session_lock_acquire_total", "error", 0),
        ("session_lock_contended_total", "same_process", 2),
        ("session_lock_contended_total", "foreign", 2),
        ("session_lock_reclaim_total", "empty-payload", 1),
        ("session_lock_reclaim_refused_total", "grace", 1),
        ("session_lock_reclaim_refused_total", "writer_alive", 1),
        ("session_lock_release_total", "released", 8),
        ("session_lock_held", "", 0),
        ("session_lock_waiters", "", 0),
    ];
    for (name, value, count) in expected {
        assert_eq!(number(&metrics, name, value), count, "{name} {value}");
    }
    let Some(Value::Histogram { buckets, sum, .. }) = metrics.get("session_lock_wait_seconds", "timeout") else {
        panic!()
    };
    assert!(buckets.is_sorted() && buckets.last() == Some(&2) && sum >= SHORT * 2, "{buckets:?} {sum:?}");
    let Some(Value::Seconds(blocked)) = metrics.get("session_lock_blocked_seconds_total", "foreign") else { panic!() };
    assert!(blocked >= SHORT + GRACE, "{blocked:?}");
}

#[test]
fn gauges_tell_what_is_now_and_count_no_dead() {
    let (dir, locks) = lock_dir();
    let holder = OtherProcess::hold(dir.path(), "s");
    let held = |locks: &LockDir| number(&read(locks), "session_lock_held", "");
    wait_until(|| held(&locks) == 1);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| drop(locks.lock("s").label("the waiter").timeout(LONG).blocking().expect("free")));
        wait_until(|| read(&locks).waits.len() == 1);
        let metrics = read(&locks);
        assert_eq!(number(&metrics, "session_lock_waiters", ""), 1);
        let wait = &metrics.waits[0];
        assert_eq!((wait.session.as_str(), wait.label.as_deref(), wait.waited), ("s", Some("the waiter"), None));
        assert_eq!((wait.by, wait.pid), (HolderKind::OtherProcess, std::process::id()));
        let holder_label = wait.holder.as_ref().and_then(|payload| payload.label.as_deref());
        assert_eq!(holder_label, Some("example: hold"));
        holder.kill();
        waiter.join().expect("no panic");
    });
    wait_until(|| read(&locks).waits.is_empty());
    let metrics = read(&locks);
    assert_eq!(number(&metrics, "session_lock_held", ""), 0, "the dead hold nothing");
    assert_eq!(number(&metrics, "session_lock_acquire_total", "acquired"), 2, "what they did counts");
    assert_eq!(metrics.contentions.len(), 1);
    assert_eq!(metrics.contentions[0].label.as_deref(), Some("the waiter"));
    assert!(metrics.contentions[0].waited >= Some(Duration::from_millis(1)));
}

#[test]
fn the_dead_are_inherited_and_totals_never_fall() {
    let (dir, locks) = lock_dir();
    let acquired = || number(&read(&locks), "session_lock_acquire_total", "acquired");
    for nth in 1..=12 {
        let one = OtherProcess::hold(dir.path(), "s");
        let other = OtherProcess::hold(dir.path(), "t");
        // A hold that lasts is written while it lasts.
        wait_until(|| acquired() == nth * 2);
        if nth % 3 == 0 {
            one.kill();
        } else {
            drop(one.release());
        }
        other.release();
        assert_eq!(acquired(), nth * 2);
    }
    let slots = read(&locks).slots;
    assert_eq!((slots.living, slots.inherited, slots.damaged), (0, 2, 0), "two processes at once have two slots");
}

/// Keeps what is said about the counters.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Sink for Said {
    fn record(&self, _session: &str, event: &Event) {
        if let Event::NotCounted { why } = event {
            self.0.lock().expect("no panic in a sink").push(why.clone());
        }
    }
}

fn hold(locks: &LockDir) {
    locks.lock("s").timeout(LONG).blocking().expect("free").release().expect("held to the end");
}

/// Opens what may be a FIFO.
fn open(path: &Path) -> std::io::Result<File> {
    File::options().write(true).custom_flags(nix::libc::O_NONBLOCK).open(path)
}

#[test]
fn whatever_is_done_to_the_file_no_lock_fails() {
    let (dir, locks) = lock_dir();
    hold(&locks);
    let path = counters(dir.path());
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..10_000 {
        match random.u8(0..6) {
            0 => drop(open(&path).and_then(|file| file.set_len(random.u64(0..100_000)))),
            1 => {
                let len = random.usize(1..9000);
                let noise: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
                let at = random.u64(0..90_000);
                open(&path).and_then(|file| file.write_all_at(&noise, at)).ok();
            }
            2 => drop(fs::remove_file(&path)),
            3 => {
                fs::remove_file(&path).ok();
                nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).ok();
            }
            4 => {
                fs::remove_file(&path).ok();
                std::os::unix::fs::symlink("/dev/null", &path).ok();
            }
            _ => drop(fs::create_dir(&path)),
        }
        hold(&locks);
        // Never a panic; an error says what is there.
        if let Err(error) = locks.metrics() {
            assert!(error.to_string().contains("metrics-v1"), "{error}");
        }
        if random.u8(0..4) == 0 {
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).ok();
        }
        assert!(round < 10_000);
    }
    fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).ok();
    wait_until(|| {
        hold(&locks);
        locks.metrics().is_ok_and(|metrics| number(&metrics, "session_lock_acquire_total", "acquired") > 10_000)
    });
}

#[test]
fn a_slot_that_cannot_be_had_is_said_once_and_had_later() {
    let (dir, _) = lock_dir();
    let said = Arc::new(Said::default());
    let locks = LockDir::options().sink(said.clone()).open(dir.path()).expect("open");
    fs::create_dir(dir.path().join(".session-lock")).expect("made");
    fs::create_dir(counters(dir.path())).expect("made");
    for _ in 0..10 {
        hold(&locks);
    }
    assert_eq!(said.0.lock().expect("no panic").len(), 1, "{said:?}", said = said.0);
    fs::remove_dir(counters(dir.path())).expect("removed");
    let acquired = || locks.metrics().map_or(0, |metrics| number(&metrics, "session_lock_acquire_total", "acquired"));
    wait_until(|| {
        hold(&locks);
        acquired() > 10
    });
}

#[test]
fn a_damaged_slot_is_counted_and_not_taken() {
    let (dir, locks) = lock_dir();
    OtherProcess::hold(dir.path(), "s").release();
    OtherProcess::hold(dir.path(), "s").release();
    let before = read(&locks);
    assert_eq!(number(&before, "session_lock_acquire_total", "acquired"), 2);
    File::options().write(true).open(counters(dir.path())).expect("open").write_all_at(&[9; 8192], 0).expect("written");
    OtherProcess::hold(dir.path(), "s").release();
    let after = read(&locks);
    assert_eq!((after.slots.damaged, after.slots.inherited), (1, 1));
    assert_eq!(number(&after, "session_lock_acquire_total", "acquired"), 1, "what was damaged is gone");
}

/// A process whose file was moved away gave its slot up, and when the file was back it took the slot for a dead process's
/// and inherited its own numbers: each time twice as many as before.
#[test]
fn a_file_that_is_moved_away_and_back_is_counted_once() {
    let (dir, locks) = lock_dir();
    let (path, aside) = (counters(dir.path()), dir.path().join("aside"));
    let mut holds = 0;
    let mut hold_until = |done: &dyn Fn(u64) -> bool| {
        wait_until(|| {
            hold(&locks);
            holds += 1;
            done(holds)
        });
    };
    let counted = || locks.metrics().map_or(0, |metrics| number(&metrics, "session_lock_acquire_total", "acquired"));
    for _ in 0..3 {
        hold_until(&|holds| counted() == holds);
        fs::rename(&path, &aside).expect("moved");
        // It counts in a new file, or there is something else.
        fs::create_dir(&path).expect("made");
        hold_until(&|_| locks.metrics().is_err());
        std::thread::sleep(SHORT);
        fs::remove_dir(&path).expect("removed");
        hold_until(&|holds| counted() == holds);
        fs::rename(&aside, &path).expect("moved back");
        hold_until(&|holds| counted() == holds);
    }
    let slots = read(&locks).slots;
    assert_eq!((slots.living, slots.inherited), (1, 0));
}

#[test]
fn without_counters_nothing_is_written() {
    let (dir, _) = lock_dir();
    let locks = LockDir::options().without_counters().open(dir.path()).expect("open");
    hold(&locks);
    assert!(!counters(dir.path()).exists());
    assert_eq!(number(&read(&locks), "session_lock_acquire_total", "acquired"), 0);
}

/// Processes come and go while somebody reads as fast as it can: no counter is ever smaller than before.
#[test]
fn no_counter_falls_while_processes_come_and_go() {
    let (dir, locks) = lock_dir();
    let flat = |metrics: &Metrics| -> Vec<u64> {
        let numbers = metrics.families().filter(|(family, _)| family.kind != session_lock::metrics::Kind::Gauge);
        let values = numbers.flat_map(|(_, values)| values);
        values
            .flat_map(|value| match value {
                Value::Number(number) => vec![number],
                Value::Seconds(time) => vec![u64::try_from(time.as_nanos()).expect("short")],
                Value::Histogram { buckets, .. } => buckets,
            })
            .collect()
    };
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for _ in 0..3000 {
                hold(&locks);
            }
            for _ in 0..10 {
                OtherProcess::hold(dir.path(), "t").kill();
            }
        });
        let (mut before, mut reads) = (flat(&read(&locks)), 0_u32);
        while !busy.is_finished() {
            let now = flat(&read(&locks));
            assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "{before:?}\n{now:?}");
            before = now;
            reads += 1;
        }
        busy.join().expect("no panic");
        assert!(reads > 10);
    });
}

/// A process that has no descriptor left for a moment cannot ask whether its file is still there, and keeps its slot: taking it
/// again would count everything twice.
#[test]
fn a_process_without_descriptors_counts_on() {
    let (dir, locks) = lock_dir();
    hold(&locks);
    // In a child, because the limit is the process's.
    let me = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(me)
        .args(["--exact", "hold_with_few_descriptors", "--include-ignored", "--nocapture"])
        .env("SESSION_LOCK_TEST_DIR", dir.path())
        .output()
        .expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(number(&read(&locks), "session_lock_acquire_total", "acquired"), 1 + 20);
}

#[test]
#[ignore = "a part of a_process_without_descriptors_counts_on"]
fn hold_with_few_descriptors() {
    let Some(dir) = std::env::var_os("SESSION_LOCK_TEST_DIR") else { return };
    let locks = LockDir::options().open(dir).expect("open");
    for _ in 0..10 {
        hold(&locks);
    }
    let mut kept = Vec::new();
    while let Ok(file) = File::open("/proc/self/status") {
        kept.push(file);
    }
    for _ in 0..10 {
        hold(&locks);
        // The watcher looks after the file meanwhile.
        std::thread::sleep(Duration::from_millis(15));
    }
}
