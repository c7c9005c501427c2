//! What a run can be asked for. The words of the command line, and nothing of how a run works.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, FromArgMatches, ValueEnum};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fault::Fault;
use crate::oracle::Setup;
use crate::peers::Implementation;
use crate::sabotage::SmallFs;
use crate::topology::Topology;
use crate::verdict::Needs;

mod pause;

pub(crate) use pause::Pause;

/// The options of `stress run`. They stand in `results.json` as they were asked for, but for what says where the output
/// goes; `stress replay` reads them back from there.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct RunOptions {
    /// Where the workers live
    #[arg(long, value_enum, default_value_t = Topology::Processes, value_name = "NAME")]
    pub(crate) topology: Topology,

    /// Groups that the workers are spread over: namespaces or containers; of threads and tasks, processes
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) groups: u16,

    /// Workers that use the lock
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) workers: u16,

    /// Workers besides that use the older lock of the seeds: create, close, unlink, and no takeover
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=512))]
    pub(crate) older_peers: u16,

    /// Session locks they compete for
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) locks: u16,

    /// Which of the locks a worker takes next
    #[arg(long, value_enum, default_value_t = LockChoice::Random, value_name = "NAME")]
    pub(crate) spread: LockChoice,

    /// How long to run, such as 20s or 5m
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = time)]
    #[serde(with = "in_words")]
    pub(crate) duration: Duration,

    /// How long each hold lasts: a time such as 500us, or a range such as 0s..2ms
    #[arg(long, default_value = "0s..2ms", value_name = "TIME")]
    pub(crate) hold: Pause,

    /// How long a worker pauses between two holds: a time or a range
    #[arg(long, default_value = "0s..4ms", value_name = "TIME")]
    pub(crate) think: Pause,

    /// How long an acquire may wait; one that gives up makes the run inconclusive
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    #[serde(with = "in_words")]
    pub(crate) timeout: Duration,

    /// Workers to kill (SIGKILL) per second, seven of ten of them inside a hold; each is replaced at once
    #[arg(long, default_value_t = 5.0, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) kill_rate: f64,

    /// Workers to stop (SIGSTOP, then SIGCONT after 10 to 300 ms) per second
    #[arg(long, default_value_t = 0.5, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) stop_rate: f64,

    /// How often another fault strikes per second, such as delete-claim=2; may be given more than once. `all=RATE` stands
    /// for each that the topology allows, but for clock-jump, which concerns everybody on the machine
    #[arg(long = "fault", value_name = "NAME=PER_SECOND", value_delimiter = ',', value_parser = fault_rate)]
    pub(crate) faults: Vec<FaultRate>,

    /// The file system of the lock directory in a run with disk-full or inodes-full, which gives it a small one
    #[arg(long, value_enum, default_value_t = SmallFs::Tmpfs, value_name = "NAME")]
    pub(crate) small_fs: SmallFs,

    /// How long the lock gives a foreign claim whose file is closed before it reclaims it
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = time)]
    #[serde(with = "in_words")]
    pub(crate) grace: Duration,

    /// Seed of all random choices: faults, locks and pauses. Not of the kernel's scheduling [default: a random one]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// Run directory, made if missing: empty, or an earlier run's, whose history is replaced. It keeps the history (some
    /// 10 MB a minute, at full rate 300), the report and the lock directory, whatever the verdict [default: a new
    /// temporary one, which stays, too]
    #[arg(long, value_name = "PATH")]
    #[serde(skip)]
    pub(crate) dir: Option<PathBuf>,

    /// How much of the history stays on the disk behind what has been judged, such as 256M; after a violation as much
    /// again around it
    #[arg(long, default_value = "256M", value_name = "SIZE", value_parser = size)]
    pub(crate) keep_history: u64,

    /// The lock to use
    #[arg(long, value_enum, default_value_t = Implementation::SessionLock, value_name = "NAME")]
    pub(crate) lock: Implementation,

    /// Print results.json on standard output instead of the report
    #[arg(long)]
    #[serde(skip)]
    pub(crate) json: bool,
}

impl RunOptions {
    /// The command line that asks for the same run, with this seed, and leaves this one's directory as it is.
    pub(crate) fn replay(&self, program: &str, seed: u64) -> String {
        let mut line = format!("{program} run --seed {seed}");
        for ((option, asked), (_, default)) in self.words().into_iter().zip(Self::defaults().words()) {
            if asked == default {
                continue;
            }
            let quote = if asked.contains(' ') { "'" } else { "" };
            line.extend([" --", option, " ", quote, &asked, quote]);
        }
        for fault in &self.faults {
            line.extend([" --fault ", &fault.to_string()]);
        }
        line
    }

    /// What a bare `stress run` asks for.
    fn defaults() -> Self {
        let matches = Self::augment_args(clap::Command::new("run")).get_matches_from(["run"]);
        Self::from_arg_matches(&matches).expect("every option has a default")
    }

