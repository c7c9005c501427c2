//! The machine's wall clock, made to jump and set right again.
//!
//! What is right is told by the clock of the time since the boot: nobody can set that one, and it goes on while the machine
//! is suspended, so the distance between the two, noted before the first jump, is the truth. A jump back and forth by
//! differences would add up each one's error.

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};

const SECOND_NS: i64 = 1_000_000_000;
/// A jump is at least that long, and at most [`LONGEST_S`].
const SHORTEST_S: i64 = 60;
const LONGEST_S: i64 = 2 * 60 * 60;

/// Less than this away from the truth is not ours: somebody disciplines the clock.
const OURS_NS: i64 = SHORTEST_S / 2 * SECOND_NS;
/// More than this away from the truth before a jump: somebody has set or disciplined the clock, and theirs is the truth now.
const THEIRS_NS: i64 = SECOND_NS / 1_000;

#[derive(Debug)]
pub(super) struct WallClock {
    truth_ns: i64,
}

impl WallClock {
    /// Notes what is right, and tries whether the clock can be set: to what it shows.
    pub(super) fn prepare() -> anyhow::Result<Self> {
        let truth_ns = offset_ns()?;
        set(truth_ns).context("clock jumps need CAP_SYS_TIME: be root, and in no user namespace")?;
        Ok(Self { truth_ns })
    }

    pub(super) fn truth_ns(&self) -> i64 {
        self.truth_ns
    }

    /// By a minute to two hours, ahead or back.
    pub(super) fn jump(&mut self, random: &mut fastrand::Rng) -> anyhow::Result<()> {
        let shown_ns = offset_ns()?;
        if (THEIRS_NS..OURS_NS).contains(&(shown_ns - self.truth_ns).abs()) {
            self.truth_ns = shown_ns;
        }
        let by_ns = random.i64(SHORTEST_S * SECOND_NS..=LONGEST_S * SECOND_NS);
        Ok(set(self.truth_ns + if random.bool() { by_ns } else { -by_ns })?)
    }

    pub(super) fn set_right(&self) -> anyhow::Result<()> {
        Ok(set(self.truth_ns)?)
    }
}

/// Sets the wall clock right if it is as wrong as a jump makes it. For a process that outlives the supervisor, in its time
/// namespace; `truth_ns`: the supervisor's [`super::Saboteur::clock_truth_ns`].
pub(crate) fn undo_clock(truth_ns: i64) -> anyhow::Result<()> {
    if (offset_ns()? - truth_ns).abs() >= OURS_NS {
        set(truth_ns).context("cannot set the wall clock right")?;
    }
    Ok(())
}

/// By how much the wall clock is ahead of the time since the boot, to about a microsecond.
fn offset_ns() -> Result<i64, Errno> {
    let mut best = (i64::MAX, 0);
    for _ in 0..8 {
        let before = now_ns(ClockId::CLOCK_BOOTTIME)?;
        let wall = now_ns(ClockId::CLOCK_REALTIME)?;
        let took = now_ns(ClockId::CLOCK_BOOTTIME)? - before;
        best = best.min((took, wall - before - took / 2));
    }
    Ok(best.1)
}

fn set(offset_ns: i64) -> Result<(), Errno> {
    let wall_ns = now_ns(ClockId::CLOCK_BOOTTIME)? + offset_ns;
    let wall = TimeSpec::new(wall_ns.div_euclid(SECOND_NS), wall_ns.rem_euclid(SECOND_NS));
    clock_settime(ClockId::CLOCK_REALTIME, wall)
}

fn now_ns(clock: ClockId) -> Result<i64, Errno> {
    let now = clock_gettime(clock)?;
    Ok(now.tv_sec() * SECOND_NS + now.tv_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock is everybody's on this machine, so this is for machines of their own.
    #[test]
    fn jumps_do_not_add_up() {
        if std::env::var_os("STRESS_CLOCK").is_none_or(|value| value != "1") {
            eprintln!("skipped: sets the wall clock of the machine; STRESS_CLOCK=1 allows it");
            return;
        }
        let before_ns = offset_ns().expect("clocks can be read");
        let mut clock = WallClock::prepare().expect("the clock can be set");
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..50 {
            clock.jump(&mut random).expect("the clock can be set");
            let jumped_ns = (offset_ns().expect("clocks can be read") - clock.truth_ns()).abs();
            assert!(jumped_ns > (SHORTEST_S - 1) * SECOND_NS, "it jumped by {jumped_ns} ns only");
            clock.set_right().expect("the clock can be set");
        }
        let after_ns = offset_ns().expect("clocks can be read");
        assert!((after_ns - before_ns).abs() < SECOND_NS / 1_000, "off by {} ns", after_ns - before_ns);

        clock.jump(&mut random).expect("the clock can be set");
        undo_clock(clock.truth_ns()).expect("the clock can be set");
        let undone_ns = offset_ns().expect("clocks can be read") - before_ns;
        assert!(undone_ns.abs() < SECOND_NS / 1_000, "off by {undone_ns} ns");
    }

    #[test]
    fn a_clock_that_is_right_is_not_set() {
        let shown_ns = offset_ns().expect("clocks can be read");
        // Even where it may not be set.
        undo_clock(shown_ns + SECOND_NS).expect("nothing is to be done");
    }
}
