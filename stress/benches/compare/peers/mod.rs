//! The peers: what each promises, how it waits, and how a worker for it is started.

mod rust;

use crate::run::Run;
pub(crate) use rust::Peer;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A lock that is measured.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    language: Language,
    /// How a hold begins and ends.
    pub(crate) call: &'static str,
    /// How it waits, where it is not in the kernel's queue.
    pub(crate) waits: Waits,
    /// Never two owners when several find a dead owner's lock at once, and it can be had again.
    pub(crate) stampede: bool,
    /// The same between PID namespaces.
    pub(crate) namespaces: bool,
    /// Whom others can learn of.
    pub(crate) tells: Tells,
    /// Why these three.
    pub(crate) why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    Node,
}

/// How a peer waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// In the kernel's queue.
    Queue,
    /// By asking again, as often as this says.
    Polls(&'static str),
}

/// What others can learn of the holder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    Nobody,
    /// A pid, which means nothing in another PID namespace.
    Pid,
    Holder,
}

impl Waits {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Queue => "in the kernel's queue".to_owned(),
            Self::Polls(how) => format!("asks again: {how}"),
        }
    }
}

impl Tells {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "no",
            Self::Pid => "pid",
            Self::Holder => "yes",
        }
    }
}

/// The versions of the crates.
const LOCKED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));

const FLOCK: &str = "flock(2) on a permanent file: the kernel frees it, and nothing says who has it";
const WITH_PID: &str = "flock(2); the file has the pid of whoever holds, or has held";

const fn flock(name: &'static str, language: Language, call: &'static str, waits: Waits) -> Subject {
    Subject { name, language, call, waits, stampede: true, namespaces: true, tells: Tells::Nobody, why: FLOCK }
}

/// This lock and the floor first. What each does about dead owners is from its source or its documentation; none was put to the test,
/// and where neither is clear the peer is believed.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "session-lock",
        language: Language::Rust,
        call: "`lock(session).blocking()`, `release()`",
        waits: Waits::Queue,
        stampede: true,
        namespaces: true,
        tells: Tells::Holder,
        why: "with its counters, as by default",
    },
    Subject {
        name: "floor",
        language: Language::Rust,
        call: "as below",
        waits: Waits::Queue,
        stampede: false,
        namespaces: false,
        tells: Tells::Nobody,
        why: "the same system calls, and nobody decides on their answers",
    },
    Subject {
        name: "OFD lock",
        language: Language::Rust,
        call: "`F_OFD_SETLKW`; `F_OFD_SETLK` with `F_UNLCK`",
        waits: Waits::Queue,
        stampede: true,
        namespaces: true,
        tells: Tells::Nobody,
        why: "fcntl(2) on a permanent file: F_OFD_GETLK answers with pid -1",
    },
    flock("std File::lock", Language::Rust, "`lock`, `unlock`", Waits::Queue),
    flock("fd-lock", Language::Rust, "`RwLock::write`; the guard is dropped", Waits::Queue),
    flock("fs4", Language::Rust, "`FileExt::lock`, `unlock`", Waits::Queue),
    flock("named-lock", Language::Rust, "`lock`; the guard is dropped", Waits::Queue),
    Subject {
        tells: Tells::Pid,
        why: WITH_PID,
        ..flock("fslock", Language::Rust, "`lock_with_pid`, `unlock`", Waits::Queue)
    },
    Subject {
        name: "pidlock",
        language: Language::Rust,
        call: "`new_validated`, `acquire`, `release`",
        waits: Waits::Polls("1 ms, its documentation names none"),
        stampede: false,
        namespaces: false,
        tells: Tells::Pid,
        why: "asks kill(pid, 0), then removes by path: two can, and a pid of another namespace looks dead",
    },
    Subject {
        name: "lockfile",
        language: Language::Rust,
        call: "`create`, `release`",
        waits: Waits::Polls("1 ms, its documentation names none"),
        stampede: false,
        namespaces: true,
        tells: Tells::Nobody,
        why: "O_EXCL, an empty file and no rule for dead owners: blocks for ever after a kill",
    },
    flock("FileLock", Language::Python, "`acquire()`, `release()`", Waits::Polls("50 ms, its default")),
    Subject {
        name: "SoftFileLock",
        language: Language::Python,
        call: "`acquire()`, `release()`",
        waits: Waits::Polls("50 ms, its default"),
        stampede: true,
        namespaces: false,
        tells: Tells::Holder,
        why: "O_EXCL with pid, host and start time; a pid of another PID namespace under the same host name looks dead",
    },
    flock(
        "portalocker",
        Language::Python,
        "`Lock(path, timeout=120)`: `acquire()`, `release()`",
        Waits::Polls("250 ms, its default"),
    ),
    Subject {
        name: "proper-lockfile",
        language: Language::Node,
        call: "`lock(path, {realpath: false, retries: {forever: true}})`, what it returns",
        waits: Waits::Polls("1 s, doubled each time, the defaults of its retries"),
        stampede: false,
        namespaces: true,
        tells: Tells::Nobody,
        why: "mkdir, free when its time is 10 s old: rmdir then mkdir by path, and a stopped owner is robbed",
    },
    Subject {
        name: "O_EXCL + JSON",
        language: Language::Node,
        call: "`open(path, 'wx')`, `writeFile`; `close`, `rm`",
        waits: Waits::Polls("50 ms"),
        stampede: false,
        namespaces: false,
        tells: Tells::Pid,
        why: "as in older locks of session files: a dead pid's file is removed by path",
    },
];

