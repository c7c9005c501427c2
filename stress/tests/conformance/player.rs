//! One process of this crate on the real side: the crate's own driver, with descriptions of its own.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use session_lock::protocol::Completion;
use session_lock::{Actor, Spares};
use session_lock_stress::model::script::{Answer, Deed};

/// The session of all scripts.
pub(crate) const SESSION: &str = "s";

/// The word by which this program is started as a process of a script.
pub(crate) const WORD: &str = "actor";

/// Where a process of a script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In this process: a death closes its descriptors.
    Inside,
    /// In a process of its own: a death is a SIGKILL.
    Process,
}

pub(crate) enum Player {
    Inside(Box<Actor>),
    Process(PathBuf, Option<Running>),
}

/// A process of this program, which is told a deed a line and answers with a line.
pub(crate) struct Running {
    child: Child,
    deeds: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Player {
    pub(crate) fn new(kind: Kind, dir: &Path) -> io::Result<Self> {
        Ok(match kind {
            Kind::Inside => Self::Inside(Box::new(Actor::new(dir, SESSION)?)),
            Kind::Process => Self::Process(dir.to_owned(), None),
        })
    }

    pub(crate) fn act(&mut self, deed: Deed, spares: Spares) -> io::Result<Answer> {
        match self {
            Self::Inside(actor) => Ok(act(actor, deed, spares)),
            Self::Process(_, running) if deed == Deed::Kill => {
                if let Some(mut running) = running.take() {
                    running.child.kill()?;
                    running.child.wait()?;
                }
                Ok(Answer::Completed(Completion::Done))
            }
            Self::Process(dir, running) => {
                let running = match running {
                    Some(running) => running,
                    None => running.insert(Running::new(dir)?),
                };
                running.ask(deed, spares)
            }
        }
    }

    /// After a script: everything is closed. A process of its own stays for the next one.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        match self {
            Self::Inside(actor) => actor.die(),
            Self::Process(_, Some(running)) => drop(running.ask(Deed::Kill, Spares::Never)?),
            Self::Process(_, None) => {}
        }
        Ok(())
    }
}

impl Running {
    fn new(dir: &Path) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (deeds, answers) = (child.stdin.take(), child.stdout.take());
        let (Some(deeds), Some(answers)) = (deeds, answers) else { unreachable!("both were asked for") };
        Ok(Self { child, deeds, answers: BufReader::new(answers) })
    }

    fn ask(&mut self, deed: Deed, spares: Spares) -> io::Result<Answer> {
        let line = format!("{} {}\n", deed.name(), if spares == Spares::AtOnce { "spares" } else { "-" });
        self.deeds.write_all(line.as_bytes())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim_end().parse().map_err(|error| io::Error::other(format!("{}: {error}", deed.name())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Does what the lines of its input say, until they end.
pub(crate) fn run(dir: &str) -> io::Result<()> {
    let mut actor = Actor::new(Path::new(dir), SESSION)?;
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (name, spares) = line.split_once(' ').unwrap_or((&line, ""));
        let spares = if spares == "spares" { Spares::AtOnce } else { Spares::Never };
        let answer = match Deed::all().find(|deed| deed.name() == name) {
            Some(deed) => act(&mut actor, deed, spares),
            None => Answer::Failed(format!("{name} is no deed")),
        };
        writeln!(answers, "{answer}")?;
    }
    Ok(())
}

fn act(actor: &mut Actor, deed: Deed, spares: Spares) -> Answer {
    let done = match deed {
        Deed::Sweep => return Answer::Swept(actor.sweep()),
        Deed::Operate(operation) => actor.perform(operation).map(|completion| completion.unwrap_or(Completion::Busy)),
        Deed::Start => actor.start(spares).map(|()| Completion::Done),
        Deed::Hold => {
            actor.hold();
            Ok(Completion::Done)
        }
        Deed::HandOn => {
            actor.hand_on();
            Ok(Completion::Done)
        }
        Deed::End => {
            actor.end();
            Ok(Completion::Done)
        }
        Deed::Kill => {
            actor.die();
            Ok(Completion::Done)
        }
    };
    match done {
        Ok(completion) => Answer::Completed(completion),
        Err(error) => Answer::Failed(error.to_string().replace('\n', " ")),
    }
}
