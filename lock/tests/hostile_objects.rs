//! Something else is at the claim's path or in the state directory: it is refused with a typed error or taken over, never
//! followed, opened for what it is not, changed or removed, and once it is gone the lock works.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::{LockDir, LockError, NameError};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::objects::{AtClaim, AtSpare, AtState, Object, objects, remove};
use support::sandbox::{Needs, become_user, isolated};
use support::snapshot::snapshot;
use support::{LONG, the_arbiter};
use tempfile::TempDir;

const SPARE: &str = "spare-0123456789abcdef0123456789abcdef";

/// A directory of sessions and one elsewhere, with what links lead to.
struct Place {
    dir: TempDir,
    outside: TempDir,
    locks: LockDir,
}

impl Place {
    fn new() -> Self {
        let (dir, outside) = (TempDir::new().expect("made"), TempDir::new().expect("made"));
        fs::write(outside.path().join("victim"), "{\"pid\":1}").expect("written");
        fs::create_dir(outside.path().join("directory")).expect("made");
        let locks = LockDir::options().grace(Duration::from_millis(5)).open(dir.path()).expect("it can hold locks");
        Self { dir, outside, locks }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join(".session-lock")
    }

    fn lock(&self) -> Result<(), LockError> {
        self.locks.lock("s").timeout(LONG).blocking()?.release().expect("released");
        Ok(())
    }

    /// Runs `act`, which must change nothing here or outside.
    fn unchanged<T>(&self, what: &str, act: impl FnOnce() -> T) -> T {
        let all = || [snapshot(self.dir.path()), snapshot(self.outside.path())];
        let before = all();
        let result = act();
        assert_eq!(all(), before, "{what}");
        result
    }
}

fn at_the_claims_path(object: &Object) {
    let place = Place::new();
    let (what, claim) = (&object.what, place.dir.path().join("s.lock"));
    if !object.make(&claim, place.outside.path()) {
        return;
    }
    match object.at_claim {
        AtClaim::NotAClaim => {
            for _ in 0..2 {
                let error = place.unchanged(what, || place.lock()).expect_err(what);
                assert!(matches!(error, LockError::NotAClaim { .. }), "{what}: {error}");
            }
            remove(&claim);
        }
        AtClaim::TakenOver => place.lock().unwrap_or_else(|error| panic!("{what}: {error}")),
    }
    place.lock().unwrap_or_else(|error| panic!("after {what}: {error}"));
    assert!(snapshot(place.dir.path()).is_empty(), "{what} left something: {:?}", snapshot(place.dir.path()));
}

fn instead_of_the_state_directory(object: &Object) {
    let place = Place::new();
    if !object.make(&place.state(), place.outside.path()) {
        return;
    }
    let (what, result) = (&object.what, place.unchanged(&object.what, || place.lock()));
    match (object.at_state, result) {
        (AtState::Used, Ok(())) => return,
        (AtState::Refused, Err(LockError::State { path, .. })) => assert_eq!(path, place.state(), "{what}"),
        (_, result) => panic!("{what}: {result:?}"),
    }
    remove(&place.state());
    place.lock().unwrap_or_else(|error| panic!("after {what}: {error}"));
}

fn instead_of_an_arbiter(object: &Object) {
    let place = Place::new();
    place.lock().expect("free");
    let arbiter = the_arbiter(place.dir.path());
    remove(&arbiter);
    if !object.make(&arbiter, place.outside.path()) {
        return;
    }
    let error = place.unchanged(&object.what, || place.lock()).expect_err(&object.what);
    let LockError::State { path, .. } = &error else { panic!("{}: {error}", object.what) };
    assert_eq!(path, &arbiter, "{}", object.what);
    remove(&arbiter);
    place.lock().unwrap_or_else(|error| panic!("after {}: {error}", object.what));
}

fn under_a_spares_name(object: &Object) {
    let place = Place::new();
    place.lock().expect("free");
    let spare = place.state().join(SPARE);
    if !object.make(&spare, place.outside.path()) {
        return;
    }
    let look = || [snapshot(place.dir.path()), snapshot(place.outside.path())].map(|mut found| found.remove(&spare));
    let before = look();
    for _ in 0..16 {
        place.lock().unwrap_or_else(|error| panic!("{}: {error}", object.what));
    }
    match object.at_spare {
        AtSpare::Stays => assert_eq!(look(), before, "{}", object.what),
        AtSpare::Removed => assert!(!spare.exists(), "{}", object.what),
    }
}

fn every_object_everywhere() {
    let objects = objects();
    assert!(objects.len() > 40);
    for object in &objects {
        at_the_claims_path(object);
        instead_of_the_state_directory(object);
        instead_of_an_arbiter(object);
        under_a_spares_name(object);
    }
}

#[test]
fn every_object_is_refused_or_taken_over() {
    every_object_everywhere();
}

/// Root may do what permissions forbid others, so the same once more without that.
#[test]
fn every_object_is_refused_or_taken_over_as_an_ordinary_user() {
    isolated("every_object_is_refused_or_taken_over_as_an_ordinary_user", Needs::Root, || {
        become_user(1001, 1001, &[]);
        every_object_everywhere();
    });
}

