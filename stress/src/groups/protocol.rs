//! What the supervisor says to a group process, and what that answers: one line each, words separated by a space.
//!
//! Nothing here does anything. A line that cannot be read is an error, never a guess.

use std::fmt::{self, Display};
use std::str::{FromStr, SplitAsciiWhitespace};

use clap::ValueEnum;

use crate::fault::Fault;

/// The processes of a group, each known by the first worker that it hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Say that you are there, and be counted among the living from now on.
    Hello,
    Start(Start),
    /// Write the kill down and do it, unless the process has ended by itself.
    Kill(u16, Fault),
    /// Write the stop down, for so many microseconds, and do it.
    Stop(u16, Fault, u64),
    Continue(u16),
    /// Leave the process without a descriptor to be had, for so many microseconds.
    Starve(u16, u64),
    Feed(u16),
    /// Answer, then do nothing until *go*: what is done to the whole group needs to know who is alive.
    Hush,
    Go,
    /// Let all processes end in good order.
    Dismiss,
}

/// A worker process to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// The first of the workers that it hosts.
    pub(crate) worker: u16,
    /// The first one's incarnation; the others' are those that follow.
    pub(crate) incarnation: u32,
    pub(crate) count: u16,
    pub(crate) seed: u64,
    /// The name of the lock that it uses.
    pub(crate) lock: String,
    /// The pid that it should get: a dead owner's.
    pub(crate) pid: Option<i32>,
}

/// What a group process says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Hello,
    Hush,
    /// A process has started: its first worker, its pid where it lives, and whether that is the one that was asked for.
    Started(u16, i32, Pid),
    /// It has ended, and been reaped.
    Exited(Exited),
    Usage(Usage),
    /// It can have descriptors again.
    Fed(u16),
    /// A stage outside of a namespace has made it, and this is its first process's pid outside.
    Entered(i32),
    /// The group process cannot go on, and why.
    Failed(String),
}

/// Whether a process got the pid that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pid {
    Fresh,
    Reused,
}

/// A worker process that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exited {
    pub(crate) worker: u16,
    /// Its exit code, or the signal that ended it as a negative number.
    pub(crate) code: i32,
    pub(crate) pid: i32,
    pub(crate) by: By,
}

/// Who ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Kill,
    Itself,
}

/// What a worker process takes at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) worker: u16,
    pub(crate) incarnation: u32,
    pub(crate) age_s: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    pub(crate) rss_kib: u64,
}

impl Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello => f.write_str("hello"),
            Self::Start(Start { worker, incarnation, count, seed, lock, pid }) => {
                write!(f, "start {worker} {incarnation} {count} {seed} {lock} {}", pid.unwrap_or(0))
            }
            Self::Kill(worker, fault) => write!(f, "kill {worker} {}", fault.name()),
            Self::Stop(worker, fault, us) => write!(f, "stop {worker} {} {us}", fault.name()),
            Self::Continue(worker) => write!(f, "continue {worker}"),
            Self::Starve(worker, us) => write!(f, "starve {worker} {us}"),
            Self::Feed(worker) => write!(f, "feed {worker}"),
            Self::Hush => f.write_str("hush"),
            Self::Go => f.write_str("go"),
            Self::Dismiss => f.write_str("dismiss"),
        }
    }
}

