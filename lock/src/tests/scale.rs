//! Sweeps of ten thousand claims. A grace for each of them would take half an hour.

use super::sweeps::{claim, claims_left, counts, leave_older, leave_own, name, outcomes, sweep};
use super::{LONG, stranger};
use crate::payload::Content;
use crate::sys::fork::between_forks;
use crate::{Guard, LockDir, SweepOutcome};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::{TempDir, tempdir, tempdir_in};

const MANY: usize = 10_000;

/// One at a time: each takes most of the descriptors that the process may have.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory in memory, if there is one: making 256 arbiters syncs as often.
fn many() -> (TempDir, LockDir, LockDir) {
    let memory = Path::new("/dev/shm");
    let dir = tempdir_in(memory).or_else(|_| tempdir()).expect("a temporary directory");
    let (one, other) = (stranger(dir.path()), stranger(dir.path()));
    (dir, one, other)
}

#[test]
fn ten_thousand_claims_of_an_older_peer() {
    let _alone = alone();
    raise_limit();
    let (dir, locks, _) = many();
    leave_older(dir.path(), 0..MANY);
    let swept = sweep(&locks);
    assert_eq!(outcomes(&swept), counts([("removed DeadPid", MANY)]));
    assert_eq!(claims_left(dir.path()), 0);
}

#[test]
fn ten_thousand_claims_of_this_crate_need_no_grace() {
    let (dir, locks, other) = many();
    leave_own(&other, 0..MANY);
    let endless = LockDir { grace: Duration::MAX, ..locks };
    let swept = sweep(&endless);
    assert_eq!(outcomes(&swept), counts([("removed OwnerExited", MANY)]));
    assert_eq!(claims_left(dir.path()), 0);
}

/// A tenth of the claims is held again, by this crate in another process's view and as an older peer holds, some of it
/// while the sweep waits for the grace.
#[test]
fn the_claims_of_living_owners_are_not_touched() {
    let _alone = alone();
    raise_limit();
    let (dir, locks, other) = many();
    let path = dir.path();
    leave_older(path, 0..MANY);
    let older = |number: usize| {
        fs::remove_file(claim(path, number)).ok();
        let mut file = File::create_new(claim(path, number)).ok()?;
        file.write_all(b"{\"pid\":1}").expect("written");
        Some((number, file))
    };
    let mut guards: Vec<Guard> = Vec::new();
    for number in (0..MANY).step_by(20) {
        fs::remove_file(claim(path, number)).expect("there");
        guards.push(other.lock(&name(number)).timeout(LONG).blocking().expect("free"));
    }
    let mut files: Vec<_> = (10..MANY / 2).step_by(20).filter_map(older).collect();
    let swept = std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| sweep(&locks));
        // The older peer's owners that were slow to unlink, and their successors.
        files.extend((MANY / 2 + 10..MANY).step_by(20).filter_map(older));
        sweeping.join().expect("no panic")
    });
    assert_eq!((guards.len(), files.len() > MANY / 40), (MANY / 20, true));
    for guard in &guards {
        let content = fs::read(path.join(guard.session().to_owned() + ".lock")).expect("the claim is there");
        let content = Content::classify(&content);
        assert_eq!(content.payload().and_then(|payload| payload.token), Some(guard.token()));
        assert_eq!(guard.is_lost(), None);
    }
    for (number, file) in &files {
        let (open, named) = (crate::sys::file::stat(file), fs::metadata(claim(path, *number)));
        let named = std::os::unix::fs::MetadataExt::ino(&named.expect("the claim is there"));
        assert_eq!(open.expect("open").inode.ino, named, "{number} is another file");
        assert_eq!(fs::read(claim(path, *number)).expect("readable"), b"{\"pid\":1}");
    }
    let removed = outcomes(&swept)["removed DeadPid"];
    assert!(removed >= MANY - MANY / 10, "{:?}", outcomes(&swept));
    assert_eq!(claims_left(path), guards.len() + files.len());
}

/// Every claim of a large sweep wants a descriptor; where the limit cannot be raised there are more batches.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
}

/// Two processes sweep at once: each claim is removed by one of them, and only once.
#[test]
fn two_sweeps_at_once_remove_each_claim_once() {
    let _alone = alone();
    raise_limit();
    let (dir, one, other) = many();
    leave_older(dir.path(), 0..1000);
    leave_own(&other, 1000..2000);
    let swept = between_forks(|| {
        std::thread::scope(|scope| {
            let sweeping = [&one, &other].map(|locks| scope.spawn(|| locks.sweep().blocking().expect("listed")));
            sweeping.map(|thread| thread.join().expect("no panic").claims)
        })
    });
    let claims = swept.iter().flatten();
    let removed = claims.filter(|claim| matches!(claim.outcome, SweepOutcome::Removed { .. })).count();
    assert_eq!((removed, claims_left(dir.path())), (2000, 0));
}
