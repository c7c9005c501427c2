//! What an uncontended acquire costs while others hold other locks of the directory, beside a directory in which nobody does.

use super::cost::{percentile, us};
use super::member::{Member, raise_descriptors, ready, told};
use crate::floor::Floor;
use crate::report::{Figure, Report, Unit};
use crate::run::{Place, Run};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use session_lock::LockDir;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

const SECTION: &str = "held";
const WHAT: &str = "acquire + release p50, other locks held";
const COUNTS: [u64; 4] = [0, 10, 1_000, 10_000];
/// A hold takes a descriptor, and so does each of 256 arbiters.
const PER_HOLDER: u64 = 2_500;
/// The locks that are measured lie on several arbiters.
const MEASURED: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

pub(crate) fn run(run: &Run, report: &mut Report) {
    for place in &run.places {
        measure(run, place, report);
    }
}

fn measure(run: &Run, place: &Place, report: &mut Report) {
    let (rounds, operations) = (run.either(30, 8), run.either(400, 200));
    let [without, with, floor, ranges] = ["without", "with", "floor", "ranges"].map(|name| place.fresh(name));
    let locks = [&without, &with].map(|dir| LockDir::open(dir.path()).expect("a directory for locks"));
    let mut bare = Floor::new(floor.path(), "s", 0);
    let one_file = open_ranges(ranges.path());
    let (mut holders, mut held) = (Vec::new(), 0);
    for count in COUNTS {
        while held < count {
            let next = held..count.min(held + PER_HOLDER);
            held = next.end;
            holders.push(holder(run, with.path(), next));
        }
        let _of_one_file = holder_of_ranges(run, ranges.path(), count);
        let mut samples: [Vec<f64>; 4] = Default::default();
        for round in 0..=rounds {
            let p50 = [
                p50(operations, |nth| acquire_and_release(&locks[0], nth)),
                p50(operations, |nth| acquire_and_release(&locks[1], nth)),
                p50(operations, |_| {
                    bare.acquire();
                    bare.release();
                    bare.count();
                }),
                p50(operations / 4, |_| {
                    lock(&one_file, libc::F_WRLCK, 1);
                    lock(&one_file, libc::F_UNLCK, 1);
                }),
            ];
            // The first makes what is made once.
            if round > 0 {
                samples.iter_mut().zip(p50).for_each(|(samples, p50)| samples.push(us(p50)));
            }
        }
        let ratios: Vec<_> = samples[1].iter().zip(&samples[0]).map(|(with, without)| with / without).collect();
        let subjects = ["session-lock, none held", "session-lock", "floor, none held", "OFD locks on one file"]
            .iter()
            .zip(&samples);
        let figure = |subject: &str, what: &str, unit, samples: &[f64]| {
            Figure::of(SECTION, &place.file_system, subject, what, unit, samples).at(count)
        };
        report.figures.extend(subjects.map(|(subject, samples)| figure(subject, WHAT, Unit::Microseconds, samples)));
        report.figures.push(figure("session-lock", "held / none held", Unit::Ratio, &ratios));
    }
}

fn p50(operations: usize, mut operation: impl FnMut(usize)) -> Duration {
    let time = |nth| {
        let began = Instant::now();
        operation(nth);
        began.elapsed()
    };
    percentile(&mut (0..operations).map(time).collect::<Vec<_>>(), 50)
}

fn acquire_and_release(locks: &LockDir, nth: usize) {
    locks.lock(MEASURED[nth % MEASURED.len()]).blocking().expect("free").release().expect("released");
}

/// The session of this number, which is none of those that are measured.
pub(super) fn session(nth: u64) -> String {
    format!("session-{nth:06}.jsonl")
}

/// A process that holds these sessions until it is dropped, which kills it.
pub(super) fn holder(run: &Run, dir: &Path, sessions: Range<u64>) -> Member {
    let mut command = run.role("hold");
    command.arg(dir).args([sessions.start.to_string(), sessions.end.to_string()]);
    Member::start(command)
}

/// Holds the sessions that it is told.
pub(crate) fn hold(arguments: &[String]) {
    let [dir, first, end] = arguments else { panic!("{arguments:?}") };
    let number = |text: &String| text.parse::<u64>().expect("a number");
    raise_descriptors();
    let locks = LockDir::open(dir).expect("a directory for locks");
    let guards: Vec<_> =
        (number(first)..number(end)).map(|nth| locks.lock(&session(nth)).blocking().expect("free")).collect();
    ready();
    told();
    drop(guards);
}

fn holder_of_ranges(run: &Run, dir: &Path, count: u64) -> Member {
    let mut command = run.role("hold-ranges");
    command.arg(dir).arg(count.to_string());
    Member::start(command)
}

/// Holds that many bytes of one file, with gaps, so that the kernel keeps them apart.
pub(crate) fn hold_ranges(arguments: &[String]) {
    let [dir, count] = arguments else { panic!("{arguments:?}") };
    let file = open_ranges(Path::new(dir));
    let count: i64 = count.parse().expect("a number");
    (1..=count).for_each(|nth| lock(&file, libc::F_WRLCK, 4 * nth));
    ready();
    told();
}

/// Locks or unlocks one byte, as `F_WRLCK` or `F_UNLCK` say. Nobody else has it.
fn lock(file: &File, kind: libc::c_int, offset: i64) {
    let kind = libc::c_short::try_from(kind).expect("a lock type is small");
    let lock = libc::flock { l_type: kind, l_whence: 0, l_start: offset, l_len: 1, l_pid: 0 };
    fcntl(file, FcntlArg::F_OFD_SETLKW(&lock)).expect("free");
}

fn open_ranges(dir: &Path) -> File {
    File::options().create(true).truncate(false).read(true).write(true).open(dir.join("ranges")).expect("create")
}