impl FromStr for Command {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<Self, Unreadable> {
        let mut words = Words(line.split_ascii_whitespace());
        let command = match words.word()? {
            "hello" => Self::Hello,
            "start" => Self::Start(Start {
                worker: words.next()?,
                incarnation: words.next()?,
                count: words.next()?,
                seed: words.next()?,
                lock: words.next()?,
                pid: Some(words.next()?).filter(|pid| *pid != 0),
            }),
            "kill" => Self::Kill(words.next()?, words.fault()?),
            "stop" => Self::Stop(words.next()?, words.fault()?, words.next()?),
            "continue" => Self::Continue(words.next()?),
            "starve" => Self::Starve(words.next()?, words.next()?),
            "feed" => Self::Feed(words.next()?),
            "hush" => Self::Hush,
            "go" => Self::Go,
            "dismiss" => Self::Dismiss,
            _ => return Err(Unreadable),
        };
        words.end(command)
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello => f.write_str("hello"),
            Self::Hush => f.write_str("hush"),
            Self::Started(worker, pid, reused) => {
                write!(f, "started {worker} {pid} {}", if *reused == Pid::Reused { "reused" } else { "fresh" })
            }
            Self::Exited(Exited { worker, code, pid, by }) => {
                write!(f, "exited {worker} {code} {pid} {}", if *by == By::Kill { "killed" } else { "itself" })
            }
            Self::Usage(Usage { worker, incarnation, age_s, descriptors, threads, rss_kib }) => {
                write!(f, "usage {worker} {incarnation} {age_s} {descriptors} {threads} {rss_kib}")
            }
            Self::Fed(worker) => write!(f, "fed {worker}"),
            Self::Entered(pid) => write!(f, "entered {pid}"),
            Self::Failed(why) => write!(f, "failed {}", why.replace('\n', " ")),
        }
    }
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<Self, Unreadable> {
        if let Some(why) = line.strip_prefix("failed ") {
            return Ok(Self::Failed(why.to_owned()));
        }
        let mut words = Words(line.split_ascii_whitespace());
        let answer = match words.word()? {
            "hello" => Self::Hello,
            "hush" => Self::Hush,
            "started" => Self::Started(
                words.next()?,
                words.next()?,
                words.either([("reused", Pid::Reused), ("fresh", Pid::Fresh)])?,
            ),
            "exited" => Self::Exited(Exited {
                worker: words.next()?,
                code: words.next()?,
                pid: words.next()?,
                by: words.either([("killed", By::Kill), ("itself", By::Itself)])?,
            }),
            "usage" => Self::Usage(Usage {
                worker: words.next()?,
                incarnation: words.next()?,
                age_s: words.next()?,
                descriptors: words.next()?,
                threads: words.next()?,
                rss_kib: words.next()?,
            }),
            "fed" => Self::Fed(words.next()?),
            "entered" => Self::Entered(words.next()?),
            _ => return Err(Unreadable),
        };
        words.end(answer)
    }
}

/// A line that is not one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

struct Words<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self) -> Result<&'a str, Unreadable> {
        self.0.next().ok_or(Unreadable)
    }

    fn next<T: FromStr>(&mut self) -> Result<T, Unreadable> {
        self.word()?.parse().map_err(|_| Unreadable)
    }

    fn fault(&mut self) -> Result<Fault, Unreadable> {
        Fault::from_str(self.word()?, false).map_err(|_| Unreadable)
    }

    fn either<T: Copy>(&mut self, of: [(&str, T); 2]) -> Result<T, Unreadable> {
        let word = self.word()?;
        of.into_iter().find(|(name, _)| *name == word).map(|(_, meaning)| meaning).ok_or(Unreadable)
    }

    fn end<T>(mut self, whole: T) -> Result<T, Unreadable> {
        if self.0.next().is_none() { Ok(whole) } else { Err(Unreadable) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_reads_back_as_it_is_written() {
        let start = |pid| {
            let (incarnation, seed, lock) = (u32::MAX, u64::MAX, "session-lock".to_owned());
            Command::Start(Start { worker: 7, incarnation, count: 3, seed, lock, pid })
        };
        let commands = [
            Command::Hello,
            start(None),
            start(Some(2)),
            Command::Kill(1, Fault::PidReuse),
            Command::Stop(511, Fault::LongStop, 1_234_567),
            Command::Continue(0),
            Command::Starve(3, 20_000),
            Command::Feed(3),
            Command::Hush,
            Command::Go,
            Command::Dismiss,
        ];
        for command in commands {
            assert_eq!(command.to_string().parse(), Ok(command));
        }
    }

    #[test]
    fn every_answer_reads_back_as_it_is_written() {
        let usage = Usage { worker: 1, incarnation: 2, age_s: 3, descriptors: 4, threads: 5, rss_kib: 6 };
        let answers = [
            Answer::Hello,
            Answer::Hush,
            Answer::Started(1, 2, Pid::Reused),
            Answer::Started(1, 2, Pid::Fresh),
            Answer::Exited(Exited { worker: 1, code: -9, pid: 77, by: By::Kill }),
            Answer::Exited(Exited { worker: 1, code: 0, pid: 77, by: By::Itself }),
            Answer::Usage(usage),
            Answer::Fed(7),
            Answer::Entered(4242),
            Answer::Failed("no such file or directory".into()),
        ];
        for answer in answers {
            assert_eq!(answer.to_string().parse(), Ok(answer));
        }
    }

    #[test]
    fn what_is_too_short_too_long_or_unknown_is_refused() {
        for line in ["", "kill", "kill 1", "kill 1 hope", "kill 1 kill 2", "stop 1 stop", "jump", "continue -1"] {
            assert_eq!(line.parse::<Command>(), Err(Unreadable), "{line:?}");
        }
        for line in ["", "exited 1 -9 7", "exited 1 -9 7 perhaps", "hello you", "started 1 2"] {
            assert_eq!(line.parse::<Answer>(), Err(Unreadable), "{line:?}");
        }
    }
}
