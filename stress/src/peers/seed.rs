//! Two locks that are known to be broken, kept as controls: a tool that does not catch them proves nothing.
//!
//! Both keep `<session>.lock` with the owner's pid and start time, and take over the file of an owner that is dead.
//!
//! | | Takeover | What goes wrong |
//! |---|---|---|
//! | delete + create | `rm` the dead owner's file, loop, create with `O_EXCL` | two see the dead owner; the second deletes what the first has created meanwhile |
//! | rename over | write a file of one's own, rename it over the dead owner's, open it | two see the dead owner; both renames succeed, and both go on |
//!
//! They differ from the originals in two points, both so that what is caught is the takeover: a file that cannot be read
//! yet is left alone for a while (the originals take it over at once), and the pauses between attempts are shorter.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{Held, Peer, session};

/// How a dead owner's file becomes one's own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takeover {
    DeleteCreate,
    RenameOver,
}

pub(super) struct SeedLock {
    sessions: PathBuf,
    takeover: Takeover,
}

/// Longer than any stop of this tool, so that only a writer who died halfway is taken for one.
const TORN_FOR: Duration = Duration::from_millis(500);

/// Between two attempts: so short that two waiters often meet at the same dead owner.
const PAUSE: Duration = Duration::from_micros(200);

impl SeedLock {
    pub(super) fn new(sessions: &Path, takeover: Takeover) -> Self {
        Self { sessions: sessions.to_owned(), takeover }
    }

    /// Tries until the lock is had (the open file) or somebody alive has it.
    fn attempt(&self, path: &Path) -> io::Result<Option<File>> {
        loop {
            match OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(mut file) => {
                    file.write_all(&own_payload())?;
                    return Ok(Some(file));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            match (owner(path)?, self.takeover) {
                (Owner::Alive, _) => return Ok(None),
                (Owner::Gone, _) => {}
                (Owner::Dead, Takeover::DeleteCreate) => remove(path)?,
                (Owner::Dead, Takeover::RenameOver) => return rename_over(path).map(Some),
            }
        }
    }
}

impl Peer for SeedLock {
    fn acquire(&self, lock: u16, timeout: Duration) -> anyhow::Result<Option<Box<dyn Held>>> {
        let path = self.sessions.join(format!("{}.lock", session(lock)));
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(file) = self.attempt(&path)? {
                return Ok(Some(Box::new(SeedHeld { file, path })));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }
}

struct SeedHeld {
    file: File,
    path: PathBuf,
}

impl Held for SeedHeld {
    fn token(&self) -> u64 {
        0
    }

    fn release(self: Box<Self>) -> anyhow::Result<()> {
        drop(self.file);
        Ok(remove(&self.path)?)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    pid: i32,
    created_at: String,
    #[serde(rename = "starttime")]
    start_time: Option<u64>,
}

enum Owner {
    Gone,
    Alive,
    Dead,
}

/// Who owns the file at this path, as the originals see it: by pid.
fn owner(path: &Path) -> io::Result<Owner> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Owner::Gone),
        read => read?,
    };
    let Ok(payload) = serde_json::from_slice::<Payload>(&bytes) else {
        return match fs::metadata(path).and_then(|metadata| metadata.modified()) {
            Ok(written) if written.elapsed().is_ok_and(|age| age > TORN_FOR) => Ok(Owner::Dead),
            Ok(_) => Ok(Owner::Alive),
            Err(_) => Ok(Owner::Gone),
        };
    };
    let exists = kill(Pid::from_raw(payload.pid), None) != Err(Errno::ESRCH);
    let recycled = payload.start_time.is_some() && payload.start_time != start_time(payload.pid);
    Ok(if exists && !recycled { Owner::Alive } else { Owner::Dead })
}

fn rename_over(path: &Path) -> io::Result<File> {
    let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut own = path.as_os_str().to_owned();
    own.push(format!(".{}.{unique}", std::process::id()));
    fs::write(&own, own_payload())?;
    fs::rename(&own, path)?;
    OpenOptions::new().read(true).write(true).open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn own_payload() -> Vec<u8> {
    let pid = i32::try_from(std::process::id()).expect("Linux pids fit in an i32");
    let created_at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let payload = Payload { pid, created_at, start_time: start_time(pid) };
    serde_json::to_vec(&payload).expect("numbers and strings serialise")
}

/// Field 22 of `/proc/<pid>/stat`; the second field may hold spaces and parentheses.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
