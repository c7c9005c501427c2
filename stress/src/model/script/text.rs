//! Scripts and answers as text, an act a line.
//!
//! ```text
//! processes 2, older 1, spares
//! process 1 start
//! process 1 open-claim
//! older 1 create
//! delete claim
//! ```

use std::fmt;
use std::str::FromStr;

use session_lock::Spares;
use session_lock::protocol::{Completion, Inode, Operation, Standing};

use super::{Act, Answer, Cast, Deed, Deletion, Found, OlderDeed, ReaderDeed, Script};

/// Every operation that does not wait. The token stands for whichever is written: the simulation does not look at it.
pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("lock-arbiter", Operation::LockArbiter),
    ("take-token", Operation::TakeToken),
    ("check-arbiter", Operation::CheckArbiter),
    ("reopen-arbiter", Operation::ReopenArbiter),
    ("publish-claim", Operation::PublishClaim { token: 1 }),
    ("open-claim", Operation::OpenClaim),
    ("lock-claim", Operation::LockClaim),
    ("read-claim", Operation::ReadClaim),
    ("pin-claim", Operation::PinClaim),
    ("close-claim", Operation::CloseClaim),
    ("probe-writers", Operation::ProbeWriters),
    ("write-claim", Operation::WriteClaim { token: 1 }),
    ("check-claim", Operation::CheckClaim),
    ("unlink-claim", Operation::UnlinkClaim),
    ("unlock-arbiter", Operation::UnlockArbiter),
];

const COMPLETIONS: &[(&str, Completion)] = &[
    ("done", Completion::Done),
    ("exists", Completion::Exists),
    ("gone", Completion::Gone),
    ("replaced", Completion::Replaced),
    ("busy", Completion::Busy),
    ("its own arbiter's", Completion::Read(Standing::OwnArbiter)),
    ("foreign", Completion::Read(Standing::Foreign)),
    ("no writer", Completion::NoWriter),
    ("a writer", Completion::Writer),
    ("unknown", Completion::Unknown),
];

const FOUND: &[(&str, Found)] =
    &[("empty", Found::Empty), ("an older payload", Found::Foreign), ("our payload", Found::Ours)];

/// A text that is no script, act or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotThis(String);

impl fmt::Display for NotThis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not understood: {}", self.0)
    }
}

impl std::error::Error for NotThis {}

impl Deed {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Hold => "hold",
            Self::HandOn => "hand-on",
            Self::Sweep => "sweep",
            Self::End => "end",
            Self::Kill => "kill",
            Self::Operate(operation) => {
                let same = |(_, other): &&(&str, Operation)| {
                    std::mem::discriminant(other) == std::mem::discriminant(&operation)
                };
                OPERATIONS.iter().find(same).map_or("wait", |(name, _)| name)
            }
        }
    }
}

impl OlderDeed {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Write => "write",
            Self::Close => "close",
            Self::Unlink => "unlink",
            Self::Kill => "kill",
        }
    }
}

impl ReaderDeed {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Close => "close",
        }
    }
}

impl Deletion {
    fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Arbiter => "arbiter",
            Self::Spares => "spares",
            Self::State => "state",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(who, deed) => write!(f, "process {} {}", who + 1, deed.name()),
            Self::Older(who, deed) => write!(f, "older {} {}", who + 1, deed.name()),
            Self::Reader(deed) => write!(f, "reader {}", deed.name()),
            Self::Delete(deletion) => write!(f, "delete {}", deletion.name()),
        }
    }
}

impl fmt::Display for Cast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spares = if self.spares == Spares::AtOnce { "spares" } else { "no spares" };
        write!(f, "processes {}, older {}, {spares}", self.processes, self.older)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.cast)?;
        self.acts.iter().try_for_each(|act| writeln!(f, "{act}"))
    }
}

impl FromStr for Cast {
    type Err = NotThis;

