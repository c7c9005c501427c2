//! Which fault comes when. A function of the seed and of the time that has passed; how a fault is done is its owner's.

use std::time::Duration;

use crate::fault::Fault;

/// The source of faults.
#[derive(Debug)]
pub(crate) struct Nemesis {
    random: fastrand::Rng,
    rhythms: Vec<(Fault, Rhythm)>,
    /// Faults that were due when there was nobody they could be done to.
    owed: Vec<Fault>,
}

/// To whom or to what a fault is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Worker,
    Group,
    /// The lock directory, its disk or the machine.
    Ground,
}

impl Scope {
    pub(crate) const fn of(fault: Fault) -> Self {
        match fault {
            Fault::Kill
            | Fault::KillInside
            | Fault::PidReuse
            | Fault::Stop
            | Fault::LongStop
            | Fault::NoDescriptors
            | Fault::Fork
            | Fault::Exec => Self::Worker,
            Fault::Freeze | Fault::Pause | Fault::GroupKill | Fault::Restart | Fault::TimeNamespace => Self::Group,
            Fault::ClockJump
            | Fault::DiskFull
            | Fault::InodesFull
            | Fault::DeleteClaim
            | Fault::TruncateClaim
            | Fault::ReplaceClaim
            | Fault::DeleteState => Self::Ground,
        }
    }
}

impl Nemesis {
    /// Faults at these rates per second, each in a rhythm of its own.
    pub(crate) fn new(seed: u64, rates: &[(Fault, f64)]) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let rhythms = rates.iter().map(|&(fault, rate)| (fault, Rhythm::new(rate, &mut random))).collect();
        Self { random, rhythms, owed: Vec::new() }
    }

    /// The next fault that is due, if one is.
    pub(crate) fn due(&mut self, elapsed: Duration) -> Option<Fault> {
        let Self { random, rhythms, .. } = self;
        rhythms.iter_mut().find_map(|(fault, rhythm)| rhythm.strikes(elapsed, random).then_some(*fault))
    }

    /// All faults that are due, also those that are owed.
    pub(crate) fn all_due(&mut self, elapsed: Duration) -> Vec<Fault> {
        let mut faults = std::mem::take(&mut self.owed);
        faults.extend(std::iter::from_fn(|| self.due(elapsed)));
        faults
    }

    /// There was nobody it could be done to. It comes again, but only once however often that was so.
    pub(crate) fn owe(&mut self, fault: Fault) {
        if !self.owed.contains(&fault) {
            self.owed.push(fault);
        }
    }

    /// One of the locks.
    pub(crate) fn lock(&mut self, locks: u16) -> u16 {
        self.random.u16(..locks)
    }

    /// How far ahead the clocks of a time namespace are: up to 1000 hours, also back, but not to before the boot.
    pub(crate) fn ahead_s(&mut self, uptime: Duration) -> i64 {
        let hours = self.random.i64(1..=1000);
        if self.random.bool() {
            3600 * hours
        } else {
            -(3600 * hours).min(i64::try_from(uptime.as_secs() / 2).unwrap_or(0))
        }
    }

    /// How long a fault lasts that is not over at once.
    pub(crate) fn lasting(&mut self, fault: Fault, grace: Duration) -> Duration {
        let mut ms = |range| Duration::from_millis(self.random.u64(range));
        match fault {
            Fault::LongStop => grace + ms(100..=1_000),
            Fault::Freeze | Fault::Pause => ms(50..=500),
            Fault::DiskFull | Fault::InodesFull | Fault::NoDescriptors => ms(20..=300),
            Fault::ClockJump => ms(20..=100),
            _ => ms(10..=300),
        }
    }

    /// One of these workers, or groups.
    pub(crate) fn choose(&mut self, among: &[u16]) -> Option<u16> {
        self.random.choice(among).copied()
    }
}

/// Times with random gaps of half to one and a half of their mean.
#[derive(Debug)]
struct Rhythm {
    mean: Option<Duration>,
    next: Duration,
}

impl Rhythm {
    fn new(per_second: f64, random: &mut fastrand::Rng) -> Self {
        let mean = (per_second > 0.0).then(|| Duration::from_secs_f64((1.0 / per_second).min(1e6)));
        let mut rhythm = Self { mean, next: Duration::ZERO };
        rhythm.advance(random);
        rhythm
    }

    fn strikes(&mut self, elapsed: Duration, random: &mut fastrand::Rng) -> bool {
        let strikes = self.mean.is_some() && self.next <= elapsed;
        if strikes {
            self.advance(random);
        }
        strikes
    }

    fn advance(&mut self, random: &mut fastrand::Rng) {
        if let Some(mean) = self.mean {
            self.next += mean.mul_f64(0.5 + random.f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_ten(seed: u64) -> Vec<(u64, Fault)> {
        let mut nemesis = Nemesis::new(seed, &[(Fault::Kill, 5.0), (Fault::Stop, 2.0)]);
        let moments = (0..).map(|ms| nemesis.due(Duration::from_millis(ms)).map(|fault| (ms, fault)));
        moments.flatten().take(10).collect()
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(first_ten(7), first_ten(7));
        assert_ne!(first_ten(7), first_ten(8));
    }

    #[test]
    fn the_rate_is_kept_over_time() {
        let mut nemesis = Nemesis::new(1, &[(Fault::Kill, 10.0)]);
        let faults = (0..100_000).filter(|&ms| nemesis.due(Duration::from_millis(ms)).is_some()).count();
        assert!((950..1050).contains(&faults), "{faults} faults in 100 s at 10 per second");
    }

    #[test]
    fn what_is_owed_comes_again_and_once() {
        let mut nemesis = Nemesis::new(1, &[]);
        nemesis.owe(Fault::Freeze);
        nemesis.owe(Fault::Freeze);
        assert_eq!(nemesis.all_due(Duration::ZERO), [Fault::Freeze]);
        assert_eq!(nemesis.all_due(Duration::ZERO), []);
    }

    #[test]
    fn no_clock_is_set_to_before_the_boot() {
        let mut nemesis = Nemesis::new(1, &[]);
        let drawn: Vec<i64> = (0..100).map(|_| nemesis.ahead_s(Duration::from_mins(10))).collect();
        assert!(drawn.iter().all(|ahead_s| (-300..=3_600_000).contains(ahead_s)), "{drawn:?}");
        assert!(drawn.iter().any(|&ahead_s| ahead_s < 0) && drawn.iter().any(|&ahead_s| ahead_s > 3600), "{drawn:?}");
    }

    #[test]
    fn a_rate_of_zero_means_never() {
        let mut nemesis = Nemesis::new(1, &[(Fault::Kill, 0.0)]);
        assert_eq!(nemesis.due(Duration::MAX), None);
        assert_eq!(nemesis.choose(&[]), None);
    }
}