/// Names in the state directory that no spare has, and files that are locked or linked: the sweep leaves them alone, and they
/// keep it from none of the others.
#[test]
fn the_sweep_takes_nothing_but_dead_spares() {
    let place = Place::new();
    place.lock().expect("free");
    let name = |name: &str| place.state().join(name);
    let kept =
        ["spare-", "spare-backup", "spare-0123456789abcdef0123456789abcde", "spare-0123456789ABCDEF0123456789ABCDEF"];
    for kept in kept {
        fs::write(name(kept), "{\"pid\":1}").expect("written");
    }
    fs::write(name(&format!("{SPARE}0")), "").expect("written");
    let linked = name("spare-00000000000000000000000000000001");
    fs::write(&linked, "{\"pid\":1}").expect("written");
    fs::hard_link(&linked, place.outside.path().join("second name")).expect("linked");
    let locked = name("spare-00000000000000000000000000000002");
    fs::write(&locked, "{\"pid\":1}").expect("written");
    let _lock = support::read_lock(&locked);
    fs::create_dir(name("spare-00000000000000000000000000000000")).expect("made");
    let before = snapshot(place.dir.path());
    let dead = name(SPARE);
    fs::write(&dead, "{\"pid\":1}").expect("written");
    for _ in 0..16 {
        place.lock().expect("free");
    }
    assert!(!dead.exists(), "a dead spare is removed");
    let Place { dir, locks, .. } = place;
    drop(locks);
    assert_eq!(snapshot(dir.path()), before, "and nothing else, and this process's spare goes with the directory");
}

/// Everybody who can write to the state directory can replace an arbiter, and hold beside a holder.
#[test]
fn a_state_directory_that_everybody_may_write_to_is_refused() {
    let place = Place::new();
    fs::create_dir(place.state()).expect("made");
    fs::set_permissions(place.state(), fs::Permissions::from_mode(0o777)).expect("chmod");
    let error = place.lock().expect_err("refused");
    assert!(matches!(&error, LockError::State { path, .. } if *path == place.state()), "{error}");
    fs::set_permissions(place.state(), fs::Permissions::from_mode(0o700)).expect("chmod");
    place.lock().expect("free");
}

#[test]
fn names_that_cannot_name_a_session_make_nothing() {
    let place = Place::new();
    let multibyte = |bytes: usize| "é".repeat(bytes / 2) + &"x".repeat(bytes % 2);
    let refused: [(String, NameError); 14] = [
        (String::new(), NameError::Length(0)),
        (".".into(), NameError::NotAComponent),
        ("..".into(), NameError::NotAComponent),
        ("/".into(), NameError::NotAComponent),
        ("../s".into(), NameError::NotAComponent),
        ("/etc/passwd".into(), NameError::NotAComponent),
        ("a/".into(), NameError::NotAComponent),
        ("a\0b".into(), NameError::NotAComponent),
        ("x".repeat(251), NameError::Length(251)),
        (multibyte(251), NameError::Length(251)),
        ("x".repeat(1 << 20), NameError::Length(1 << 20)),
        ("s.lock".into(), NameError::ClaimName),
        (".lock".into(), NameError::ClaimName),
        (".session-lock".into(), NameError::StateDirectory),
    ];
    for (name, expected) in refused {
        let error = place.unchanged(&name, || place.locks.lock(&name).timeout(LONG).blocking()).expect_err(&name);
        assert!(matches!(&error, LockError::Name { cause, .. } if *cause == expected), "{error}");
        assert!(error.to_string().contains(&expected.to_string()), "{error}");
    }
    let accepted = [
        "x".repeat(250),
        multibyte(249),
        multibyte(250),
        "s.lockx".into(),
        "\u{1b}[2J\n".into(),
        "...".into(),
        "-rf".into(),
    ];
    for name in accepted {
        let guard = place.locks.lock(&name).timeout(LONG).blocking().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(place.dir.path().join(format!("{name}.lock")).exists(), "{name}");
        guard.release().expect("released");
    }
    assert!(snapshot(place.dir.path()).keys().all(|path| path.starts_with(place.state())));
}

fn owner(path: &Path, uid: u32, permissions: u32) {
    std::os::unix::fs::chown(path, Some(uid), Some(uid)).expect("root may");
    fs::set_permissions(path, fs::Permissions::from_mode(permissions)).expect("root may");
}

/// Another user's file is no claim where that user may not put one. Of root, who always may, a claim that cannot be read
/// leaves everything open, and so it is waited for.
#[test]
fn another_users_file_is_refused_or_waited_for() {
    isolated("another_users_file_is_refused_or_waited_for", Needs::Root, || {
        let place = Place::new();
        let claims = [(1002, 0o644, "theirs"), (1002, 0o000, "theirs unread"), (0, 0o000, "root's unread")];
        for (uid, permissions, name) in claims {
            let path = place.dir.path().join(format!("{name}.lock"));
            fs::write(&path, "{\"pid\":1}").expect("written");
            owner(&path, uid, permissions);
        }
        let state = place.state();
        fs::create_dir(&state).expect("made");
        owner(&state, 1002, 0o755);
        owner(place.dir.path(), 1001, 0o755);
        become_user(1001, 1001, &[]);
        let locks = LockDir::options().grace(Duration::from_millis(5)).open(place.dir.path()).expect("ours");
        let try_it = |name: &str| locks.lock(name).timeout(Duration::from_millis(50)).blocking().expect_err(name);

        let error = try_it("s");
        assert!(matches!(&error, LockError::State { path, .. } if *path == state), "{error}");
        fs::remove_dir(&state).expect("it is empty, and the directory is ours");
        for (uid, _, name) in claims {
            let before = snapshot(place.dir.path());
            let error = try_it(name);
            match uid {
                0 => assert!(matches!(error, LockError::Timeout { .. }), "{name}: {error}"),
                _ => assert!(matches!(error, LockError::NotAClaim { .. }), "{name}: {error}"),
            }
            assert_eq!(snapshot(place.dir.path()), before, "{name}");
            fs::remove_file(place.dir.path().join(format!("{name}.lock"))).expect("the directory is ours");
            locks.lock(name).timeout(LONG).blocking().expect("it is gone").release().expect("released");
        }
    });
}