    fn from_str(text: &str) -> Result<Self, NotThis> {
        let mut casts = (0..=Self::MAX_PROCESSES).flat_map(|processes| {
            let older = (0..=Self::MAX_OLDER).map(move |older| (processes, older));
            older.flat_map(|(processes, older)| {
                [Spares::AtOnce, Spares::Never].map(|spares| Self { processes, older, spares })
            })
        });
        casts.find(|cast| cast.to_string() == text).ok_or_else(|| NotThis(text.to_owned()))
    }
}

impl FromStr for Script {
    type Err = NotThis;

    /// Empty lines and what follows a `#` are not read.
    fn from_str(text: &str) -> Result<Self, NotThis> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let mut lines = lines.filter(|line| !line.is_empty());
        let cast: Cast = lines.next().unwrap_or_default().parse()?;
        let act =
            |line: &str| Act::all(cast).find(|act| act.to_string() == line).ok_or_else(|| NotThis(line.to_owned()));
        Ok(Self { cast, acts: lines.map(act).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed(Completion::Token(token)) => write!(f, "token {token}"),
            Self::Completed(Completion::Opened { inode }) => write!(f, "opened {}:{}", inode.dev, inode.ino),
            Self::Completed(completion) => match COMPLETIONS.iter().find(|(_, other)| other == completion) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "failed {completion:?}"),
            },
            Self::Swept(spares) => write!(f, "swept {spares}"),
            Self::Found(found) => {
                f.write_str(FOUND.iter().find(|(_, other)| other == found).map_or("", |(name, _)| name))
            }
            Self::Failed(why) => write!(f, "failed {why}"),
        }
    }
}

impl FromStr for Answer {
    type Err = NotThis;

    fn from_str(text: &str) -> Result<Self, NotThis> {
        let fails = || NotThis(text.to_owned());
        let number = |text: &str| text.parse().map_err(|_| fails());
        if let Some((_, completion)) = COMPLETIONS.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Completed(*completion));
        }
        if let Some((_, found)) = FOUND.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Found(*found));
        }
        let (word, rest) = text.split_once(' ').ok_or_else(fails)?;
        Ok(match word {
            "token" => Self::Completed(Completion::Token(number(rest)?)),
            "opened" => {
                let (dev, ino) = rest.split_once(':').ok_or_else(fails)?;
                Self::Completed(Completion::Opened { inode: Inode { dev: number(dev)?, ino: number(ino)? } })
            }
            "swept" => Self::Swept(rest.parse().map_err(|_| fails())?),
            "failed" => Self::Failed(rest.to_owned()),
            _ => return Err(fails()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Act, Script, random};
    use super::{Answer, COMPLETIONS, Completion, FOUND, Inode};
    use std::collections::HashSet;

    #[test]
    fn a_script_reads_back() {
        let script = random(&mut fastrand::Rng::with_seed(1));
        assert!(script.acts.len() > 5, "{script}");
        assert_eq!(script.to_string().parse(), Ok(script.clone()));
        let remarked = format!("# why\n{script}\n  # the end\n");
        assert_eq!(remarked.parse(), Ok(script));
        assert!("processes 2, older 0, spares\nprocess 3 start".parse::<Script>().is_err());
    }

    #[test]
    fn each_act_has_a_name_of_its_own() {
        let cast = "processes 3, older 2, spares".parse().expect("a cast");
        let names: HashSet<_> = Act::all(cast).map(|act| act.to_string()).collect();
        assert_eq!(names.len(), Act::all(cast).count());
    }

    #[test]
    fn an_answer_reads_back() {
        let completions = COMPLETIONS.iter().map(|(_, completion)| Answer::Completed(*completion));
        let found = FOUND.iter().map(|(_, found)| Answer::Found(*found));
        let opened = Completion::Opened { inode: Inode { dev: 3, ino: 44 } };
        let others = [
            Answer::Completed(Completion::Token(7)),
            Answer::Completed(opened),
            Answer::Swept(2),
            Answer::Failed("for good".to_owned()),
        ];
        for answer in completions.chain(found).chain(others) {
            assert_eq!(answer.to_string().parse(), Ok(answer));
        }
    }
}
