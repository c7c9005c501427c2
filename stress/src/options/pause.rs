//! A time, or a range that one is drawn from, as the command line has it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::time;

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

impl Serialize for Pause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
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
