//! A worker: one process that acquires and releases, and keeps when. The parent's side is in `turn.rs`; `peers/worker.py` and
//! `peers/worker.js` are the same in other languages.
//!
//! It is started with `PEER DIR SESSION HOLD_US THINK_MAX_US START_NS UNTIL SEED OUT`. Times are of `CLOCK_MONOTONIC`, in ns.
//!
//! | UNTIL | What it does |
//! |---|---|
//! | a time | until then: think, and hold the lock for `HOLD_US` |
//! | `xN` | after N / 10 operations that are not counted: N, at once one after the other |
//!
//! It thinks asleep, for a random time up to `THINK_MAX_US`. It holds awake, looking at the clock: a sleep of 1 ms ends some 60 µs
//! late, on an idle processor, and so would hide the hand-over that is measured.
//!
//! OUT is little-endian `u64`: when it was ready, its processor time (ns) from start to end, its allocations in as many operations
//! as are timed (all ones where they are not counted), then for each operation when it asked, acquired, began to release, and had
//! released. With `xN` the two in the middle are 0, since each look at the clock costs some 50 ns, and allocations are counted
//! before, since that costs as well.

use crate::peers;
use nix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::Duration;

/// When an operation asked, acquired, began to release, and had released.
pub(crate) type Stamps = [u64; 4];

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now() -> u64 {
    nanoseconds(ClockId::CLOCK_MONOTONIC)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("a clock of every Linux");
    u64::try_from(Duration::from(time).as_nanos()).expect("it is not 500 years old")
}

/// The role.
pub(crate) fn run(arguments: &[String]) {
    let [peer, dir, session, hold_us, think_max_us, start, until, seed, out] = arguments else {
        panic!("PEER DIR SESSION HOLD_US THINK_MAX_US START_NS UNTIL SEED OUT, not {arguments:?}")
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let mut random = fastrand::Rng::with_seed(number(seed));
    let mut peer = peers::open(peer, Path::new(dir), session, number(seed));
    let (hold, think_max, start) = (1_000 * number(hold_us), 1_000 * number(think_max_us), number(start));
    let mut stamps: Vec<Stamps> = Vec::with_capacity(1 << 18);
    let ready = now();
    std::thread::sleep(Duration::from_nanos(start.saturating_sub(ready)));
    let (allocations, began);
    if let Some(count) = until.strip_prefix('x') {
        let count = number(count);
        let mut some = || (0..count / 20).for_each(|_| peer.hold(&mut || ()));
        some();
        allocations = allocation_counter::measure(&mut some).count_total * 20;
        began = processor_time();
        allocation_counter::opt_out(|| {
            for _ in 0..count {
                let asked = now();
                peer.hold(&mut || ());
                stamps.push([asked, 0, 0, now()]);
            }
        });
    } else {
        let until = number(until);
        allocations = u64::MAX;
        began = processor_time();
        allocation_counter::opt_out(|| {
            while now() < until {
                if think_max > 0 {
                    std::thread::sleep(Duration::from_nanos(random.u64(0..=think_max)));
                }
                let asked = now();
                let (mut acquired, mut releasing) = (0, 0);
                peer.hold(&mut || {
                    acquired = now();
                    releasing = acquired;
                    while releasing < acquired + hold {
                        releasing = now();
                    }
                });
                stamps.push([asked, acquired, releasing, now()]);
            }
        });
    }
    let cpu = processor_time() - began;
    let words = [ready, cpu, allocations].into_iter().chain(stamps.into_iter().flatten());
    std::fs::write(out, words.flat_map(u64::to_le_bytes).collect::<Vec<_>>()).expect("written");
}

/// Of this process, in nanoseconds.
fn processor_time() -> u64 {
    nanoseconds(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// The role of one who asks, acquires, says when, and holds until it is killed, or for a minute.
#[expect(clippy::print_stdout, reason = "its parent reads it")]
pub(crate) fn own(arguments: &[String]) {
    let [peer, dir, session] = arguments else { panic!("PEER DIR SESSION, not {arguments:?}") };
    let mut peer = peers::open(peer, Path::new(dir), session, u64::from(std::process::id()));
    println!("asking");
    peer.hold(&mut || {
        let acquired = now();
        println!("{acquired}");
        std::thread::sleep(Duration::from_mins(1));
    });
}