impl Subject {
    pub(crate) fn of(name: &str) -> &'static Self {
        SUBJECTS.iter().find(|subject| subject.name == name).expect("a subject")
    }

    /// Whether it gives what this lock gives.
    pub(crate) fn qualifies(&self) -> bool {
        self.stampede && self.namespaces && self.tells == Tells::Holder && self.name != "session-lock"
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.language == Language::Rust
    }

    /// Its worker, to which the arguments of the protocol or of an owner are added.
    pub(crate) fn command(&self, run: &Run, role: &str) -> Command {
        let mut command = match self.language.interpreter() {
            None => run.role(role),
            Some((interpreter, script)) => {
                let mut command = Command::new(interpreter);
                command.arg(script).arg(role).env("NODE_PATH", "/usr/share/nodejs");
                command
            }
        };
        command.arg(self.name);
        command
    }

    /// Of what is measured here; of what has none, or is not installed, nothing.
    pub(crate) fn version(&self, run: &Run) -> Option<String> {
        if self.is_rust() {
            let entry = format!("name = \"{}\"\nversion = \"", self.name);
            let (_, version) = LOCKED.split_once(&entry)?;
            return Some(format!("{} {}", self.name, version.split_once('"')?.0));
        }
        let output = self.command(run, "check").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !version.is_empty()).then_some(version)
    }

    /// Why it cannot be measured here, and what to do.
    pub(crate) fn missing(&self, run: &Run) -> Option<String> {
        let advice = match self.language {
            Language::Rust => return None,
            Language::Python => "install Python 3, then: pip install filelock portalocker",
            Language::Node => "install Node.js, then Debian's node-proper-lockfile",
        };
        let mut command = self.command(run, "check");
        match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => None,
            Ok(_) => Some(format!("its module is not there; {advice}")),
            Err(error) => Some(format!("its interpreter does not start ({error}); {advice}")),
        }
    }
}

impl Language {
    fn interpreter(self) -> Option<(PathBuf, PathBuf)> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/peers");
        match self {
            Self::Rust => None,
            Self::Python => Some((python(), here.join("worker.py"))),
            Self::Node => Some(("node".into(), here.join("worker.js"))),
        }
    }
}

/// The interpreter itself: what the path has may be a script that looks for it, each time.
fn python() -> PathBuf {
    static PYTHON: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let find = || {
        let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let path = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
        path.map_or_else(|| "python3".into(), |path| path.trim().into())
    };
    PYTHON.get_or_init(find).clone()
}

/// The Rust peer of this name.
pub(crate) fn open(name: &str, dir: &Path, session: &str, number: u64) -> Box<dyn Peer> {
    rust::open(name, dir, session, number).expect("a peer of this program")
}
