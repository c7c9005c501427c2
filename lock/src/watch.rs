//! The watcher: one thread and one inotify instance per process. It looks after claims that are held, ends or reports holds
//! that last too long, and tells waiter threads when a foreign claim may have changed.
//!
//! A hold costs nothing here while it is young: it is put on a list, and the watcher, which ticks while there are any,
//! watches the claim's inode once the hold is old enough. A claim that cannot be watched (too many watches, or no inotify
//! instance left for this user) stays on the list and is looked at with each tick, or more rarely when that takes long.

use crate::directory::Directory;
use crate::hold::{Hold, Looked};
use crate::metrics::LATER;
use crate::name::Session;
use crate::process::lock;
use crate::queue::Parker;
use crate::sys;
use crate::sys::inotify::{Inotify, Noticed, WatchId};
use crate::sys::sync::atomic::{AtomicBool, Ordering};
use crate::sys::sync::{Mutex, thread};
use crate::waiters::STACK;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(10);
/// A hold that has lasted this long is worth a watch.
const WATCH_AFTER: Duration = Duration::from_millis(20);
/// Looks take at most one part in this many of the watcher's time, however many claims cannot be watched.
const SHARE_OF_LOOKS: u32 = 20;
/// A look that took long because the process was stopped is no reason to rest for as long.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Ticks without any young hold before the watcher sleeps until it is woken.
const QUIET_TICKS: u32 = 50;

#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: Inotify,
    watches: Mutex<HashMap<WatchId, Vec<Subscriber>>>,
    holds: Mutex<Holds>,
    /// What is to be done at a time; the numbers tell those of one instant apart.
    timers: Mutex<BTreeMap<(Instant, u64), Timer>>,
    asleep: AtomicBool,
    started: Mutex<bool>,
}

/// The holds of this process, by the numbers of their requests.
#[derive(Debug, Default)]
struct Holds {
    all: BTreeMap<u64, Weak<Hold>>,
    /// Those that are not watched yet.
    young: Vec<u64>,
}

#[derive(Debug)]
enum Timer {
    EndHold(Weak<Hold>),
    Flush(Weak<Directory>),
}

#[derive(Clone, Debug)]
enum Subscriber {
    Waiter(Arc<Parker>),
    Hold(Weak<Hold>),
}

/// A waiter's watch; ends when it is dropped.
pub(crate) struct Watch<'a> {
    watcher: &'a Watcher,
    id: WatchId,
    parker: Arc<Parker>,
}

