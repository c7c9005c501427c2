//! A long random history that holds every event and every fault, of a lock that works: not one alarm. Then the same with
//! one theft in it.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::ValueEnum;
use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, NOBODY, Record};
use session_lock_stress::oracle::{Cause, Findings, Kind, Oddities, Oracle, Setup, Tokens};

const LOCKS: u16 = 3;
const OURS: u16 = 6;
const CREW: u16 = 9;
const ROUNDS: u32 = 100_000;

struct World {
    oracle: Oracle,
    random: fastrand::Rng,
    incarnations: Vec<u32>,
    next: u32,
    now_us: u64,
    tokens: [u64; LOCKS as usize],
    completed: [u64; LOCKS as usize],
    seen: BTreeSet<(&'static str, Option<Fault>)>,
}

impl World {
    fn put(&mut self, event: Event, fault: Option<Fault>, worker: u16, lock: u16, detail: i32) {
        let incarnation = self.incarnations.get(usize::from(worker)).copied().unwrap_or(0);
        let token = match event {
            Event::Acquired if worker < OURS => {
                self.tokens[usize::from(lock)] += 1;
                self.tokens[usize::from(lock)]
            }
            _ => 0,
        };
        self.now_us += self.random.u64(..50);
        let record = Record { event, fault, worker, incarnation, lock, token, at_us: self.now_us, detail };
        self.seen.insert((event.name(), fault));
        self.oracle.observe(Record::decode(&record.encode()));
    }

    fn own(&mut self, event: Event, worker: u16, lock: u16) {
        self.put(event, None, worker, lock, 0);
    }

    fn hire(&mut self, worker: u16) {
        self.incarnations[usize::from(worker)] = self.next;
        self.next += 1;
        self.own(Event::Start, worker, 0);
    }

    fn bury(&mut self, fault: Fault, worker: u16) {
        self.put(Event::Kill, Some(fault), worker, 0, 0);
        self.put(Event::Exit, None, worker, 0, -9);
        self.hire(worker);
    }

    fn outside(&mut self, fault: Fault, lock: u16) {
        self.put(Event::Strike, Some(fault), NOBODY, lock, 0);
        if fault == Fault::DeleteState {
            self.tokens = [0; LOCKS as usize];
        }
        self.put(Event::Relieve, Some(fault), NOBODY, lock, 0);
    }

    /// What may happen to a holder. Whether it holds no longer.
    fn befall(&mut self, worker: u16, lock: u16) -> bool {
        let deadly =
            [Fault::Kill, Fault::KillInside, Fault::PidReuse, Fault::GroupKill, Fault::Restart, Fault::TimeNamespace];
        let still = [Fault::Stop, Fault::LongStop, Fault::Freeze, Fault::Pause];
        match self.random.u8(..=12) {
            0 => {
                self.own(Event::Caught, worker, lock);
                let fault = self.random.choice(deadly).expect("there are some");
                self.bury(fault, worker);
                if fault == Fault::PidReuse {
                    self.put(Event::Strike, Some(fault), worker, 0, 0);
                }
                return true;
            }
            1 if worker < OURS => {
                self.put(Event::Exec, Some(Fault::Exec), worker, lock, 0);
                self.own(Event::Start, worker, 0);
                return true;
            }
            2 if worker < OURS => self.put(Event::Forked, Some(Fault::Fork), worker, lock, 0),
            3 | 4 => {
                let fault = self.random.choice(still);
                self.put(Event::Stop, fault, worker, 0, 2_000_000);
                self.now_us += 2_000_000;
                let waiter = (worker + 1) % CREW;
                self.put(Event::Timeout, None, waiter, lock, 1_500_000);
                self.put(Event::Continue, fault, worker, 0, 0);
            }
            5 => self.outside(Fault::TruncateClaim, lock),
            6 if worker < OURS => {
                let fault = self.random.choice([Fault::DeleteClaim, Fault::ReplaceClaim]).expect("there are some");
                self.outside(fault, lock);
                self.own(Event::Releasing, worker, lock);
                self.completed[usize::from(lock)] += 1;
                self.own(Event::Lost, worker, lock);
                return true;
            }
            7 => self.outside(Fault::DeleteState, 0),
            8 => self.outside(Fault::ClockJump, 0),
            _ => {}
        }
        false
    }

