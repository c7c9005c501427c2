//! What lies in a lock directory that nobody holds a lock in.

use std::fs;
use std::io;
use std::path::Path;

/// The files that are not there for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Litter {
    pub(super) claims: usize,
    /// Second names of claims that processes keep between holds.
    pub(super) spares: usize,
    /// State directories that were being made.
    pub(super) unfinished: usize,
    /// Whatever should never be there.
    pub(super) strange: Vec<String>,
}

impl Litter {
    pub(super) fn find(sessions: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        for name in names(sessions)? {
            match &*name {
                ".session-lock" => found.look_into(&sessions.join(name))?,
                name if Path::new(name).extension().is_some_and(|extension| extension == "lock") => found.claims += 1,
                // The plain kernel lock's, which is permanent.
                "0.jsonl.flock" => {}
                name if is_nonce(name, ".session-lock-") => found.unfinished += 1,
                _ => found.strange.push(name),
            }
        }
        Ok(found)
    }

    fn look_into(&mut self, state: &Path) -> io::Result<()> {
        for name in names(state)? {
            match &*name {
                "metrics-v1" => {}
                name if name.strip_prefix("arbiter-").is_some_and(|shard| shard.len() == 2) => {}
                name if is_nonce(name, "spare-") => self.spares += 1,
                _ => self.strange.push(format!(".session-lock/{name}")),
            }
        }
        Ok(())
    }

    /// Spares and unfinished state directories: what the lock says that a kill may leave for a while.
    pub(super) const fn left(&self) -> usize {
        self.spares + self.unfinished
    }
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn is_nonce(name: &str, prefix: &str) -> bool {
    let nonce = name.strip_prefix(prefix);
    nonce.is_some_and(|nonce| nonce.len() == 32 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_known_or_strange() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let nonce = "0123456789abcdef".repeat(2);
        fs::create_dir_all(dir.path().join(".session-lock")).expect("made");
        fs::create_dir(dir.path().join(format!(".session-lock-{nonce}"))).expect("made");
        let files =
            ["0.jsonl.lock", "x.tmp", ".session-lock/arbiter-2a", ".session-lock/metrics-v1", ".session-lock/arbiter"];
        for file in files.map(str::to_owned).into_iter().chain([format!(".session-lock/spare-{nonce}")]) {
            fs::write(dir.path().join(file), "").expect("written");
        }
        let mut found = Litter::find(dir.path()).expect("readable");
        found.strange.sort();
        let strange = vec![".session-lock/arbiter".to_owned(), "x.tmp".to_owned()];
        assert_eq!(found, Litter { claims: 1, spares: 1, unfinished: 1, strange });
    }
}
