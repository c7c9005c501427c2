//! Two locks that take over the file of an owner that is dead, by its pid and start time, and not in one step (seed thread 000).
//!
//! | | Takeover | What goes wrong |
//! |---|---|---|
//! | delete + create | `rm` the dead owner's file, loop, create with `O_EXCL` | two see the dead owner; the second deletes what the first has created meanwhile |
//! | rename over | write a file of one's own, rename it over the dead owner's, open it | two see the dead owner; both renames succeed, and both go on |
//!
//! They differ from the originals in two points, both so that what is caught is the takeover: a file that cannot be read
//! yet is left alone for a while (the originals take it over at once), and the pauses between attempts are shorter.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::file::{self, Format, Found, HeldFile, Payload};
use super::{Acquired, Asked, Held, Peer};

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
            if let Some(file) = file::create(path)? {
                file::write(&file, path, Format::PidAndStart)?;
                return Ok(Some(file));
            }
            match (owner(path)?, self.takeover) {
                (Owner::Alive, _) => return Ok(None),
                (Owner::Gone, _) => {}
                (Owner::Dead, Takeover::DeleteCreate) => file::remove(path)?,
                (Owner::Dead, Takeover::RenameOver) => return rename_over(path).map(Some),
            }
        }
    }
}

impl Peer for SeedLock {
    fn acquire(&self, asked: Asked) -> Acquired {
        let path = file::path(&self.sessions, asked.lock);
        let held = file::poll(asked.timeout, PAUSE, || self.attempt(&path))?;
        Ok(held.map(|file| Box::new(HeldFile { file, path }) as Box<dyn Held>))
    }
}

enum Owner {
    Gone,
    Alive,
    Dead,
}

/// Who owns the file at this path, as the originals see it: by pid.
fn owner(path: &Path) -> io::Result<Owner> {
    let payload = match file::read(path)? {
        Found::Nothing => return Ok(Owner::Gone),
        Found::Payload(payload) => payload,
        Found::Unreadable => {
            return Ok(match fs::metadata(path).and_then(|metadata| metadata.modified()) {
                Ok(written) if written.elapsed().is_ok_and(|age| age > TORN_FOR) => Owner::Dead,
                Ok(_) => Owner::Alive,
                Err(_) => Owner::Gone,
            });
        }
    };
    let exists = kill(Pid::from_raw(payload.pid), None) != Err(Errno::ESRCH);
    let recycled = payload.start_time.is_some() && payload.start_time != file::start_time(payload.pid);
    Ok(if exists && !recycled { Owner::Alive } else { Owner::Dead })
}

fn rename_over(path: &Path) -> io::Result<File> {
    let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut own = path.as_os_str().to_owned();
    own.push(format!(".{}.{unique}", std::process::id()));
    fs::write(&own, Payload::own(Format::PidAndStart).to_bytes())?;
    fs::rename(&own, path)?;
    OpenOptions::new().read(true).write(true).open(path)
}