    /// What may happen to somebody who waits.
    fn fail(&mut self, worker: u16, lock: u16) {
        match self.random.u8(..20) {
            0 => self.own(Event::Cancelled, worker, lock),
            1 => {
                let fault = self.random.choice([Fault::DiskFull, Fault::InodesFull]);
                self.put(Event::Strike, fault, NOBODY, 0, 0);
                self.put(Event::Error, None, worker, lock, 28);
                self.put(Event::Relieve, fault, NOBODY, 0, 0);
            }
            2 => {
                self.put(Event::Strike, Some(Fault::NoDescriptors), worker, 0, 0);
                self.put(Event::Error, None, worker, lock, 24);
                self.put(Event::Relieve, Some(Fault::NoDescriptors), worker, 0, 0);
            }
            3 => self.bury(Fault::Kill, worker),
            _ => {}
        }
    }

    fn round(&mut self, theft: bool) {
        let (worker, lock) = (self.random.u16(..CREW), self.random.u16(..LOCKS));
        self.fail((worker + 1) % CREW, lock);
        self.own(Event::Acquired, worker, lock);
        if theft {
            let thief = (worker + 1) % OURS;
            self.own(Event::Acquired, thief, lock);
            self.own(Event::Releasing, thief, lock);
            self.completed[usize::from(lock)] += 1;
        } else if self.random.u8(..10) == 0 && self.befall(worker, lock) {
            return;
        }
        self.own(Event::Releasing, worker, lock);
        self.completed[usize::from(lock)] += 1;
        if worker >= OURS {
            self.own(Event::Released, worker, lock);
        }
    }

    fn all(seed: u64, theft: Option<u32>) -> (Findings, BTreeSet<(&'static str, Option<Fault>)>) {
        let setup = Setup { locks: LOCKS, tokens: Tokens::Grow, older_from: OURS, grace: Duration::from_secs(1) };
        let mut world = Self {
            oracle: Oracle::new(setup),
            random: fastrand::Rng::with_seed(seed),
            incarnations: vec![0; usize::from(CREW)],
            next: 1,
            now_us: 0,
            tokens: [0; LOCKS as usize],
            completed: [0; LOCKS as usize],
            seen: BTreeSet::new(),
        };
        (0..CREW).for_each(|worker| world.hire(worker));
        for round in 0..ROUNDS {
            world.round(theft == Some(round));
        }
        for worker in 0..CREW {
            world.own(Event::Done, worker, 0);
            world.own(Event::Exit, worker, 0);
        }
        (world.oracle.finish(&world.completed), world.seen)
    }
}

#[test]
fn a_long_random_history_is_judged_right() {
    let seed = 20_260_713;
    eprintln!("seed {seed}");
    let (findings, met) = World::all(seed, None);
    for event in Event::ALL {
        assert!(met.iter().any(|(name, _)| *name == event.name()), "{} is missing", event.name());
    }
    for fault in Fault::value_variants() {
        assert!(findings.faults.get(fault).is_some_and(|count| *count > 10), "{fault:?}: {:?}", findings.faults);
    }
    assert_eq!(findings.stories, []);
    assert_eq!((findings.violations, findings.inherent_overlaps()), (0, 0));
    assert_eq!(findings.oddities, Oddities::default());
    let Findings { explained, errors, timeouts, lost, takeovers, takeovers_of_older, .. } = findings;
    assert_eq!((explained.errors, explained.timeouts, explained.lost), (errors, timeouts, lost), "all is explained");
    assert!(errors > 500 && timeouts > 500 && lost > 200, "{errors} errors, {timeouts} timeouts, {lost} lost");
    assert!(takeovers > 500 && takeovers_of_older > 100, "{takeovers} takeovers, {takeovers_of_older} of older peers");

    let (findings, _) = World::all(seed, Some(60_000));
    assert_eq!(findings.violations, 1, "{:?}", findings.stories);
    assert_eq!(findings.stories[0].kind, Kind::Overlap);
    assert_eq!(findings.stories[0].overlap.map(|overlap| overlap.cause), Some(Cause::Unexplained));
}
