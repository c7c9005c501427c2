//! Several users of one directory that belongs to their group: they share its locks, wait for each other and take over each
//! other's dead claims, and whoever is no member is told so.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use nix::libc;
use nix::sys::stat::{Mode, umask};
use session_lock::{LockDir, LockError, TryAcquire};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Child;
use support::sandbox::{Needs, become_user, isolated, role, start};
use support::snapshot::snapshot;
use support::{LONG, wait_until};
use tempfile::TempDir;

const GROUP: u32 = 3000;
const TURNS: u64 = 100;
const FRESH: u32 = 100;

/// What a child does as which user, as the text of its role: `<what>:<uid>:<path>`.
struct Part {
    what: String,
    uid: u32,
    path: PathBuf,
}

impl Part {
    fn of_this_process() -> Option<Self> {
        let role = role()?;
        let mut parts = role.splitn(3, ':');
        let (what, uid, path) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { what: what.to_owned(), uid: uid.parse().ok()?, path: path.into() })
    }

    fn start(test: &str, what: &str, uid: u32, path: &Path) -> Child {
        start(test, &format!("{what}:{uid}:{}", path.display()))
    }

    /// In the user's own group, with the common one beside it if a member, and a umask that keeps all others out.
    fn play(&self) {
        umask(Mode::from_bits_truncate(0o077));
        let groups: &[u32] = if self.what == "stranger" { &[] } else { &[GROUP] };
        become_user(self.uid, self.uid, groups);
        let locks = LockDir::open(&self.path).expect("opening asks for nothing");
        match &*self.what {
            "stranger" => self.is_told(&locks),
            "turns" => self.take_turns(&locks),
            "first" => self.be_first(),
            "hold" => self.hold(&locks),
            what => panic!("no part: {what}"),
        }
    }

    fn is_told(&self, locks: &LockDir) {
        match locks.lock("s").timeout(LONG).blocking() {
            Err(LockError::System(error)) => {
                assert_eq!(error.cause.raw_os_error(), Some(libc::EACCES), "{error}");
                assert!(error.to_string().contains("common group"), "{error}");
            }
            other => panic!("{}: {other:?}", self.uid),
        }
    }

    /// Two that are inside at once lose an update.
    fn take_turns(&self, locks: &LockDir) {
        let counter = self.path.join("counter");
        for _ in 0..TURNS {
            let guard = locks.lock("s").timeout(LONG).blocking().expect("its turn comes");
            let count: u64 = fs::read_to_string(&counter).expect("readable").parse().expect("a number");
            std::thread::yield_now();
            fs::write(&counter, (count + 1).to_string()).expect("written");
            guard.release().expect("released");
        }
    }

    /// The first acquire in each of many directories, at the same time as another user's.
    fn be_first(&self) {
        for number in 0..FRESH {
            let locks = LockDir::open(self.path.join(number.to_string())).expect("open");
            let guard = locks.lock("s").timeout(LONG).blocking();
            guard.unwrap_or_else(|error| panic!("{}: {error}", self.uid)).release().expect("released");
        }
    }

    /// Until it is killed, with a spare for its claim.
    fn hold(&self, locks: &LockDir) {
        for _ in 0..10 {
            drop(locks.lock("t").blocking().expect("free"));
        }
        let _guard = locks.lock("s").label(self.uid.to_string()).timeout(LONG).blocking().expect("free");
        std::thread::sleep(LONG * 2);
    }
}

fn share(dir: &Path) {
    chown(dir, Some(0), Some(GROUP)).expect("root may");
    fs::set_permissions(dir, Permissions::from_mode(0o2770)).expect("chmod");
}

fn shared() -> TempDir {
    let dir = TempDir::new().expect("made");
    share(dir.path());
    dir
}

fn succeeds(mut child: Child) {
    let status = child.wait().expect("ended");
    assert!(status.success(), "{status}");
}

/// Who holds `s`, by its label.
fn holder(locks: &LockDir) -> Option<String> {
    match locks.try_lock("s").expect("no error") {
        TryAcquire::Acquired(_) => None,
        TryAcquire::Busy(holder) => holder.payload?.label,
    }
}

#[test]
fn users_of_one_group_take_turns() {
    const TEST: &str = "users_of_one_group_take_turns";
    if let Some(part) = Part::of_this_process() {
        return part.play();
    }
    isolated(TEST, Needs::Root, || {
        let dir = shared();
        let counter = dir.path().join("counter");
        fs::write(&counter, "0").expect("written");
        chown(&counter, Some(0), Some(GROUP)).expect("root may");
        fs::set_permissions(&counter, Permissions::from_mode(0o660)).expect("chmod");
        let children = [1001, 1002].map(|uid| Part::start(TEST, "turns", uid, dir.path()));
        children.into_iter().for_each(succeeds);
        assert_eq!(fs::read_to_string(&counter).expect("readable"), (2 * TURNS).to_string());
        fs::remove_file(&counter).expect("removed");
        assert!(snapshot(dir.path()).is_empty());
    });
}

/// Whoever is second meets what the first one is making: its state directory had the maker's umask and group for a moment, and
/// the second was told that it had no permission.
#[test]
fn users_of_one_group_come_first_together() {
    const TEST: &str = "users_of_one_group_come_first_together";
    if let Some(part) = Part::of_this_process() {
        return part.play();
    }
    isolated(TEST, Needs::Root, || {
        let dir = shared();
        for number in 0..FRESH {
            let fresh = dir.path().join(number.to_string());
            fs::create_dir(&fresh).expect("made");
            share(&fresh);
        }
        let children = [1001, 1002, 1001, 1002].map(|uid| Part::start(TEST, "first", uid, dir.path()));
        children.into_iter().for_each(succeeds);
        for number in 0..FRESH {
            assert!(snapshot(&dir.path().join(number.to_string())).is_empty());
        }
    });
}

#[test]
fn a_dead_users_claim_is_taken_over_by_another() {
    const TEST: &str = "a_dead_users_claim_is_taken_over_by_another";
    if let Some(part) = Part::of_this_process() {
        return part.play();
    }
    isolated(TEST, Needs::Root, || {
        let dir = shared();
        let locks = LockDir::open(dir.path()).expect("open");
        let mut before: Option<Child> = None;
        for uid in [1001, 1002, 1001, 1002] {
            let child = Part::start(TEST, "hold", uid, dir.path());
            if let Some(mut before) = before.replace(child) {
                before.kill().expect("our child");
                before.wait().expect("ended");
            }
            wait_until(|| holder(&locks) == Some(uid.to_string()));
        }
        let mut last = before.expect("the last one");
        last.kill().expect("our child");
        last.wait().expect("ended");
        assert_eq!(holder(&locks), None, "a dead owner's lock is free at once");
    });
}

/// Before there is a state directory, with one, and with a claim.
#[test]
fn a_user_outside_of_the_group_is_told_so() {
    const TEST: &str = "a_user_outside_of_the_group_is_told_so";
    if let Some(part) = Part::of_this_process() {
        return part.play();
    }
    isolated(TEST, Needs::Root, || {
        let dir = shared();
        let told = || {
            let before = snapshot(dir.path());
            succeeds(Part::start(TEST, "stranger", 1003, dir.path()));
            assert_eq!(snapshot(dir.path()), before);
        };
        told();
        let locks = LockDir::open(dir.path()).expect("open");
        let guard = locks.lock("s").blocking().expect("free");
        told();
        guard.release().expect("released");
        told();
        // May look, but not write.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o2775)).expect("chmod");
        told();
    });
}
