//! Which fault comes when. A function of the seed and of the time that has passed; how a fault is done is `crew`'s.

use std::time::Duration;

/// What to do to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Kill it inside its next hold.
    KillInside,
    /// Kill it now, wherever it is.
    KillAnywhere,
    /// Stop it for this long.
    Stop(Duration),
}

/// The source of faults.
#[derive(Debug)]
pub(crate) struct Nemesis {
    random: fastrand::Rng,
    kills: Rhythm,
    stops: Rhythm,
}

impl Nemesis {
    pub(crate) fn new(seed: u64, kills_per_second: f64, stops_per_second: f64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let kills = Rhythm::new(kills_per_second, &mut random);
        let stops = Rhythm::new(stops_per_second, &mut random);
        Self { random, kills, stops }
    }

    /// The next fault that is due, if one is.
    pub(crate) fn due(&mut self, elapsed: Duration) -> Option<Fault> {
        if self.kills.strikes(elapsed, &mut self.random) {
            Some(if self.random.f64() < 0.7 { Fault::KillInside } else { Fault::KillAnywhere })
        } else if self.stops.strikes(elapsed, &mut self.random) {
            Some(Fault::Stop(Duration::from_micros(self.random.u64(10_000..=300_000))))
        } else {
            None
        }
    }

    /// One of these workers.
    pub(crate) fn choose(&mut self, workers: &[u16]) -> Option<u16> {
        self.random.choice(workers).copied()
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
        let mut nemesis = Nemesis::new(seed, 5.0, 2.0);
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
        let mut nemesis = Nemesis::new(1, 10.0, 0.0);
        let faults = (0..100_000).filter(|&ms| nemesis.due(Duration::from_millis(ms)).is_some()).count();
        assert!((950..1050).contains(&faults), "{faults} faults in 100 s at 10 per second");
    }

    #[test]
    fn a_rate_of_zero_means_never() {
        let mut nemesis = Nemesis::new(1, 0.0, 0.0);
        assert_eq!(nemesis.due(Duration::MAX), None);
        assert_eq!(nemesis.choose(&[]), None);
    }
}
