//! A thousand processes, a third of them killed inside a hold: the totals are what the processes themselves said, and no
//! counter ever falls; also where exporters are killed in between, and where there are two.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::scrape::{Samples, exporter};
use crate::worker::{Task, Worker};

const PROCESSES: usize = 1000;
const AT_ONCE: usize = 8;
const HOLDS: u32 = 3;
const BETWEEN_SCRAPES: Duration = Duration::from_millis(50);
/// How many scrapes an exporter lives that is killed again and again.
const LIFE: usize = 5;

/// What the processes said, read from their pipes to the end.
#[derive(Default)]
struct Said {
    started: AtomicUsize,
    acquired: AtomicUsize,
    released: AtomicUsize,
    killed: AtomicUsize,
}

#[test]
fn totals_are_what_a_thousand_processes_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let said = Said::default();
    let over = AtomicBool::new(false);
    let steady = exporter(path, &[]);
    thread::scope(|scope| {
        let watched = scope.spawn(|| watch(&over, || Samples::of(steady.address)));
        let restarted = scope.spawn(|| {
            let (mut running, mut scrapes) = (exporter(path, &[]), 0);
            watch(&over, || {
                scrapes += 1;
                if scrapes % LIFE == 0 {
                    let dying = std::mem::replace(&mut running, exporter(path, &[]));
                    let (code, _) = dying.end(Signal::KILL).expect("it ran");
                    assert_eq!(code, None, "it was killed");
                }
                Samples::of(running.address)
            })
        });
        let starters: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| start_and_kill(path, &said))).collect();
        let ended: Vec<_> = starters.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "a process failed");
        for scrapes in [watched.join(), restarted.join()] {
            assert!(scrapes.expect("no counter falls") > LIFE, "there was time to fall");
        }
    });
    assert_totals(&Samples::of(steady.address), &said);

    let other = exporter(path, &[]);
    let (one, other) = (Samples::of(steady.address), Samples::of(other.address));
    assert_eq!(one.counters(), other.counters());
}

/// Scrapes until it is over, and once more. How often.
fn watch(over: &AtomicBool, mut scrape: impl FnMut() -> Samples) -> usize {
    let (mut before, mut scrapes) = (scrape(), 1);
    loop {
        let last = over.load(Ordering::SeqCst);
        let now = scrape();
        let counters = now.counters();
        for (series, value) in before.counters() {
            let now = counters.get(series);
            assert!(now.is_some_and(|now| *now >= value), "{series} fell from {value} to {now:?}");
        }
        (before, scrapes) = (now, scrapes + 1);
        if last {
            return scrapes;
        }
        thread::sleep(BETWEEN_SCRAPES);
    }
}

fn start_and_kill(path: &Path, said: &Said) {
    loop {
        let nth = said.started.fetch_add(1, Ordering::SeqCst);
        if nth >= PROCESSES {
            return;
        }
        let victim = nth.is_multiple_of(3);
        let holds = HOLDS - u32::from(victim);
        let task = if victim { Task::HoldsAndOneMore(holds) } else { Task::Holds(holds) };
        let mut worker = Worker::start(path, task, nth);
        let (mut acquired, mut released, mut killed) = (0, 0, false);
        while let Some(line) = worker.said() {
            match line.as_str() {
                "acquired" => acquired += 1,
                "released" => released += 1,
                "holding" => {
                    // Some before the watcher has written the acquire, some after.
                    thread::sleep(Duration::from_millis(nth as u64 % 16));
                    worker.kill();
                    killed = true;
                }
                other => panic!("it said {other:?}"),
            }
        }
        assert!(killed == victim && (killed || worker.wait().success()), "process {nth}");
        assert_eq!((acquired, released), (HOLDS as usize, holds as usize), "process {nth}");
        said.acquired.fetch_add(acquired, Ordering::SeqCst);
        said.released.fetch_add(released, Ordering::SeqCst);
        said.killed.fetch_add(usize::from(killed), Ordering::SeqCst);
    }
}

fn assert_totals(samples: &Samples, said: &Said) {
    let number = |count: &AtomicUsize| f64::from(u32::try_from(count.load(Ordering::SeqCst)).expect("small"));
    let (acquired, killed) = (number(&said.acquired), number(&said.killed));
    assert!(killed > 300.0, "a third of them was killed: {killed}");
    // A process that is killed takes at most the one acquire with it whose hold it was in.
    let counted = samples.acquired();
    assert!((acquired - killed..=acquired).contains(&counted), "{counted} of {acquired}, {killed} killed");
    let released = samples.get("session_lock_release_total", "outcome=\"released\"");
    assert_eq!(released.to_bits(), number(&said.released).to_bits(), "what was released is written");
    for (histogram, labels, count) in [
        ("session_lock_wait_seconds_count", "outcome=\"acquired\"", counted),
        ("session_lock_hold_seconds_count", "", released),
        ("session_lock_held", "", 0.0),
        ("session_lock_slots", "state=\"living\"", 0.0),
        ("session_lock_slots", "state=\"damaged\"", 0.0),
        ("session_lock_exporter_up", "", 1.0),
    ] {
        assert_eq!(samples.get(histogram, labels).to_bits(), count.to_bits(), "{histogram}");
    }
    let slots = samples.get("session_lock_slots", "state=\"inherited\"");
    assert!((1.0..=8.0).contains(&slots), "{slots} slots for {AT_ONCE} processes at a time");
    for outcome in ["timeout", "cancelled", "error", "reentrant"] {
        let count = samples.get("session_lock_acquire_total", &format!("outcome=\"{outcome}\""));
        assert_eq!(count.to_bits(), 0.0_f64.to_bits(), "{outcome}");
    }
}
