//! The run directory and its files.
//!
//! | File | What it holds |
//! |---|---|
//! | `history` | every record of the run, see [`crate::history`] |
//! | `results.json` | the verdict and the figures |
//! | `junit.xml` | the verdict for a build server |
//! | `latency.hgrm` | how long things took, as percentiles |
//! | `report.html` | all of it for people, with pictures |
//! | `sessions/` | the lock directory |
//! | `small/`, `aside/` | only during the run: a small file system to be full, and where files wait to be renamed |
//! | `sessions-small/` | what the lock directory held at the end, where it was on the small file system |
//! | `counters` | for each lock, a number that each holder reads and writes back plus one |
//! | `control` | for each worker, one byte: what it is to do, mostly inside its next hold |
//! | `alive-<group>` | locked (flock, shared) by each process of a group for its whole life: its lock can be had once all are gone |
//! | `gate/` | only with groups that join: a socket for each that has not come yet |
//! | `workers.log` | what the workers had to say |

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The file with the history.
pub(crate) const HISTORY: &str = "history";
/// The file with the verdict.
pub(crate) const RESULTS: &str = "results.json";
const COUNTERS: &str = "counters";

/// A run's directory. While it is open, or its janitor lives, no other run can use it.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    lock: File,
}

impl RunDir {
    /// Makes the directory ready: the lock directory stays as an earlier run left it, the other files begin anew.
    pub(crate) fn prepare(asked: Option<&Path>, locks: u16, workers: u16) -> anyhow::Result<Self> {
        let path = match asked {
            Some(path) => path.to_owned(),
            None => tempfile::Builder::new().prefix("session-lock-stress-").tempdir()?.keep(),
        };
        let in_it = || format!("cannot prepare the run directory {}", path.display());
        fs::create_dir_all(&path).with_context(in_it)?;
        let path = path.canonicalize().with_context(in_it)?;
        if path.to_str().is_none_or(|path| path.contains('\n')) {
            bail!("the run directory needs a path of UTF-8 in one line: {}", path.display());
        }
        let lock = File::open(&path).with_context(in_it)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another run uses {}, or is being cleaned up", path.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(in_it),
        }
        let dir = Self { path, lock };
        let foreign = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != "sessions");
        if !dir.history().exists() && fs::read_dir(&dir.path).with_context(in_it)?.any(foreign) {
            bail!("{} has other files in it: name an empty directory, or one of an earlier run", dir.path.display());
        }
        // An earlier run's verdict is not this one's.
        for stale in [dir.results(), dir.junit(), dir.latency(), dir.report()] {
            match fs::remove_file(stale) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(in_it),
                _ => {}
            }
        }
        match fs::remove_dir_all(dir.sessions_small()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(in_it),
            _ => {}
        }
        let made = [(dir.history(), 0), (dir.counters(), 8 * u64::from(locks)), (dir.control(), u64::from(workers))];
        for (file, length) in made.into_iter().chain([(dir.log(), 0)]) {
            // A new inode each: a worker that an earlier run left behind keeps to its own.
            match fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(in_it),
                _ => File::create_new(&file).and_then(|file| file.set_len(length)).with_context(in_it)?,
            }
        }
        match DirBuilder::new().mode(0o700).create(dir.sessions()) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).with_context(in_it)?,
            _ => {}
        }
        Ok(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The lock that keeps other runs out, for a process that is to keep them out, too.
    pub(crate) fn lock(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.path.join(HISTORY)
    }

    pub(crate) fn results(&self) -> PathBuf {
        self.path.join(RESULTS)
    }

    pub(crate) fn junit(&self) -> PathBuf {
        self.path.join("junit.xml")
    }

    pub(crate) fn latency(&self) -> PathBuf {
        self.path.join("latency.hgrm")
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.path.join("sessions")
    }

    /// Where the lock directory's files are kept when it was on a small file system.
    pub(crate) fn sessions_small(&self) -> PathBuf {
        self.path.join("sessions-small")
    }

    /// The lock directory as the run has left it.
    pub(crate) fn sessions_left(&self) -> PathBuf {
        Some(self.sessions_small()).filter(|kept| kept.exists()).unwrap_or_else(|| self.sessions())
    }

    pub(crate) fn counters(&self) -> PathBuf {
        self.path.join(COUNTERS)
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.path.join("control")
    }

    /// The file that tells whether somebody of this group is alive.
    pub(crate) fn alive(&self, group: &str) -> PathBuf {
        self.path.join(format!("alive-{group}"))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("workers.log")
    }
}

/// The counter of each lock: deliberately a read and a write, so that a second owner loses updates.
#[derive(Debug)]
pub(crate) struct Counters(File);

impl Counters {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(path).map(Self)
    }

    /// Those that a run has left, to be read.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        File::open(dir.join(COUNTERS)).map(Self)
    }

    pub(crate) fn read(&self, lock: u16) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 8 * u64::from(lock))?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn write(&self, lock: u16, count: u64) -> io::Result<()> {
        self.0.write_all_at(&count.to_le_bytes(), 8 * u64::from(lock))
    }
}

/// What the supervisor asks of a worker: to be done inside its next hold, but for the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ask {
    /// Wait there for the kill.
    Wait = 1,
    /// Fork a child that outlives the hold.
    Fork = 2,
    /// Execute this program anew, in the worker's place. Done when that has begun.
    Exec = 3,
    /// Begin: open what it needs. Nothing else is asked of it before.
    Begin = 4,
}

/// The supervisor's word to each worker, one byte each.
#[derive(Debug)]
pub(crate) struct Control(File);

impl Control {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(path).map(Self)
    }

    pub(crate) fn asked(&self, worker: u16) -> io::Result<Option<Ask>> {
        let mut byte = [0];
        self.0.read_exact_at(&mut byte, u64::from(worker))?;
        Ok([Ask::Wait, Ask::Fork, Ask::Exec, Ask::Begin].into_iter().find(|&ask| ask as u8 == byte[0]))
    }

    pub(crate) fn ask(&self, worker: u16, ask: Ask) -> io::Result<()> {
        self.0.write_all_at(&[ask as u8], u64::from(worker))
    }

    /// Takes back what was asked: by the supervisor at the end, by the worker when it has done it.
    pub(crate) fn clear(&self, worker: u16) -> io::Result<()> {
        self.0.write_all_at(&[0], u64::from(worker))
    }
}
