//! What a run can be asked for. The words of the command line, and nothing of how a run works.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::peers::Implementation;

/// The options of `stress run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunOptions {
    /// Worker processes
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) workers: u16,

    /// Session locks they compete for
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) locks: u16,

    /// How long to run, such as 20s or 5m
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = time)]
    pub(crate) duration: Duration,

    /// How long each hold lasts: a time such as 500us, or a range such as 0s..2ms
    #[arg(long, default_value = "0s..2ms", value_name = "TIME")]
    pub(crate) hold: Pause,

    /// How long a worker pauses between two holds: a time or a range
    #[arg(long, default_value = "0s..4ms", value_name = "TIME")]
    pub(crate) think: Pause,

    /// How long an acquire may wait; one that gives up makes the run inconclusive
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Duration,

    /// Workers to kill (SIGKILL) per second, seven of ten of them inside a hold; each is replaced at once
    #[arg(long, default_value_t = 5.0, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) kill_rate: f64,

    /// Workers to stop (SIGSTOP, then SIGCONT after 10 to 300 ms) per second
    #[arg(long, default_value_t = 0.5, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) stop_rate: f64,

    /// Seed of all random choices: faults, locks and pauses. Not of the kernel's scheduling [default: a random one]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// Run directory, made if missing: empty, or an earlier run's, whose history is replaced. It keeps the history (some
    /// 10 MB a minute, at full rate 300) and the lock directory [default: a new temporary one]
    #[arg(long, value_name = "PATH")]
    pub(crate) dir: Option<PathBuf>,

    /// The lock to use
    #[arg(long, value_enum, default_value_t = Implementation::SessionLock, value_name = "NAME")]
    pub(crate) lock: Implementation,

    /// Start every worker as PID 1 of a PID namespace of its own (needs root)
    #[arg(long)]
    pub(crate) pidns: bool,

    /// Print results.json on standard output instead of the report
    #[arg(long)]
    pub(crate) json: bool,
}

impl RunOptions {
    /// The command line that asks for the same run, with this seed, and leaves this one's directory as it is.
    pub(crate) fn replay(&self, program: &str, seed: u64) -> String {
        let Self { workers, locks, hold, think, kill_rate, stop_rate, .. } = self;
        let duration = humantime::format_duration(self.duration);
        let timeout = humantime::format_duration(self.timeout);
        let lock = self.lock.name();
        let pidns = if self.pidns { " --pidns" } else { "" };
        format!(
            "{program} run --seed {seed} --workers {workers} --locks {locks} --duration '{duration}' --hold '{hold}' \
             --think '{think}' --timeout '{timeout}' --kill-rate {kill_rate} --stop-rate {stop_rate} --lock \
             {lock}{pidns}"
        )
    }
}

/// No time that a run deals with is longer.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A time such as 20s, not so long that adding to it could overflow a clock.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= LONGEST => Ok(time),
        Ok(_) => Err("at most a week".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0 to 1000 is needed".into()),
    }
}

/// How long something lasts: always the same, or drawn from a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    shortest: Duration,
    longest: Duration,
}

impl Pause {
    pub(crate) const fn exactly(time: Duration) -> Self {
        Self { shortest: time, longest: time }
    }

    /// One pause.
    pub(crate) fn draw(self, random: &mut fastrand::Rng) -> Duration {
        let spread = u64::try_from(self.longest.saturating_sub(self.shortest).as_nanos()).unwrap_or(u64::MAX);
        self.shortest + Duration::from_nanos(if spread == 0 { 0 } else { random.u64(..=spread) })
    }
}

impl FromStr for Pause {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (shortest, longest) = text.split_once("..").unwrap_or((text, text));
        let pause = Self { shortest: time(shortest)?, longest: time(longest)? };
        if pause.shortest <= pause.longest { Ok(pause) } else { Err("the range ends before it begins".into()) }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.shortest))?;
        if self.longest > self.shortest {
            write!(f, "..{}", humantime::format_duration(self.longest))?;
        }
        Ok(())
    }
}

impl Implementation {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Serialize for Implementation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_reads_back_as_it_is_written() {
        for text in ["0s", "500us", "0s..4ms", "1ms..1s 500ms"] {
            let pause: Pause = text.parse().expect("a pause");
            assert_eq!(pause.to_string().parse(), Ok(pause), "{text}");
        }
        assert!("4ms..1ms".parse::<Pause>().is_err());
        assert!("soon".parse::<Pause>().is_err());
    }

    #[test]
    fn a_drawn_pause_lies_in_its_range() {
        let pause: Pause = "1ms..2ms".parse().expect("a pause");
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..100 {
            assert!((Duration::from_millis(1)..=Duration::from_millis(2)).contains(&pause.draw(&mut random)));
        }
    }
}
