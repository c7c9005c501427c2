//! Every state of a lock, made for real, and what a look says of it. A look changes nothing and disturbs nobody.

use super::{LONG, SHORT, dead_pid, exit_code, kill, somebody_waits, stranger, strangers, wait_until};
use crate::sys::fork::{in_child, write_between_forks};
use crate::verdict::{OwnerProcess, Reason};
use crate::{HolderKind, InspectError, Inspection, LockDir, LockError, State};
use nix::fcntl::{FcntlArg, fcntl};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

pub(super) fn look(locks: &LockDir) -> Inspection {
    locks.inspect("s").expect("a valid name")
}

pub(super) fn assert_state(found: &Inspection, state: State) {
    assert_eq!(found.state, state, "{found:?}");
    let words = found.to_string();
    assert!(!words.contains('\n') && words.starts_with(&found.name), "{words}");
}

/// Waits for a state: a child that another test forks may have our descriptors for a moment.
fn look_until(locks: &LockDir, state: State) -> Inspection {
    wait_until(|| look(locks).state == state);
    let found = look(locks);
    assert_state(&found, state);
    found
}

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable").file_name()).collect()
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `run` in a child that is nobody, with no right of root's.
fn as_nobody(run: impl FnOnce() -> i32) -> Option<i32> {
    exit_code(in_child(|| {
        let (uid, gid) = (rustix::fs::Uid::from_raw(65534), rustix::fs::Gid::from_raw(65534));
        let groups = set_thread_groups(&[]);
        let user = set_thread_res_gid(gid, gid, gid).and_then(|()| set_thread_res_uid(uid, uid, uid));
        if groups.is_err() || user.is_err() {
            return 100;
        }
        run()
    }))
}

#[test]
fn a_look_at_nothing_is_free_and_leaves_nothing() {
    let (dir, locks, _) = strangers();
    let found = look(&locks);
    assert_state(&found, State::Free);
    assert_eq!((found.holder, found.waiters.parked), (None, Some(0)));
    assert!(locks.inspect_all().expect("readable").is_empty());
    assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
    write_between_forks(dir.path().join("s.lock"), "{\"pid\":1}");
    look_until(&locks, State::Reclaimable);
    assert_eq!(names(dir.path()), ["s.lock"]);
    assert!(matches!(locks.inspect("a/b"), Err(InspectError::Name { .. })));
}

#[test]
fn a_hold_of_this_process_and_who_waits_for_it() {
    let (_dir, one, other) = strangers();
    let guard = one.lock("s").label("run 17").blocking().expect("free");
    std::thread::scope(|scope| {
        let here = scope.spawn(|| one.lock("s").label("next").timeout(LONG).blocking().expect("released").release());
        let there = scope.spawn(|| other.lock("s").timeout(LONG).blocking().expect("released").release());
        wait_until(|| look(&one).waiters.parked == Some(1) && somebody_waits(&one));
        let found = look(&one);
        assert_state(&found, State::Held);
        let holder = found.holder.as_ref().expect("its claim names it");
        assert_eq!(holder.kind, HolderKind::SameProcess);
        assert_eq!(holder.payload.as_ref().and_then(|payload| payload.label.as_deref()), Some("run 17"));
        assert_eq!((found.process, found.pid_here), (OwnerProcess::Present, None));
        let [waiting] = found.waiters.here.as_slice() else { panic!("{found:?}") };
        assert_eq!(waiting.label.as_deref(), Some("next"));
        let words = found.to_string();
        assert!(words.contains("held by this process") && words.contains("run 17"), "{words}");
        assert!(words.contains("1 waiting in this process, 1 in the kernel's queue"), "{words}");
        assert!(look(&other).waiters.here.len() == 1, "the other's waiter");
        drop(guard);
        here.join().expect("no panic").expect("released");
        there.join().expect("no panic").expect("released");
    });
    assert_state(&look(&one), State::Free);
}

#[test]
fn a_hold_of_another_process_and_what_is_left_of_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let owner = in_child(|| {
        let Ok(locks) = LockDir::open(path) else { return 1 };
        let Ok(_guard) = locks.lock("s").blocking() else { return 1 };
        fs::write(path.join("ready"), "").ok();
        std::thread::sleep(LONG);
        0
    });
    wait_until(|| path.join("ready").exists());
    let locks = stranger(path);
    let found = look(&locks);
    assert_state(&found, State::Held);
    let holder = found.holder.expect("its claim names it");
    assert_eq!(holder.kind, HolderKind::OtherProcess);
    assert_eq!(holder.payload.and_then(|payload| payload.pid), Some(owner));
    assert_eq!(found.process, OwnerProcess::Present);
    kill(owner);
    let found = look(&locks);
    assert_state(&found, State::Reclaimable);
    assert_eq!((found.reason, found.process), (Some(Reason::OwnerExited), OwnerProcess::Gone));
    assert!(found.to_string().contains("takes it over at once"), "{found}");
    drop(locks.lock("s").timeout(LONG).blocking().expect("a look changes nothing"));
}

