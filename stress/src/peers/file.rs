//! The file of the seeds' lock: `<session>.lock` with a pid in JSON, made with `O_EXCL`, closed and then unlinked. What follows
//! from the pid of somebody else's file is each lock's own affair.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::{End, Held, session};

/// The file of this lock.
pub(super) fn path(sessions: &Path, lock: u16) -> PathBuf {
    sessions.join(format!("{}.lock", session(lock)))
}

/// What the payload names besides the date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Pid,
    PidAndStart,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    pub(super) pid: i32,
    pub(super) created_at: String,
    #[serde(rename = "starttime", skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<u64>,
    /// Only `probeless` writes and asks for it: the claim is backed by an arbiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) arbiter: Option<bool>,
}

impl Payload {
    pub(super) fn own(format: Format) -> Self {
        Self {
            pid: own_pid(),
            created_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            start_time: if format == Format::PidAndStart { own_start_time() } else { None },
            arbiter: None,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and strings serialise")
    }
}

pub(super) fn own_pid() -> i32 {
    i32::try_from(std::process::id()).expect("Linux pids fit in an i32")
}

/// Read once: it stays the same, and the file is in `/proc`.
pub(super) fn own_start_time() -> Option<u64> {
    static OWN: OnceLock<Option<u64>> = OnceLock::new();
    *OWN.get_or_init(|| start_time(own_pid()))
}

/// Field 22 of `/proc/<pid>/stat`; the second field may hold spaces and parentheses.
///
/// In a PID namespace whose `/proc` is another's, a pid there names somebody else: what the broken locks fall for too.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let who = if pid == own_pid() { "self".into() } else { pid.to_string() };
    let stat = fs::read_to_string(format!("/proc/{who}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// What is at a lock's path.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// Nothing that can be read, or not yet.
    Unreadable,
    Payload(Payload),
}

pub(super) fn read(path: &Path) -> io::Result<Found> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_or(Found::Unreadable, Found::Payload)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

/// Creates the file, still empty. `None`: there is one.
pub(super) fn create(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes one's payload into the file just created. If that cannot be, the file goes too: nobody would ever take it over.
pub(super) fn write(mut file: &File, path: &Path, format: Format) -> io::Result<()> {
    file.write_all(&Payload::own(format).to_bytes()).inspect_err(|_| {
        remove(path).ok();
    })
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Tries again and again until there is something, or the time is over. The pauses lie around this one, because waiters in
/// step would always meet in the same order.
pub(super) fn poll<T>(
    timeout: Duration,
    pause: Duration,
    mut attempt: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(had) = attempt()? {
            return Ok(Some(had));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(pause.mul_f64(0.5 + fastrand::f64()));
    }
}

/// The file of a lock that is held.
pub(super) struct HeldFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

impl Held for HeldFile {
    fn token(&self) -> u64 {
        0
    }

    fn release(self: Box<Self>) -> anyhow::Result<End> {
        drop(self.file);
        remove(&self.path)?;
        Ok(End::Released)
    }
}
