//! The turn queue and the threads that wait, between real threads and without a file: what Miri and `ThreadSanitizer` look
//! at. In many orders they are in `schedules`.

use super::LONG;
use crate::name::{Range, Session};
use crate::queue::{Asked, Delivery, Parker, Queues};
use crate::sys;
use crate::waiters::Waiters;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::task::{Wake, Waker};

const THREADS: u32 = 4;
const ROUNDS: u32 = if cfg!(miri) { 10 } else { 1_000 };

#[derive(Default)]
struct Unpark(Parker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[derive(Default)]
struct Turns {
    queues: Queues,
    /// Written in two steps that are no atomic one: the turn alone keeps it whole.
    count: AtomicU32,
}

fn range() -> Range {
    Session::new("s").expect("valid").range
}

impl Turns {
    fn add_one(&self) {
        let before = self.count.load(Ordering::Relaxed);
        std::thread::yield_now();
        self.count.store(before + 1, Ordering::Relaxed);
        self.queues.pass_on(range());
    }

    /// Waits for the turn, and uses it.
    fn serve(&self) {
        let Some(waiter) = self.queues.take_or_wait(range(), || Asked { label: None, since: sys::clock::now() }) else {
            return self.add_one();
        };
        let unpark: Arc<Unpark> = Arc::default();
        let waker = Waker::from(Arc::clone(&unpark));
        loop {
            match waiter.poll(&waker) {
                Some(Delivery::Turn) => return self.add_one(),
                Some(delivery) => panic!("{delivery:?}"),
                None => assert!(unpark.0.park(LONG), "nobody passed the turn on"),
            }
        }
    }

    /// Joins, and leaves at once.
    fn give_up(&self) {
        let waiter = self.queues.take_or_wait(range(), || Asked { label: None, since: sys::clock::now() });
        match waiter.map(|waiter| self.queues.leave(range(), &waiter)) {
            None | Some(Some(Delivery::Turn)) => self.queues.pass_on(range()),
            Some(None) => {}
            Some(Some(delivery)) => panic!("{delivery:?}"),
        }
    }
}

#[test]
fn turns_keep_what_they_guard_whole() {
    let turns = Turns::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    turns.serve();
                    turns.give_up();
                }
            });
        }
    });
    assert_eq!(turns.count.load(Ordering::Relaxed), THREADS * ROUNDS);
    assert!(turns.queues.try_take(range()), "the turn was lost");
}

#[test]
fn jobs_run_beside_each_other_and_each_runs_once() {
    let waiters: &'static Waiters = Box::leak(Box::default());
    let ran = Arc::new(AtomicU32::new(0));
    for _ in 0..ROUNDS.min(100) {
        let (all, (done, told)) = (Arc::new(Barrier::new(2)), channel());
        for _ in 0..2 {
            let (all, ran, done) = (Arc::clone(&all), Arc::clone(&ran), done.clone());
            let job = move || {
                // None waits for the other one's thread.
                all.wait();
                ran.fetch_add(1, Ordering::Relaxed);
                done.send(()).expect("the test waits");
            };
            waiters.run(job).expect("a thread");
        }
        for _ in 0..2 {
            told.recv_timeout(LONG).expect("each runs");
        }
    }
    assert_eq!(ran.load(Ordering::Relaxed), 2 * ROUNDS.min(100));
}