#[test]
fn a_hold_whose_state_directory_was_removed_is_a_hold() {
    let (dir, one, other) = strangers();
    let guard = one.lock("s").blocking().expect("free");
    fs::remove_dir_all(dir.path().join(".session-lock")).expect("removed");
    assert_state(&look(&other), State::Held);
    fs::remove_file(dir.path().join("s.lock")).expect("removed");
    wait_until(|| look(&other).state == State::Held);
    drop(guard);
}

/// Payloads of a dead older peer, and the state and the reason that a look gives.
#[test]
fn a_foreign_claim_is_held_while_its_writer_lives_and_then_left() {
    let (me, dead) = (std::process::id(), dead_pid());
    let rebooted = r#""bootId":"11111111-1111-1111-1111-111111111111""#;
    let cases = [
        (String::new(), State::Corrupt, Reason::EmptyPayload),
        (format!("{{\"pid\":{dead},\"cre"), State::Corrupt, Reason::TornPayload),
        ("{}".to_owned(), State::Reclaimable, Reason::MissingPid),
        (format!("{{\"pid\":{dead}}}"), State::Reclaimable, Reason::DeadPid),
        (format!("{{\"pid\":{me}}}"), State::Reclaimable, Reason::OrphanSelfPid),
        ("{\"pid\":1,\"starttime\":999999999}".to_owned(), State::Reclaimable, Reason::RecycledPid),
        ("{\"pid\":1}".to_owned(), State::Reclaimable, Reason::Abandoned),
        (format!("{{\"pid\":{me},\"nonce\":\"{}\"}}", "0".repeat(32)), State::Reclaimable, Reason::NonceMismatch),
        (format!("{{\"pid\":{dead},{rebooted}}}"), State::Reclaimable, Reason::Rebooted),
        (format!("{dead}\nsome-host\n"), State::Reclaimable, Reason::DeadPid),
    ];
    for (payload, state, reason) in cases {
        let (dir, locks, _) = strangers();
        let mut file = File::create_new(dir.path().join("s.lock")).expect("a fresh directory");
        file.write_all(payload.as_bytes()).expect("written");
        let found = look(&locks);
        assert_state(&found, State::ForeignHeld);
        assert_eq!(found.reason, None);
        assert_eq!(found.holder.map(|holder| holder.kind), Some(HolderKind::Foreign));
        drop(file);
        let found = look_until(&locks, state);
        assert_eq!(found.reason, Some(reason), "{payload}");
        assert!(found.to_string().contains("after the grace"), "{found}");
    }
}

#[test]
fn what_is_no_claim_is_told_by_what_it_is() {
    type Make = fn(&Path);
    let cases: [(&str, Make); 7] = [
        ("a symbolic link", |path| symlink("/dev/null", path).expect("linked")),
        ("a directory", |path| fs::create_dir(path).expect("made")),
        ("a FIFO", |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("made")),
        ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).expect("bound"))),
        ("more than 4 KiB", |path| fs::write(path, "{".repeat(5000)).expect("written")),
        ("content is not", |path| fs::write(path, "# yarn lockfile v1\n").expect("written")),
        ("another hard link", |path| {
            fs::write(path, "{}").expect("written");
            fs::hard_link(path, path.with_extension("link")).expect("linked");
        }),
    ];
    for (words, make) in cases {
        let (dir, locks, _) = strangers();
        make(&dir.path().join("s.lock"));
        let found = look(&locks);
        assert_state(&found, State::NotAClaim);
        assert!(found.to_string().contains(words), "{found}");
    }
    if !is_root() {
        eprintln!("skipped: what_is_no_claim_is_told_by_what_it_is, another user's file: needs root");
        return;
    }
    let (dir, locks, _) = strangers();
    fs::write(dir.path().join("s.lock"), "{}").expect("written");
    chown(dir.path().join("s.lock"), Some(12345), None).expect("root may");
    assert_state(&look(&locks), State::NotAClaim);
}

/// A read lock on the range keeps everybody from acquiring, and is no holder of this crate.
#[test]
fn a_lock_of_another_kind_is_unknown() {
    let (dir, locks, _) = strangers();
    drop(locks.lock("s").blocking().expect("free"));
    let range = crate::name::Session::new("s").expect("valid").range;
    let arbiter = dir.path().join(format!(".session-lock/arbiter-{:02x}", range.shard));
    let read = |start: u64, len| libc::flock {
        l_type: i16::try_from(libc::F_RDLCK).expect("small"),
        l_whence: 0,
        l_start: i64::try_from(start).expect("62 bits"),
        l_len: len,
        l_pid: 0,
    };
    let file = File::open(arbiter).expect("readable");
    fcntl(&file, FcntlArg::F_OFD_SETLK(&read(range.offset, 1))).expect("locked");
    let found = look(&locks);
    assert_state(&found, State::Unknown);
    assert!(found.to_string().contains("range of the arbiter has a read lock"), "{found}");
    drop(file);
    look_until(&locks, State::Free);

    fs::write(dir.path().join("s.lock"), "{}").expect("written");
    let file = File::open(dir.path().join("s.lock")).expect("readable");
    fcntl(&file, FcntlArg::F_OFD_SETLK(&read(0, 0))).expect("locked");
    let found = look(&locks);
    assert_state(&found, State::Unknown);
    assert!(found.to_string().contains("claim has a read lock"), "{found}");
    drop(file);
    look_until(&locks, State::Reclaimable);
}

