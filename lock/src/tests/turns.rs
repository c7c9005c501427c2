//! The turn queue and the threads that wait, between real threads and without a file: what Miri and `ThreadSanitizer` look
//! at. In many orders they are in `schedules`.

use super::LONG;
use crate::queue::support::{asked, await_delivery, range};
use crate::queue::{Delivery, Queues};
use crate::waiters::Waiters;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, LazyLock};

const THREADS: u32 = 4;
const ROUNDS: u32 = if cfg!(miri) { 10 } else { 1_000 };

#[derive(Default)]
struct Turns {
    queues: Queues,
    /// Written in two steps that are no atomic one: the turn alone keeps it whole.
    count: AtomicU32,
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
        match self.queues.take_or_wait(range(), asked).map(|waiter| await_delivery(&waiter, LONG)) {
            None | Some(Delivery::Turn) => self.add_one(),
            Some(delivery) => panic!("{delivery:?}"),
        }
    }

    /// Joins, and leaves at once.
    fn give_up(&self) {
        let waiter = self.queues.take_or_wait(range(), asked);
        match waiter.map(|waiter| self.queues.leave(range(), &waiter).delivery) {
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
    // Not a box that is leaked: Miri takes what no static leads to for lost.
    static WAITERS: LazyLock<Waiters> = LazyLock::new(Waiters::default);
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
            WAITERS.run(job).expect("a thread");
        }
        for _ in 0..2 {
            told.recv_timeout(LONG).expect("each runs");
        }
    }
    assert_eq!(ran.load(Ordering::Relaxed), 2 * ROUNDS.min(100));
}
