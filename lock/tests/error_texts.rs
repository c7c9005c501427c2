//! Errors say what was tried, on what, why it failed and what to do, on one line, and nobody's name, path or payload gets a
//! control character into them.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use nix::libc;
use session_lock::error::{ReentryError, SystemError};
use session_lock::payload::Payload;
use session_lock::{Holder, HolderKind, LockDir, LockError, Loss, NameError, OpenError, ReleaseError, TryAcquire};
use std::error::Error;
use std::fmt::{Debug, Display};
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use support::SHORT;

/// An escape sequence, a line break, a right-to-left override, a C1 control, an isolate and a mark.
const HOSTILE: &str = "h\x1b[31m\n\u{202e}\u{9b}2J\u{2066}\u{200f}\u{7f}";

fn is_clean(text: &str) -> bool {
    let is_bidi =
        |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.chars().any(|c| c.is_control() || is_bidi(c))
}

fn assert_clean(value: &(impl Display + Debug)) {
    for text in [value.to_string(), format!("{value:?}")] {
        assert!(is_clean(&text), "{text:?}");
    }
}

/// A clean message that names what it is about, the remedy among it, and no cause that a chain would print twice.
fn assert_says<E: Error>(error: &E, words: &[&str]) {
    assert_clean(error);
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    assert!(error.source().is_none(), "{text:?} would be followed by its cause");
}

fn system(errno: i32, operation: &'static str) -> SystemError {
    SystemError { operation, path: PathBuf::from(HOSTILE), cause: io::Error::from_raw_os_error(errno) }
}

#[test]
fn a_failed_system_call_says_what_to_do() {
    let remedies = [
        (libc::EMFILE, "ulimit -n"),
        (libc::ENFILE, "fs.file-max"),
        (libc::ENOSPC, "free space or inodes"),
        (libc::EDQUOT, "free space or inodes"),
        (libc::EROFS, "for writing"),
        (libc::EACCES, "common group"),
        (libc::EPERM, "common group"),
        (libc::EFBIG, "ulimit -f"),
        (libc::ENOENT, "create the directory"),
        (libc::ENOTDIR, "use a directory"),
        (libc::EOPNOTSUPP, "Linux 6.1"),
        (libc::ENOLCK, "local file system"),
        (libc::ENOMEM, "memory"),
    ];
    for (errno, remedy) in remedies {
        let error = system(errno, "open");
        assert!(error.remedy().is_some_and(|text| text.contains(remedy)), "{error}");
        let cause = io::Error::from_raw_os_error(errno).to_string();
        assert_says(&error, &["cannot open h\\u{1b}[31m\\n\\u{202e}", &cause, remedy]);
        assert_says(&LockError::from(system(errno, "open")), &[remedy]);
        assert_says(&OpenError::from(system(errno, "open")), &[remedy]);
        assert_says(&ReleaseError::from(system(errno, "open")), &[remedy]);
    }
    for operation in ["start a thread that waits for", "prepare the lock of"] {
        assert_says(&system(libc::EAGAIN, operation), &["ulimit -u"]);
    }
    // A lease of somebody's, and what nobody has thought of: the cause says what there is to say.
    for errno in [libc::EAGAIN, libc::EIO] {
        assert_eq!(system(errno, "open").remedy(), None);
        assert_says(&system(errno, "open"), &[&io::Error::from_raw_os_error(errno).to_string()]);
    }
}