    /// The options as the command line has them, but for the faults, the seed and what says where the output goes.
    fn words(&self) -> [(&'static str, String); 16] {
        let time = |time| humantime::format_duration(time).to_string();
        [
            ("lock", self.lock.name()),
            ("topology", self.topology.name()),
            ("groups", self.groups.to_string()),
            ("workers", self.workers.to_string()),
            ("older-peers", self.older_peers.to_string()),
            ("locks", self.locks.to_string()),
            ("spread", self.spread.name()),
            ("duration", time(self.duration)),
            ("hold", self.hold.to_string()),
            ("think", self.think.to_string()),
            ("timeout", time(self.timeout)),
            ("grace", time(self.grace)),
            ("kill-rate", self.kill_rate.to_string()),
            ("stop-rate", self.stop_rate.to_string()),
            ("small-fs", self.small_fs.name()),
            ("keep-history", self.keep_history.to_string()),
        ]
    }

    /// A fault that cannot be done to workers that live so, wherever that is.
    pub(crate) fn contradiction(&self) -> Option<Fault> {
        self.rates().into_iter().map(|(fault, _)| fault).find(|&fault| !self.topology.allows(fault))
    }

    /// What a run with these options has to show before it means something.
    pub(crate) fn needs(&self) -> Needs {
        let needs = Needs::of(self.duration, self.kill_rate).with_faults(self.duration, &self.rates()).with_sides(
            self.duration,
            self.workers,
            self.older_peers,
        );
        let cancels = self.topology == Topology::Tasks && self.lock.can_be_cancelled();
        // With a lock of one's own, nobody competes: that is how the tool's own speed is measured.
        let competes = self.spread == LockChoice::Random || self.locks < self.crew();
        let passed_on = if competes { needs.passed_on } else { 0 };
        Needs { cancelled: u64::from(cancels), passed_on, ..needs }
    }

    /// How often each fault strikes per second, for those that do at all.
    pub(crate) fn rates(&self) -> Vec<(Fault, f64)> {
        let mut rates = vec![
            (Fault::Kill, 0.3 * self.kill_rate),
            (Fault::KillInside, 0.7 * self.kill_rate),
            (Fault::Stop, self.stop_rate),
        ];
        for asked in &self.faults {
            match asked.fault {
                Some(fault) => rates.push((fault, asked.per_second)),
                None => rates.extend(Fault::value_variants().iter().filter_map(|&fault| {
                    (self.topology.allows(fault) && fault != Fault::ClockJump).then_some((fault, asked.per_second))
                })),
            }
        }
        let mut summed: Vec<(Fault, f64)> = Vec::new();
        for (fault, rate) in rates.into_iter().filter(|(_, rate)| *rate > 0.0) {
            match summed.iter_mut().find(|(known, _)| *known == fault) {
                Some((_, sum)) => *sum += rate,
                None => summed.push((fault, rate)),
            }
        }
        summed
    }

    /// What there is to judge.
    pub(crate) fn setup(&self) -> Setup {
        let older_from = if self.older_peers > 0 { self.workers } else { u16::MAX };
        Setup { locks: self.locks, tokens: self.lock.tokens(), older_from, grace: self.grace }
    }

    /// The number of all workers: those from `workers` on are older peers.
    pub(crate) const fn crew(&self) -> u16 {
        self.workers + self.older_peers
    }
}

/// Which lock a worker takes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LockChoice {
    /// Any, by chance
    Random,
    /// Always the same: the worker's number modulo that of the locks
    Own,
}

impl LockChoice {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// How often a fault strikes. Without a name: every fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaultRate {
    pub(crate) fault: Option<Fault>,
    pub(crate) per_second: f64,
}

impl fmt::Display for FaultRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.fault.map_or_else(|| "all".into(), Fault::name), self.per_second)
    }
}

fn fault_rate(text: &str) -> Result<FaultRate, String> {
    let (name, per_second) = text.split_once('=').ok_or("NAME=PER_SECOND is needed")?;
    let known = || Fault::value_variants().iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ");
    let fault = match name {
        "all" => None,
        name => {
            Some(Fault::from_str(name, false).map_err(|_| format!("no fault '{name}'; there are: all, {}", known()))?)
        }
    };
    Ok(FaultRate { fault, per_second: rate(per_second)? })
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

/// A number of bytes such as 4096, 64K, 256M or 2G, in powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let units = [("K", 10), ("M", 20), ("G", 30)];
    let text = text.trim_end_matches("iB");
    let unit = units.iter().find_map(|&(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    let number = number.parse::<u64>().map_err(|_| "a size such as 64K, 256M or 2G is needed")?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is too much".into())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0 to 1000 is needed".into()),
    }
}

impl Topology {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Implementation {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Serialize for Implementation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Implementation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_str(&name, false).map_err(D::Error::custom)
    }
}

/// Times in files, in the words of the command line.
mod in_words {
    use super::{Deserialize, Deserializer, Duration, Error, Serializer, time};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        time(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_back_as_they_are_written() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: RunOptions,
        }
        let line = "run --topology threads --groups 3 --workers 5 --older-peers 2 --locks 7 --duration 1h --hold 1ms..2ms \
                    --think 3us --timeout 1500ms --grace 250ms --kill-rate 0.5 --stop-rate 0.25 --fault freeze=0.1,all=2 \
                    --seed 9 --lock flock --dir /nowhere --json";
        let asked = <Line as clap::Parser>::parse_from(line.split_whitespace()).options;
        let written = serde_json::to_value(&asked).expect("options serialise");
        let read: RunOptions = serde_json::from_value(written.clone()).expect("they are read back");
        assert_eq!(read.replay("stress", 9), asked.replay("stress", 9));
        assert_eq!(serde_json::to_value(&read).expect("options serialise"), written);
        assert_eq!(written["duration"], "1h");
        assert_eq!((read.dir, read.json), (None, false), "where the output goes is not part of the plan");
    }

    #[test]
    fn a_replay_says_what_differs_from_the_defaults() {
        let asked = RunOptions::defaults();
        assert_eq!(asked.replay("stress", 9), "stress run --seed 9");
        let faults = vec![FaultRate { fault: Some(Fault::Fork), per_second: 0.5 }];
        let asked = RunOptions { workers: 3, timeout: Duration::from_millis(1500), faults, ..asked };
        let said = "stress run --seed 9 --workers 3 --timeout '1s 500ms' --fault fork=0.5";
        assert_eq!(asked.replay("stress", 9), said);
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("2GiB"), Ok(2 << 30));
        for text in ["", "M", "-1", "1T", "99999999999999999999", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
