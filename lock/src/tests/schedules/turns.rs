//! The turn queue and the threads that wait, alone.

use super::{Inside, every_schedule, many_schedules};
use crate::error::LockError;
use crate::queue::support::{asked, await_delivery, range};
use crate::queue::{Delivery, Parker, Parting, Queues, Waiter};
use crate::sys::sync::thread;
use crate::waiters::Waiters;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;
use std::time::Duration;

#[derive(Default)]
struct Turns {
    queues: Queues,
    inside: Inside,
    served: AtomicU32,
    ended: AtomicU32,
}

impl Turns {
    fn join(&self) -> Option<Arc<Waiter>> {
        self.queues.take_or_wait(range(), asked)
    }

    fn use_turn(&self) {
        self.inside.visit();
        self.served.fetch_add(1, Ordering::SeqCst);
        self.queues.pass_on(range());
    }

    /// Waits for the turn, uses it, passes it on.
    fn serve(&self) {
        match self.join().map(|waiter| await_delivery(&waiter, Duration::MAX)) {
            None | Some(Delivery::Turn) => self.use_turn(),
            Some(Delivery::Failed(LockError::Restarted)) => {
                self.ended.fetch_add(1, Ordering::SeqCst);
            }
            Some(delivery) => panic!("{delivery:?}"),
        }
    }

    /// Joins, looks once and gives up, as a future does that is dropped.
    fn give_up(&self) {
        let Some(waiter) = self.join() else { return self.use_turn() };
        match waiter.take(Waker::noop()).delivery {
            Some(Delivery::Turn) => self.use_turn(),
            Some(delivery) => panic!("{delivery:?}"),
            None => self.leave(&waiter),
        }
    }

    fn leave(&self, waiter: &Arc<Waiter>) {
        match self.queues.leave(range(), waiter).delivery {
            Some(Delivery::Turn) => self.queues.pass_on(range()),
            Some(delivery) => panic!("{delivery:?}"),
            None => {}
        }
    }

    /// Nobody has the turn, and nobody waits for it.
    fn assert_free(&self) {
        assert!(!self.queues.has_waiters(range()), "somebody was left in the queue");
        assert!(self.queues.try_take(range()), "the turn was lost");
    }
}

/// Does both at once.
fn run(turns: &Arc<Turns>, one: fn(&Turns), other: fn(&Turns)) {
    let meanwhile = Arc::clone(turns);
    let task = thread::spawn(move || one(&meanwhile));
    other(turns);
    task.join().expect("no panic");
}

#[test]
fn each_of_two_is_served_once() {
    every_schedule(1_000_000, || {
        let turns = Arc::default();
        run(&turns, Turns::serve, Turns::serve);
        assert_eq!(turns.served.load(Ordering::SeqCst), 2);
        turns.assert_free();
    });
}

/// The second one gives up, perhaps at the moment at which it is served; the third one must not wait for ever.
#[test]
fn a_turn_that_is_given_up_reaches_the_next() {
    many_schedules(20_000, || {
        let turns: Arc<Turns> = Arc::default();
        assert!(turns.join().is_none());
        let (second, third) = (turns.join().expect("taken"), turns.join().expect("taken"));
        let leaving = thread::spawn({
            let turns = Arc::clone(&turns);
            move || turns.leave(&second)
        });
        let waiting = thread::spawn({
            let turns = Arc::clone(&turns);
            move || {
                assert!(matches!(await_delivery(&third, Duration::MAX), Delivery::Turn));
                turns.use_turn();
            }
        });
        turns.use_turn();
        leaving.join().expect("no panic");
        waiting.join().expect("no panic");
        assert_eq!(turns.served.load(Ordering::SeqCst), 2);
        turns.assert_free();
    });
}

#[test]
fn somebody_who_gives_up_anywhere_costs_nobody_the_turn() {
    every_schedule(1_000_000, || {
        let turns = Arc::default();
        run(&turns, Turns::serve, Turns::give_up);
        assert!(turns.served.load(Ordering::SeqCst) >= 1);
        turns.assert_free();
    });
}

