//! The disk or its inode table is full, at every moment of a lock's life: a typed error that says so, nothing left over, and
//! the same handle works once there is room.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use nix::libc;
use session_lock::{LockDir, LockError, Loss};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::sandbox::{Needs, isolated, skipped};
use support::snapshot::snapshot;
use support::{LONG, SHORT, release_deleted, wait_until};
use tempfile::TempDir;

/// What is used up.
#[derive(Clone, Copy, Debug)]
enum Full {
    Blocks,
    Inodes,
}

/// A small file system with a directory of sessions and one to fill it from.
struct Disk {
    sessions: PathBuf,
    filler: PathBuf,
    full: Full,
}

impl Disk {
    fn new(mounted: &Path, full: Full) -> Self {
        let (sessions, filler) = (mounted.join("sessions"), mounted.join("filler"));
        fs::create_dir(&sessions).and_then(|()| fs::create_dir(&filler)).expect("made");
        Self { sessions, filler, full }
    }

    fn fill(&self) {
        match self.full {
            Full::Blocks => {
                let mut file = File::create(self.filler.join("blocks")).expect("made");
                let mut size = 1 << 16;
                while size > 0 {
                    if file.write_all(&vec![b'x'; size]).and_then(|()| file.sync_all()).is_err() {
                        size /= 2;
                    }
                }
            }
            Full::Inodes => {
                let made = |number| File::create(self.filler.join(format!("{number}"))).is_ok();
                assert!((0..10_000).any(|number| !made(number)), "the inode table is never full");
            }
        }
    }

    fn free(&self) {
        for entry in fs::read_dir(&self.filler).expect("readable") {
            fs::remove_file(entry.expect("readable").path()).expect("removed");
        }
    }

    fn open(&self) -> LockDir {
        LockDir::options().grace(Duration::from_millis(5)).open(&self.sessions).expect("opening needs no room")
    }

    /// Some acquires with no room: each works or says that there is none, and changes nothing.
    fn full(&self, when: &str, locks: &LockDir) -> u32 {
        let before = snapshot(&self.sessions);
        let mut failed = 0;
        for _ in 0..12 {
            match lock(locks) {
                Ok(()) => {}
                Err(LockError::System(error)) => {
                    assert_eq!(error.cause.raw_os_error(), Some(libc::ENOSPC), "{when}: {error}");
                    assert!(error.to_string().contains("free space or inodes"), "{error}");
                    failed += 1;
                }
                Err(error) => panic!("{when}: {error}"),
            }
        }
        let no_spare = |found: &PathBuf| !found.to_string_lossy().contains("/spare-");
        let names =
            |found: std::collections::BTreeMap<PathBuf, _>| found.into_keys().filter(no_spare).collect::<Vec<_>>();
        assert_eq!(names(snapshot(&self.sessions)), names(before), "{when}: something was left");
        failed
    }

    fn test(&self) {
        let mut failed = [0; 4];
        self.fill();
        failed[0] = self.full("before the first open", &self.open());
        self.free();
        lock(&self.open()).expect("there is room again");
        fs::remove_dir_all(self.sessions.join(".session-lock")).expect("removed");

        let locks = self.open();
        self.fill();
        failed[1] = self.full("before the first acquire", &locks);
        self.free();
        for (index, holds) in [(2, 1), (3, 16)] {
            for _ in 0..holds {
                lock(&locks).expect("there is room again");
            }
            self.fill();
            failed[index] = self.full("between acquires", &locks);
            self.free();
        }
        eprintln!("{:?}: {failed:?} of 12 acquires failed", self.full);
        assert!(failed[0] > 0 && failed[1] > 0, "it was not full");
        self.within_a_hold(&locks);
        self.takeover(&locks);
        lock(&locks).expect("there is room again");
        drop(locks);
        wait_until(|| snapshot(&self.sessions).is_empty());
    }

    /// The claim is deleted, and there is no room to put it back: the hold goes on, and ends like any other.
    fn within_a_hold(&self, locks: &LockDir) {
        for young in [true, false] {
            let guard = locks.lock("s").timeout(LONG).blocking().expect("there is room");
            if !young {
                std::thread::sleep(SHORT);
            }
            self.fill();
            fs::remove_file(self.sessions.join("s.lock")).expect("it was there");
            std::thread::sleep(SHORT);
            assert_ne!(guard.is_lost(), Some(Loss::Replaced));
            release_deleted(guard);
            assert!(!self.sessions.join("s.lock").exists());
            self.free();
            lock(locks).expect("there is room again");
        }
    }

    /// A dead older peer's claim, empty because the disk was full for it as well.
    fn takeover(&self, locks: &LockDir) {
        let claim = self.sessions.join("s.lock");
        File::create(&claim).expect("there is room");
        self.fill();
        match lock(locks) {
            Ok(()) => {}
            Err(LockError::System(error)) => {
                assert_eq!(error.cause.raw_os_error(), Some(libc::ENOSPC), "{error}");
                assert_eq!(fs::read(&claim).expect("still there"), b"");
            }
            Err(error) => panic!("{error}"),
        }
        self.free();
        lock(locks).expect("there is room again");
        assert!(!claim.exists());
    }
}

fn lock(locks: &LockDir) -> Result<(), LockError> {
    locks.lock("s").timeout(LONG).blocking()?.release().expect("a release needs no room");
    Ok(())
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn on_tmpfs(test: &str, option: &str, full: Full) {
    isolated(test, Needs::Mounts, || {
        let dir = TempDir::new().expect("made");
        let at = dir.path().to_str().expect("text");
        assert!(runs("mount", &["-t", "tmpfs", "-o", option, "none", at]));
        Disk::new(dir.path(), full).test();
    });
}

#[test]
fn a_full_tmpfs() {
    on_tmpfs("a_full_tmpfs", "mode=0700,size=128k", Full::Blocks);
}

#[test]
fn a_tmpfs_without_inodes() {
    on_tmpfs("a_tmpfs_without_inodes", "mode=0700,nr_inodes=40", Full::Inodes);
}

fn on_ext4(test: &str, full: Full) {
    isolated(test, Needs::Mounts, || {
        let base = TempDir::new().expect("made");
        let (image, mounted) = (base.path().join("image"), base.path().join("mounted"));
        fs::create_dir(&mounted).expect("made");
        File::create(&image).and_then(|file| file.set_len(2 << 20)).expect("made");
        let (image, at) = (image.to_str().expect("text"), mounted.to_str().expect("text"));
        if !runs("mkfs.ext4", &["-q", "-F", "-b", "1024", "-m", "0", "-N", "64", "-O", "^has_journal", image]) {
            return skipped(test, "mkfs.ext4");
        }
        if !runs("mount", &["-t", "ext4", "-o", "loop", image, at]) {
            return skipped(test, "a loop device");
        }
        Disk::new(&mounted, full).test();
    });
}

#[test]
fn a_full_ext4() {
    on_ext4("a_full_ext4", Full::Blocks);
}

#[test]
fn an_ext4_without_inodes() {
    on_ext4("an_ext4_without_inodes", Full::Inodes);
}
