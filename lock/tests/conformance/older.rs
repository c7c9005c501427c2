//! The older lock, as the seed threads tell it: a file made with `O_EXCL`, a payload with a pid, and a judgement of that payload
//! by pid, start time, nonce and age. One process of it, and no more of it than the cases need.

use super::{Subject, starttime};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A lock of this age is stale, whoever owns it.
const STALE: Duration = Duration::from_mins(30);

pub struct Older {
    path: PathBuf,
    dir: PathBuf,
    held: HashMap<PathBuf, (File, usize)>,
    nonce: u32,
}

enum Judged {
    Owned,
    Stale,
    /// Stale only if the file itself is old: it may be a payload that is being written.
    Malformed,
}

impl Older {
    pub fn new(dir: PathBuf) -> Self {
        Self { path: dir.join("s.lock"), dir, held: HashMap::new(), nonce: 1 }
    }

    fn judge(&self, path: &PathBuf) -> Judged {
        let Some(payload) = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) else {
            return Judged::Malformed;
        };
        let payload: serde_json::Value = payload;
        let Some(pid) = payload["pid"].as_u64().filter(|pid| *pid > 0) else { return Judged::Malformed };
        let Some(living) = starttime(pid) else { return Judged::Stale };
        let noted = payload["starttime"].as_u64();
        let is_self = pid == u64::from(std::process::id());
        let orphan = is_self && noted.is_none() && !self.held.contains_key(path);
        let other_nonce = is_self && payload["nonce"].as_u64().is_some_and(|nonce| nonce != u64::from(self.nonce));
        let recycled = noted.is_some_and(|noted| noted != living);
        let created = payload["createdAt"].as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
        let old = created.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > STALE);
        if orphan || other_nonce || recycled || old { Judged::Stale } else { Judged::Owned }
    }

    fn is_old(path: &PathBuf) -> bool {
        let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > STALE))
    }

    fn is_stale(&self, path: &PathBuf) -> bool {
        match self.judge(path) {
            Judged::Owned => false,
            Judged::Stale => true,
            Judged::Malformed => Self::is_old(path),
        }
    }
}

impl Subject for Older {
    fn acquire(&mut self) -> Result<bool, String> {
        // It polls until its timeout. What it finds does not change here, so a few times are as good as many.
        for _ in 0..3 {
            if let Ok(file) = File::create_new(&self.path) {
                let (pid, at) = (std::process::id(), humantime::format_rfc3339_millis(SystemTime::now()));
                let (own, nonce) = (starttime(u64::from(pid)).expect("it lives"), self.nonce);
                let payload = format!(r#"{{"pid":{pid},"createdAt":"{at}","starttime":{own},"nonce":{nonce}}}"#);
                fs::write(&self.path, payload).expect("written");
                self.held.insert(self.path.clone(), (file, 1));
                return Ok(true);
            }
            if self.is_stale(&self.path) {
                fs::remove_file(&self.path).ok();
            }
        }
        Ok(false)
    }

    fn acquire_again(&mut self) -> bool {
        let Some((_, count)) = self.held.get_mut(&self.path) else { return false };
        *count += 1;
        true
    }

    fn enter(&mut self) -> bool {
        self.acquire_again()
    }

    fn release(&mut self) {
        let Some((_, count)) = self.held.get_mut(&self.path) else { return };
        *count -= 1;
        if *count == 0 {
            self.held.remove(&self.path);
            fs::remove_file(&self.path).ok();
        }
    }

    fn release_all(&mut self) {
        for (path, file) in self.held.drain() {
            drop(file);
            fs::remove_file(path).ok();
        }
        self.nonce += 1;
    }

    fn sweep(&mut self, remove: bool) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).expect("readable").map(|entry| entry.expect("readable").path());
        let stale = entries.filter(|path| path.extension().is_some_and(|end| end == "lock") && self.is_stale(path));
        let stale: Vec<_> = stale.collect();
        for path in stale.iter().filter(|_| remove) {
            fs::remove_file(path).expect("removed");
        }
        stale.iter().map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
    }

    fn dies(&mut self) {
        assert_eq!(self.acquire(), Ok(true));
        // The kernel closes what a killed process had open. Its pid is dead from then on.
        self.held.clear();
        fs::write(&self.path, format!(r#"{{"pid":{},"createdAt":"2026-02-01T10:00:00Z"}}"#, super::dead_pid()))
            .expect("written");
    }

    fn is_terminated(&mut self) {
        assert_eq!(self.acquire(), Ok(true));
        // Its handlers of SIGINT, SIGTERM, SIGQUIT and SIGABRT release everything, and so does its exit hook.
        self.release_all();
    }

    fn is_terminated_after_asking(&mut self) {
        self.is_terminated();
    }
}