impl Watcher {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: Inotify::new()?,
            watches: Mutex::default(),
            holds: Mutex::default(),
            timers: Mutex::default(),
            asleep: AtomicBool::new(false),
            started: Mutex::default(),
        })
    }

    /// Starts the thread, if it does not run yet.
    pub(crate) fn start(&'static self) -> io::Result<()> {
        let mut started = lock(&self.started);
        if !*started {
            let thread = thread::Builder::new().name("session-lock-watch".into()).stack_size(STACK);
            thread.spawn(|| self.run())?;
            *started = true;
        }
        Ok(())
    }

    /// Knows a new hold.
    pub(crate) fn remember(&self, hold: &Arc<Hold>) {
        let number = hold.request.number;
        let mut holds = lock(&self.holds);
        holds.all.insert(number, Arc::downgrade(hold));
        holds.young.push(number);
    }

    /// Forgets a hold whose claim is gone, or another hold's.
    pub(crate) fn forget(&self, hold: &Hold) {
        let number = hold.request.number;
        let mut holds = lock(&self.holds);
        holds.all.remove(&number);
        // Mostly the one that came last.
        if let Some(at) = holds.young.iter().rposition(|other| *other == number) {
            holds.young.swap_remove(at);
        }
    }

    /// All holds that there are.
    pub(crate) fn holds(&self) -> Vec<Arc<Hold>> {
        lock(&self.holds).all.values().filter_map(Weak::upgrade).collect()
    }

    /// Looks after a new hold.
    pub(crate) fn look_after(&self, hold: &Arc<Hold>) {
        if let Some(end) = hold.end_at() {
            lock(&self.timers).insert((end, hold.request.number), Timer::EndHold(Arc::downgrade(hold)));
        }
        self.wake();
    }

    /// Flushes the directory's counters in a moment.
    pub(crate) fn flush_later(&self, directory: &Arc<Directory>) {
        if let Some(at) = sys::clock::now().checked_add(LATER) {
            lock(&self.timers).insert((at, directory.process.number()), Timer::Flush(Arc::downgrade(directory)));
            self.wake();
        }
    }

    fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.inotify.wake();
        }
    }

    /// Unparks `parker` when the file that is at the claim's path now may have changed. `None` if it cannot be watched:
    /// whoever waits looks by itself from time to time.
    pub(crate) fn watch_claim(
        &self,
        directory: &Directory,
        session: &Session,
        parker: &Arc<Parker>,
    ) -> Option<Watch<'_>> {
        let id = self.subscribe(directory, session, Subscriber::Waiter(Arc::clone(parker)))?;
        Some(Watch { watcher: self, id, parker: Arc::clone(parker) })
    }

    fn subscribe(&self, directory: &Directory, session: &Session, subscriber: Subscriber) -> Option<WatchId> {
        let mut watches = lock(&self.watches);
        let id = self.inotify.watch(&directory.fd, session.claim_name()).ok()?;
        let subscribers = watches.entry(id).or_default();
        if !subscribers.iter().any(|other| other.is(&subscriber)) {
            subscribers.push(subscriber);
        }
        Some(id)
    }

    fn run(&self) {
        let (mut quiet, mut rest_until) = (0, sys::clock::now());
        loop {
            let timeout = if quiet < QUIET_TICKS { Some(TICK) } else { self.fall_asleep() };
            let next_timer = lock(&self.timers).first_key_value().map(|((at, _), _)| sys::clock::until(*at));
            if self.inotify.wait(timeout.into_iter().chain(next_timer).min()).is_err() {
                sys::clock::pause(TICK);
            }
            self.asleep.store(false, Ordering::SeqCst);
            self.tell_subscribers();
            self.run_timers();
            let began = sys::clock::now();
            // The ticks go on meanwhile, because a new hold may have to end before that.
            if began < rest_until {
                continue;
            }
            quiet = if self.look_at_young() { 0 } else { quiet.saturating_add(1) };
            let ended = sys::clock::now();
            let took = ended.saturating_duration_since(began);
            rest_until = ended + took.saturating_mul(SHARE_OF_LOOKS).min(LONGEST_REST);
        }
    }

    /// Everything that it does between two sleeps, for the tests of schedules.
    #[cfg(all(test, session_lock_shuttle))]
    pub(crate) fn look(&self) {
        self.tell_subscribers();
        self.run_timers();
        self.look_at_young();
    }

    /// How long to sleep: without end, unless a hold came in meanwhile.
    fn fall_asleep(&self) -> Option<Duration> {
        self.asleep.store(true, Ordering::SeqCst);
        if lock(&self.holds).young.is_empty() { None } else { Some(TICK) }
    }

    fn tell_subscribers(&self) {
        let mut told = Vec::new();
        let mut watches = lock(&self.watches);
        let drained = self.inotify.drain(|noticed| match noticed {
            Noticed::Changed(watch) => told.extend(watches.get(&watch).into_iter().flatten().cloned()),
            Noticed::Ended(watch) => told.extend(watches.remove(&watch).unwrap_or_default()),
            Noticed::Overflow => told.extend(watches.values().flatten().cloned()),
        });
        if drained.is_err() {
            told.extend(watches.values().flatten().cloned());
        }
        drop(watches);
        for subscriber in told {
            match subscriber {
                Subscriber::Waiter(parker) => parker.unpark(),
                // Healing may make a new file, so the hold is young again and gets a new watch.
                Subscriber::Hold(hold) => {
                    let Some(hold) = hold.upgrade() else { continue };
                    if !matches!(hold.heal(), Ok(Looked::Over)) {
                        lock(&self.holds).young.push(hold.request.number);
                    }
                }
            }
        }
    }

    fn run_timers(&self) {
        let now = sys::clock::now();
        loop {
            let timer = {
                let mut timers = lock(&self.timers);
                let Some(first) = timers.first_entry().filter(|first| first.key().0 <= now) else { return };
                first.remove()
            };
            match timer {
                Timer::EndHold(hold) => {
                    if let Some(hold) = hold.upgrade() {
                        hold.exceed();
                    }
                }
                Timer::Flush(directory) => {
                    if let Some(directory) = directory.upgrade().filter(|directory| directory.recorder.flush(directory))
                    {
                        self.flush_later(&directory);
                    }
                }
            }
        }
    }

    /// Watches the holds that are old enough. True if there are any holds to look at.
    fn look_at_young(&self) -> bool {
        let young: Vec<_> = {
            let mut holds = lock(&self.holds);
            let Holds { all, young } = &mut *holds;
            young.drain(..).filter_map(|number| all.get(&number)?.upgrade()).collect()
        };
        let any = !young.is_empty();
        for hold in young.into_iter().filter(|hold| !self.watch_hold(hold)) {
            lock(&self.holds).young.push(hold.request.number);
        }
        any
    }

    /// True if the hold needs no more looks.
    fn watch_hold(&self, hold: &Arc<Hold>) -> bool {
        if hold.is_over() {
            return true;
        }
        if hold.age() < WATCH_AFTER {
            return false;
        }
        let watch = self.subscribe(hold.directory(), &hold.request.session, Subscriber::Hold(Arc::downgrade(hold)));
        // A restored claim is another file than the one that was watched.
        if let Some(before) = watch.and_then(|watch| hold.set_watch(watch)).filter(|before| Some(*before) != watch) {
            self.unsubscribe(before, &Subscriber::Hold(Arc::downgrade(hold)));
        }
        // Only after the watch is there: what happened before it is seen now.
        let looked = hold.heal().ok();
        if looked == Some(Looked::Over) {
            self.unwatch(hold);
            return true;
        }
        watch.is_some() && looked.is_some()
    }

    /// Forgets a hold that is over.
    pub(crate) fn stop_looking_after(&self, hold: &Arc<Hold>) {
        if let Some(end) = hold.end_at() {
            lock(&self.timers).remove(&(end, hold.request.number));
        }
        self.unwatch(hold);
    }

    /// Ends the watch of a hold: a claim that is kept as a spare would go on reporting.
    fn unwatch(&self, hold: &Arc<Hold>) {
        if let Some(watch) = hold.take_watch() {
            self.unsubscribe(watch, &Subscriber::Hold(Arc::downgrade(hold)));
        }
    }

    fn unsubscribe(&self, id: WatchId, subscriber: &Subscriber) {
        let mut watches = lock(&self.watches);
        let Some(subscribers) = watches.get_mut(&id) else { return };
        subscribers.retain(|other| !other.is(subscriber));
        if subscribers.is_empty() {
            watches.remove(&id);
            // Fails only for a watch that the kernel ended itself.
            self.inotify.unwatch(id).ok();
        }
    }
}

impl Subscriber {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Waiter(one), Self::Waiter(other)) => Arc::ptr_eq(one, other),
            (Self::Hold(one), Self::Hold(other)) => Weak::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.watcher.unsubscribe(self.id, &Subscriber::Waiter(Arc::clone(&self.parker)));
    }
}
