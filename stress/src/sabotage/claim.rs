//! What an operator or an older peer may do to a lock file: delete it, cut it short, put another one in its place.
//!
//! Only ever to a regular file that stands at the claim's path itself: no link is followed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::libc;

use super::{if_there, is_full};
use crate::peers::{session, start_time};

/// What no lock file exceeds.
const LONGEST: u64 = 4096;

pub(super) fn path(sessions: &Path, lock: u16) -> PathBuf {
    sessions.join(format!("{}.lock", session(lock)))
}

/// `false`: there was none.
pub(super) fn delete(claim: &Path, announce: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<bool> {
    if !stands(claim)? {
        return Ok(false);
    }
    announce()?;
    if_there(fs::remove_file(claim))?;
    Ok(true)
}

/// To nothing, or to some length in between. `false`: there was nothing to cut.
pub(super) fn truncate(
    claim: &Path,
    random: &mut fastrand::Rng,
    announce: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let Some(file) = open(claim, OpenOptions::new().write(true))? else { return Ok(false) };
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(false);
    }
    announce()?;
    file.set_len(if random.bool() { 0 } else { random.u64(..length) })?;
    Ok(true)
}

/// Writes the claims of older peers that are gone.
#[derive(Debug, Default)]
pub(super) struct Forger {
    /// What was last put at each lock's path.
    forged: HashMap<u16, Vec<u8>>,
}

impl Forger {
    /// Puts an older peer's claim in the place of the one that is there. `forged`: where it is written before.
    ///
    /// A forged one is left alone until somebody has taken it over: each has to be given its grace, so that a new one every
    /// second would keep the lock from everybody for ever. `false`: nothing was replaced.
    pub(super) fn replace(
        &mut self,
        lock: u16,
        claim: &Path,
        forged: &Path,
        random: &mut fastrand::Rng,
        announce: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let Some(file) = open(claim, OpenOptions::new().read(true))? else { return Ok(false) };
        let mut content = Vec::new();
        file.take(LONGEST).read_to_end(&mut content)?;
        if self.forged.get(&lock).is_some_and(|forged| forged.starts_with(&content)) {
            return Ok(false);
        }
        let payload = payload(random);
        if_there(fs::remove_file(forged))?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(forged);
        match made.and_then(|mut file| file.write_all(&payload)) {
            Err(error) if is_full(&error) => return Ok(false),
            made => made?,
        }
        announce()?;
        fs::rename(forged, claim)?;
        self.forged.insert(lock, payload);
        Ok(true)
    }
}

/// Whether a regular file stands there.
fn stands(claim: &Path) -> io::Result<bool> {
    Ok(if_there(fs::symlink_metadata(claim))?.is_some_and(|found| found.is_file()))
}

/// Opens the claim itself. `None`: there is none, or somebody has just this moment a lease on it.
fn open(claim: &Path, options: &mut OpenOptions) -> io::Result<Option<File>> {
    if !stands(claim)? {
        return Ok(None);
    }
    match options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(claim) {
        Ok(file) => Ok(Some(file).filter(|file| file.metadata().is_ok_and(|found| found.is_file()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::ELOOP | Errno::ENXIO | Errno::EAGAIN | Errno::EISDIR => Ok(None),
            _ => Err(error),
        },
    }
}

/// What an older peer writes. Its pid is a living process's or nobody's; it names the start time, rightly or not, or omits it.
fn payload(random: &mut fastrand::Rng) -> Vec<u8> {
    let pid = if random.bool() { std::process::id() } else { nobodys_pid() };
    let created = humantime::format_rfc3339_millis(SystemTime::now());
    let start_time = match random.u8(..3) {
        0 => String::new(),
        1 => format!(",\"starttime\":{}", i32::try_from(pid).ok().and_then(start_time).unwrap_or(1)),
        _ => ",\"starttime\":1".to_owned(),
    };
    format!("{{\"pid\":{pid},\"createdAt\":\"{created}\"{start_time}}}").into_bytes()
}

/// A pid that no process has at the moment.
fn nobodys_pid() -> u32 {
    let highest = fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|text| text.trim().parse().ok());
    let highest = highest.unwrap_or(32_768);
    (1..highest).rev().find(|pid| !Path::new(&format!("/proc/{pid}")).exists()).unwrap_or(highest)
}
