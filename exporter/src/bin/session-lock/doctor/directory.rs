//! The directory and its state directory: file system, permissions, owners.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::geteuid;
use session_lock::{LockDir, OpenError, shown};

use super::{Finding, Severity};
use crate::place::{Place, told};

/// Everything that is wrong there. An error: it cannot be looked at.
pub(super) fn findings(place: &Place) -> Result<Vec<Finding>, String> {
    let path = &place.dir;
    let failed = |error: io::Error| format!("cannot look at {}: {error}", shown(&path.to_string_lossy()));
    let directory = fs::metadata(path).map_err(failed)?;
    let mut findings = Vec::new();
    findings.extend(place.to_lock(LockDir::options()).err().and_then(|error| refused(&error)));
    findings.extend(unusable(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, "read, write and search"));
    let state = path.join(".session-lock");
    match fs::symlink_metadata(&state) {
        Ok(found) => findings.extend(of_state(&state, &found, &directory)),
        // The first acquire makes it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => findings.push(Finding::new(
            Severity::Fault,
            format!("{} cannot be looked at: {error}", state.to_string_lossy()),
            "the directory must let this user search it",
        )),
    }
    Ok(findings)
}

/// Why nobody may lock here who does not take something on trust.
fn refused(error: &OpenError) -> Option<Finding> {
    let words = match error {
        OpenError::FileSystem { .. } | OpenError::Permissions { .. } => told(error),
        _ => return None,
    };
    let (what, remedy) = words.rsplit_once("; ")?;
    Some(Finding::new(Severity::Fault, what, remedy))
}

/// Whether this user may not do that there.
fn unusable(path: &Path, access: Access, words: &str) -> Option<Finding> {
    accessat(CWD, path, access, AtFlags::EACCESS).err().map(|errno| {
        Finding::new(
            Severity::Fault,
            format!("{}: this user may not {words}: {errno}", path.to_string_lossy()),
            "give users of the locks a common group that may (chgrp, chmod 2770)",
        )
    })
}

fn of_state(path: &Path, state: &Metadata, directory: &Metadata) -> Vec<Finding> {
    const REMEDY: &str = "remove it while no process holds a lock in this directory";
    let fault =
        |path: &Path, what: &str| Finding::new(Severity::Fault, format!("{} {what}", path.to_string_lossy()), REMEDY);
    if !state.is_dir() {
        return vec![fault(path, "is no directory")];
    }
    let mut findings = Vec::new();
    if !accepts_owner(directory, state.uid()) {
        findings.push(fault(path, "belongs to another user"));
    }
    if state.mode() & !directory.mode() & 0o002 != 0 {
        findings.push(fault(path, "may be written by everybody"));
    }
    findings.extend(unusable(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, "read, write and search"));
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_locks_own(&entry.file_name().to_string_lossy())) {
        let path = entry.path();
        // A link is looked at itself.
        let Ok(found) = entry.metadata() else { continue };
        if !found.is_file() {
            findings.push(fault(&path, "is no file"));
        } else if !accepts_owner(directory, found.uid()) {
            findings.push(fault(&path, "belongs to another user"));
        } else {
            findings.extend(unusable(&path, Access::READ_OK | Access::WRITE_OK, "read and write"));
        }
    }
    findings
}

/// Those that every process opens. A spare is its process's own.
fn is_locks_own(name: &str) -> bool {
    name == "metrics-v1" || name.starts_with("arbiter-")
}

/// As the lock has it: the directory's owner, root, this user, and where a group may write, its members.
fn accepts_owner(directory: &Metadata, uid: u32) -> bool {
    uid == directory.uid() || uid == 0 || uid == geteuid().as_raw() || directory.mode() & 0o020 != 0
}