#[test]
fn holders_are_shown_without_control_characters() {
    for kind in [
        HolderKind::SameProcess,
        HolderKind::OtherProcess,
        HolderKind::OtherPidNamespace,
        HolderKind::Foreign,
        HolderKind::Unknown,
    ] {
        let hostile = || Some(HOSTILE.to_owned());
        let payload = Payload { host: hostile(), label: hostile(), ..Payload::default() };
        assert_clean(&Holder { kind, payload: Some(payload) });
    }
    let label = Some("say \"hi\", since 1970".to_owned());
    let holder = Holder { kind: HolderKind::Foreign, payload: Some(Payload { label, ..Payload::default() }) };
    assert!(holder.to_string().ends_with(r#", "say \"hi\", since 1970""#), "a label ends where it says: {holder}");
}

/// Every error that a directory and a session with hostile names, and a claim with hostile content, lead to.
#[test]
fn errors_about_hostile_names_and_payloads_are_clean_and_say_what_to_do() {
    let base = tempfile::tempdir().expect("made");
    let dir = base.path().join(HOSTILE);
    let shown = "h\\u{1b}[31m\\n\\u{202e}\\u{9b}2J\\u{2066}\\u{200f}\\u{7f}";
    let claim = dir.join(format!("{HOSTILE}.lock"));
    let shown_claim = format!("{shown}/{shown}.lock");
    assert_says(&LockDir::open(&dir).expect_err("missing"), &[shown, "create the directory"]);
    fs::write(&dir, "").expect("written");
    assert_says(&LockDir::open(&dir).expect_err("a file"), &[shown, "use a directory"]);
    fs::remove_file(&dir).expect("removed");
    fs::create_dir(&dir).expect("made");
    fs::set_permissions(&dir, Permissions::from_mode(0o1777)).expect("chmod");
    assert_says(&LockDir::open(&dir).expect_err("sticky"), &[shown, "1777", "chmod o-w,-t", "any_permissions"]);
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("chmod");
    let kind = OpenError::FileSystem { path: dir.clone(), kind: HOSTILE.into() };
    assert_says(&kind, &[shown, "any_file_system"]);

    let locks = LockDir::options().grace(Duration::from_millis(5)).open(&dir).expect("it can hold locks");
    let ask = |name: &str| locks.lock(name).timeout(SHORT).blocking().expect_err("not free");
    fs::create_dir(&claim).expect("made");
    assert_says(&ask(HOSTILE), &[&shown_claim, "a directory", "move it away"]);
    fs::remove_dir(&claim).expect("removed");

    let payload = serde_json::json!({ "pid": 1, "host": HOSTILE, "label": HOSTILE });
    fs::write(&claim, payload.to_string()).expect("written");
    let owner = OpenOptions::new().write(true).open(&claim).expect("opened");
    let error = ask(HOSTILE);
    assert!(matches!(error, LockError::Timeout { .. }), "{error}");
    assert_says(&error, &[&shown_claim, "still locked", "wait, or end that process"]);
    let Ok(TryAcquire::Busy(holder)) = locks.try_lock(HOSTILE) else { panic!("robbed a living owner") };
    assert_clean(&*holder);
    drop(owner);
    drop(locks.lock(HOSTILE).timeout(support::LONG).blocking().expect("its owner is gone"));

    fs::remove_dir_all(dir.join(".session-lock")).expect("removed");
    fs::write(dir.join(".session-lock"), "").expect("written");
    assert_says(&ask(HOSTILE), &[shown, ".session-lock cannot be used", "remove it while no process holds"]);

    let name = format!("{HOSTILE}/");
    assert_says(&ask(&name), &["cannot name a session", &NameError::NotAComponent.to_string()]);
    let long = locks.lock("s").label("x".repeat(129)).blocking().expect_err("too long");
    assert_says(&long, &["128", "129", "shorten it"]);
    assert_says(&LockError::Forked, &["open it again in the child"]);
    assert_says(&LockError::Restarted, &["ask again"]);
    assert_says(&ReleaseError::Forked, &["parent"]);
    assert_says(
        &ReleaseError::Lost { session: HOSTILE.into(), cause: Loss::Deleted },
        &[shown, "deleted its claim", "check what was written"],
    );
    for error in [ReentryError::Over, ReentryError::Lost(Loss::HoldExceeded), ReentryError::Forked] {
        assert_says(&error, &["acquire"]);
    }
}
