//! The run directory and its files.
//!
//! | File | What it holds |
//! |---|---|
//! | `history.jsonl` | every record of the run, see [`crate::history`] |
//! | `results.json` | the verdict and the figures |
//! | `sessions/` | the lock directory |
//! | `counters` | for each lock, a number that each holder reads and writes back plus one |
//! | `control` | for each worker, one byte: whether its next hold is to wait for the kill |
//! | `workers.log` | what the workers had to say |

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A run's directory. While it is open, no other run can use it.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    _lock: File,
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
        let lock = File::open(&path).with_context(in_it)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another run uses {}", path.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(in_it),
        }
        let dir = Self { path, _lock: lock };
        let foreign = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != "sessions");
        if !dir.history().exists() && fs::read_dir(&dir.path).with_context(in_it)?.any(foreign) {
            bail!("{} has other files in it: name an empty directory, or one of an earlier run", dir.path.display());
        }
        // An earlier run's verdict is not this one's.
        match fs::remove_file(dir.results()) {
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

    pub(crate) fn history(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }

    pub(crate) fn results(&self) -> PathBuf {
        self.path.join("results.json")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.path.join("sessions")
    }

    pub(crate) fn counters(&self) -> PathBuf {
        self.path.join("counters")
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.path.join("control")
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

    pub(crate) fn read(&self, lock: u16) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 8 * u64::from(lock))?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn write(&self, lock: u16, count: u64) -> io::Result<()> {
        self.0.write_all_at(&count.to_le_bytes(), 8 * u64::from(lock))
    }
}

/// The supervisor's word to each worker: to wait for its kill inside the next hold.
#[derive(Debug)]
pub(crate) struct Control(File);

impl Control {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(path).map(Self)
    }

    pub(crate) fn is_marked(&self, worker: u16) -> io::Result<bool> {
        let mut byte = [0];
        self.0.read_exact_at(&mut byte, u64::from(worker))?;
        Ok(byte != [0])
    }

    pub(crate) fn mark(&self, worker: u16) -> io::Result<()> {
        self.0.write_all_at(&[1], u64::from(worker))
    }

    pub(crate) fn clear(&self, worker: u16) -> io::Result<()> {
        self.0.write_all_at(&[0], u64::from(worker))
    }
}
