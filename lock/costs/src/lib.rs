//! The operations whose costs are counted, cut into the parts that are counted one by one.
//!
//! Nothing here counts: a [`Meter`] is told where a part begins and ends.

use session_lock::{LockDir, TryAcquire};
use std::future::{Future, IntoFuture};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll, Waker};

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
    /// Rounds until it costs what it will cost from then on.
    pub warm_up: u32,
    run: fn(&Place, &mut dyn Meter),
}

/// All that are counted.
pub const OPERATIONS: [Operation; 6] = [
    Operation {
        name: "uncounted",
        what: "uncontended, counters off",
        parts: &["acquire", "release"],
        warm_up: 50,
        run: |place, meter| uncontended(&place.uncounted, meter),
    },
    Operation {
        name: "uncontended",
        what: "uncontended",
        parts: &["acquire", "release"],
        warm_up: 50,
        run: |place, meter| uncontended(&place.locks, meter),
    },
    Operation {
        name: "hand-over",
        what: "from one task to the next of the same process",
        parts: &["wait", "release", "acquire"],
        warm_up: 50,
        run: hand_over,
    },
    Operation { name: "busy", what: "a try while another process holds", parts: &["try"], warm_up: 3, run: busy },
    Operation { name: "inspect", what: "a lock that another process holds", parts: &["inspect"], warm_up: 3, run: inspect },
    Operation { name: "takeover", what: "the claim of a killed owner", parts: &["acquire"], warm_up: 3, run: takeover },
];

const SESSION: &str = "s";

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
        Self { locks: LockDir::open(dir).expect("a directory for locks"), uncounted, holder }
    }

    /// Does the operation once, in its parts.
    pub fn run(&self, operation: &Operation, meter: &mut dyn Meter) {
        (operation.run)(self, meter);
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

fn uncontended(locks: &LockDir, meter: &mut dyn Meter) {
    let mut guard = None;
    meter.part("acquire", &mut || guard = Some(locks.lock(SESSION).blocking().expect("free")));
    meter.part("release", &mut || guard.take().expect("held").release().expect("released"));
}

fn hand_over(place: &Place, meter: &mut dyn Meter) {
    let mut context = Context::from_waker(Waker::noop());
    let mut guard = Some(place.locks.lock(SESSION).blocking().expect("free"));
    let mut waiter = pin!(place.locks.lock(SESSION).into_future());
    meter.part("wait", &mut || assert!(waiter.as_mut().poll(&mut context).is_pending()));
    meter.part("release", &mut || guard.take().expect("held").release().expect("released"));
    meter.part("acquire", &mut || match waiter.as_mut().poll(&mut context) {
        Poll::Ready(acquired) => guard = Some(acquired.expect("its turn")),
        Poll::Pending => panic!("it is handed over without a wait"),
    });
    guard.take().expect("held").release().expect("released");
}

fn busy(place: &Place, meter: &mut dyn Meter) {
    let _holder = place.holder();
    meter.part("try", &mut || {
        let tried = place.locks.try_lock(SESSION).expect("a lock");
        assert!(matches!(tried, TryAcquire::Busy(_)));
    });
}

fn inspect(place: &Place, meter: &mut dyn Meter) {
    let _holder = place.holder();
    meter.part("inspect", &mut || {
        let found = place.locks.inspect(SESSION).expect("a lock");
        assert!(found.holder.is_some());
    });
}

fn takeover(place: &Place, meter: &mut dyn Meter) {
    drop(place.holder());
    let mut guard = None;
    meter.part("acquire", &mut || guard = Some(place.locks.lock(SESSION).blocking().expect("its owner is dead")));
    guard.take().expect("held").release().expect("released");
}