/// Who has the turn becomes the first waiter, while a thread waits with the turn. When the waiter leaves, the thread is
/// told, and gives the turn back.
#[test]
fn a_waiter_that_leaves_wakes_the_thread_that_waits_for_it() {
    every_schedule(1_000_000, || {
        let (turns, parker): (Arc<Turns>, Arc<Parker>) = Default::default();
        assert!(turns.join().is_none());
        let waiter = turns.queues.wait_first(range(), &parker, asked());
        let waits = thread::spawn({
            let turns = Arc::clone(&turns);
            move || {
                while turns.queues.has_waiters(range()) {
                    parker.park(Duration::MAX);
                }
                turns.queues.pass_on(range());
            }
        });
        turns.leave(&waiter);
        waits.join().expect("no panic");
        turns.assert_free();
    });
}

/// A restart takes everybody out, also who was served and has not noticed; whoever has the turn passes it on meanwhile.
#[test]
fn a_restart_ends_each_once_and_loses_no_turn() {
    many_schedules(20_000, || {
        let turns: Arc<Turns> = Arc::default();
        assert!(turns.join().is_none());
        let waiter = turns.join().expect("taken");
        let waiting = thread::spawn({
            let turns = Arc::clone(&turns);
            move || match await_delivery(&waiter, Duration::MAX) {
                Delivery::Turn => turns.use_turn(),
                Delivery::Failed(LockError::Restarted) => {
                    turns.ended.fetch_add(1, Ordering::SeqCst);
                }
                delivery => panic!("{delivery:?}"),
            }
        });
        let restarting = thread::spawn({
            let turns = Arc::clone(&turns);
            move || {
                for (range, waiter) in turns.queues.take_waiters() {
                    match waiter.end() {
                        Parting::Wake(waker) => waker.wake(),
                        Parting::PassOn(Delivery::Turn) => turns.queues.pass_on(range),
                        Parting::PassOn(delivery) => panic!("{delivery:?}"),
                        Parting::Done => {}
                    }
                }
            }
        });
        turns.queues.pass_on(range());
        waiting.join().expect("no panic");
        restarting.join().expect("no panic");
        let (served, ended) = (turns.served.load(Ordering::SeqCst), turns.ended.load(Ordering::SeqCst));
        assert_eq!(served + ended, 1, "{served} served, {ended} ended");
        turns.assert_free();
    });
}

/// A thread that is told between two looks sleeps not a moment longer.
#[test]
fn a_parker_loses_no_wake_up() {
    every_schedule(1_000_000, || {
        let parker: Arc<Parker> = Arc::default();
        let telling = thread::spawn({
            let parker = Arc::clone(&parker);
            move || parker.unpark()
        });
        assert!(parker.park(Duration::MAX));
        telling.join().expect("no panic");
    });
}

/// A thread that is about to end, because nobody needed it, either ends or takes the job that it was given.
#[test]
fn each_job_runs_once_on_a_new_thread_or_an_old_one() {
    many_schedules(5_000, || {
        let waiters: &'static Waiters = Box::leak(Box::default());
        let ran: Arc<[AtomicU32; 3]> = Arc::default();
        let asking: Vec<_> = (0..ran.len())
            .map(|job| {
                let ran = Arc::clone(&ran);
                thread::spawn(move || {
                    let (caller, told) = (thread::current(), Arc::new(AtomicU32::new(0)));
                    let tells = Arc::clone(&told);
                    let run = move || {
                        ran[job].fetch_add(1, Ordering::SeqCst);
                        tells.store(1, Ordering::SeqCst);
                        caller.unpark();
                    };
                    waiters.run(run).expect("a thread");
                    // A job that nobody runs is a deadlock.
                    while told.load(Ordering::SeqCst) == 0 {
                        thread::park();
                    }
                })
            })
            .collect();
        for task in asking {
            task.join().expect("no panic");
        }
        for job in ran.iter() {
            assert_eq!(job.load(Ordering::SeqCst), 1);
        }
    });
}