/// Permission to read is enough; what may not be read is unknown, and a waiter that it keeps waiting is told.
#[test]
fn without_permissions_it_says_what_it_may_not() {
    if !is_root() {
        eprintln!("skipped: without_permissions_it_says_what_it_may_not: needs root");
        return;
    }
    let (dir, locks, _) = strangers();
    let (path, claim) = (dir.path(), dir.path().join("s.lock"));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
    mode(path, 0o755);
    let guard = locks.lock("s").blocking().expect("free");
    mode(&claim, 0o644);
    let seen = as_nobody(|| {
        let Ok(locks) = LockDir::open(path) else { return 99 };
        look(&locks).state as i32
    });
    assert_eq!(seen, Some(State::Held as i32), "permission to read is enough");
    drop(guard);

    // A dead peer's claim of another user, first unreadable, then without the right to probe.
    fs::remove_dir_all(path.join(".session-lock")).expect("root may");
    chown(path, None, Some(65534)).expect("root may");
    mode(path, 0o770);
    write_between_forks(&claim, "{\"pid\":1}");
    for (permissions, words) in [(0o600, "ermission denied"), (0o644, "cannot be asked")] {
        mode(&claim, permissions);
        let told = as_nobody(|| {
            let Ok(locks) = LockDir::open(path) else { return 99 };
            let found = look(&locks);
            if found.state != State::Unknown || !found.to_string().contains(words) {
                return 1;
            }
            match locks.lock("s").timeout(SHORT).blocking() {
                Err(error @ LockError::Timeout { .. }) => i32::from(!error.to_string().contains(words)) * 2,
                _ => 3,
            }
        });
        assert_eq!(told, Some(0), "mode {permissions:o}");
    }
}

/// A dead owner's claim that this process may read and not write: others take it over.
#[test]
fn a_dead_claim_that_may_not_be_written_says_so() {
    if !is_root() {
        eprintln!("skipped: a_dead_claim_that_may_not_be_written_says_so: needs root");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let owner = in_child(|| {
        let Ok(locks) = LockDir::open(path) else { return 1 };
        let Ok(guard) = locks.lock("s").blocking() else { return 1 };
        std::mem::forget(guard);
        0
    });
    assert_eq!(exit_code(owner), Some(0));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("root may");
    for name in ["s.lock", ".session-lock"] {
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).expect("root may");
    }
    for name in names(&path.join(".session-lock")) {
        let arbiter = path.join(".session-lock").join(name);
        fs::set_permissions(arbiter, fs::Permissions::from_mode(0o644)).expect("root may");
    }
    let told = as_nobody(|| {
        let Ok(locks) = LockDir::open(path) else { return 99 };
        let found = look(&locks);
        i32::from(found.reason != Some(Reason::OwnerExited) || found.is_removable() || found.note.is_none())
    });
    assert_eq!(told, Some(0));
    assert!(look(&stranger(path)).is_removable(), "root may");
}

#[test]
fn all_sessions_sorted_and_nothing_else() {
    let (dir, locks, _) = strangers();
    let path = dir.path();
    let _b = locks.lock("b").blocking().expect("free");
    fs::write(path.join("a.lock"), "{}").expect("written");
    fs::write(path.join("yarn.lock"), "# yarn").expect("written");
    for other in ["a", "x.lock.lock", ".lock", "lock"] {
        fs::write(path.join(other), "").expect("written");
    }
    fs::write(path.join(std::ffi::OsStr::from_bytes(b"\xff.lock")), "").expect("written");
    let found = locks.inspect_all().expect("readable");
    let found: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.state)).collect();
    assert_eq!(found, [("a", State::Reclaimable), ("b", State::Held), ("yarn", State::NotAClaim)]);
}

/// Who waited in vain is told who holds, where, since when, and why that is in the way.
#[test]
fn a_timeout_tells_why() {
    let (_dir, one, other) = strangers();
    let _guard = one.lock("s").label("run\n17").blocking().expect("free");
    let error = other.lock("s").timeout(SHORT).blocking().expect_err("held");
    let words = error.to_string();
    assert!(words.contains("s.lock is still locked after") && words.contains("s is held by this process"), "{words}");
    assert!(
        words.contains(r#""run\n17""#) && words.contains(", since 2") && words.contains("its claim is locked"),
        "{words}"
    );
    let LockError::Timeout { found, .. } = error else { panic!("{words}") };
    assert_eq!((found.state, found.waiters.parked), (State::Held, None));
}
