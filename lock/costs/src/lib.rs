//! The operations whose costs are counted, cut into the parts that are counted one by one.
//!
//! Nothing here counts: a [`Meter`] is told where a part begins and ends.

#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

use session_lock::{Guard, LockDir, LockError, TryAcquire};
use std::future::{Future, IntoFuture};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll, Waker};
use std::thread::sleep;
use std::time::Duration;

/// Counts what a part costs. What lies between two parts is not counted.
pub trait Meter {
    /// Runs the part once.
    fn part(&mut self, name: &'static str, run: &mut dyn FnMut());
}

/// An operation that is counted.
#[derive(Debug)]
pub struct Operation {
    /// What it is called on the command line and in the record.
    pub name: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// Its parts, in the order in which a round has them.
    pub parts: &'static [&'static str],
    /// It reads of /proc what is the machine's, which may be any number of mounts and locks: only its system calls are
    /// compared, and several reads in a row count as one.
    pub reads_the_machine: bool,
    run: fn(&Place, &mut dyn Meter),
}

/// All that are counted.
pub const OPERATIONS: [Operation; 6] = [
    Operation {
        name: "uncounted",
        what: "nobody else, counters off",
        parts: &["acquire", "release"],
        run: |place, meter| uncontended(place, &place.uncounted, meter),
        ..COMMON
    },
    Operation {
        name: "uncontended",
        what: "nobody else",
        parts: &["acquire", "release"],
        run: |place, meter| uncontended(place, &place.locks, meter),
        ..COMMON
    },
    Operation {
        name: "hand-over",
        what: "from a task to the next one of the same process",
        parts: &["wait", "release", "acquire"],
        run: hand_over,
        ..COMMON
    },
    Operation { name: "busy", what: "a try, while another process holds", parts: &["try"], run: busy, ..COMMON },
    Operation { name: "takeover", what: "the claim of a killed owner", parts: &["acquire"], run: takeover, ..COMMON },
    Operation {
        name: "inspect",
        what: "a lock that another process holds",
        parts: &["inspect"],
        reads_the_machine: true,
        run: inspect,
    },
];

const COMMON: Operation = Operation { name: "", what: "", parts: &[], reads_the_machine: false, run: |_, _| () };

const WARM_UP: u32 = 10;

const SESSION: &str = "s";
/// See [`Place::settle`].
const OTHER: &str = "other";
/// By then what was planned has been done.
const PLANNED: Duration = Duration::from_millis(15);
/// A wait from a millisecond on is remembered. Without this it would be the machine's affair whether it is one.
const TOLD: Duration = Duration::from_millis(2);

/// Where operations are done, and with what.
#[derive(Debug)]
pub struct Place {
    locks: LockDir,
    uncounted: LockDir,
    /// The program that holds locks for others to meet.
    holder: PathBuf,
}

impl Place {
    /// A place in an empty directory; `holder` is the program `operation`.
    ///
    /// # Panics
    ///
    /// If there is no lock to be had in this directory.
    #[must_use]
    pub fn new(dir: &Path, holder: PathBuf) -> Self {
        let uncounted = LockDir::options().without_counters().open(dir).expect("a directory for locks");
        // However slow the program is that is counted.
        let locks = LockDir::options().tenure(Duration::from_hours(1)).open(dir).expect("a directory for locks");
        Self { locks, uncounted, holder }
    }

    /// Warms up (a process keeps a spare claim from its eighth hold on), and then does the operation so many times, in
    /// its parts.
    pub fn run(&self, operation: &Operation, rounds: u32, meter: &mut dyn Meter) {
        for _ in 0..WARM_UP {
            (operation.run)(self, &mut Idle);
        }
        for _ in 0..rounds {
            (operation.run)(self, meter);
        }
    }

    /// Does what is due every few milliseconds (the counters' next write is planned), so that it is due in no part.
    fn settle(&self) {
        sleep(PLANNED);
        self.locks.lock(OTHER).blocking().expect("free").release().expect("released");
    }

    /// Another process that holds the lock.
    fn holder(&self) -> Holder {
        let mut command = Command::new(&self.holder);
        command.arg("hold").arg(self.locks.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts");
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut said).expect("readable");
        assert_eq!(said, "holding\n");
        Holder(child)
    }
}

/// Counts nothing.
struct Idle;

impl Meter for Idle {
    fn part(&mut self, _: &'static str, run: &mut dyn FnMut()) {
        run();
    }
}

struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().expect("our own child");
        self.0.wait().expect("our own child");
    }
}

/// Holds the lock until its standard input ends.
///
/// # Panics
///
/// If the lock cannot be had.
#[expect(clippy::print_stdout, reason = "who started it waits for the line")]
pub fn hold(dir: &Path) {
    let guard = LockDir::open(dir).expect("a directory for locks").lock(SESSION).blocking().expect("free");
    println!("holding");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("readable");
    guard.release().expect("released");
}

fn uncontended(place: &Place, locks: &LockDir, meter: &mut dyn Meter) {
    place.settle();
    let mut guard = None;
    meter.part("acquire", &mut || guard = Some(locks.lock(SESSION).blocking().expect("free")));
    meter.part("release", &mut || guard.take().expect("held").release().expect("released"));
}

fn hand_over(place: &Place, meter: &mut dyn Meter) {
    place.settle();
    let first = place.locks.lock(SESSION).blocking().expect("free");
    let mut next = pin!(place.locks.lock(SESSION).into_future());
    assert!(polled(next.as_mut()).is_none());
    // The first one in a row also takes the tokens of those that follow.
    first.release().expect("released");
    let mut guard = polled(next);
    let mut next = pin!(place.locks.lock(SESSION).into_future());
    meter.part("wait", &mut || assert!(polled(next.as_mut()).is_none()));
    sleep(TOLD);
    meter.part("release", &mut || guard.take().expect("handed over").release().expect("released"));
    meter.part("acquire", &mut || guard = polled(next.as_mut()));
    guard.expect("handed over").release().expect("released");
}

fn polled(acquire: Pin<&mut impl Future<Output = Result<Guard, LockError>>>) -> Option<Guard> {
    match acquire.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(acquired) => Some(acquired.expect("no error")),
        Poll::Pending => None,
    }
}

fn busy(place: &Place, meter: &mut dyn Meter) {
    let _holder = place.holder();
    place.settle();
    meter.part("try", &mut || {
        let tried = place.locks.try_lock(SESSION).expect("a lock");
        assert!(matches!(tried, TryAcquire::Busy(_)));
    });
}

fn inspect(place: &Place, meter: &mut dyn Meter) {
    let _holder = place.holder();
    place.settle();
    meter.part("inspect", &mut || {
        let found = place.locks.inspect(SESSION).expect("a lock");
        assert!(found.holder.is_some());
    });
}

fn takeover(place: &Place, meter: &mut dyn Meter) {
    drop(place.holder());
    place.settle();
    let mut guard = None;
    meter.part("acquire", &mut || guard = Some(place.locks.lock(SESSION).blocking().expect("its owner is dead")));
    guard.take().expect("held").release().expect("released");
}
