//! `doctor`: a healthy directory has nothing, each planted fault is named, and nothing is changed by looking.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Output;

use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};
use session_lock::LockDir;

use crate::support::{Running, Sessions, json, skipped, stdout};

/// Notes are nothing wrong: this machine may be a container.
pub(crate) fn findings(output: &Output) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let all = json(output);
    for finding in all.as_array().expect("a list") {
        assert!(!text(&finding["what"]).is_empty() && !text(&finding["remedy"]).is_empty(), "{finding}");
    }
    let found = all.as_array().expect("a list").iter().filter(|finding| finding["severity"] != "note");
    found.map(|finding| (text(&finding["severity"]), text(&finding["what"]))).collect()
}

/// That it finds just this.
#[track_caller]
pub(crate) fn assert_found(output: &Output, severity: &str, part: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found = findings(output);
    assert!(found.len() == 1 && found[0].0 == severity && found[0].1.contains(part), "{part}: {found:?}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Paths, and what a change of any of them would change.
fn snapshot(path: &Path) -> Vec<(std::path::PathBuf, u64, u64, i64, i64, u32)> {
    let mut found = Vec::new();
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let stat = fs::symlink_metadata(&path).expect("there");
        if stat.is_dir() {
            left.extend(fs::read_dir(&path).expect("readable").map(|entry| entry.expect("readable").path()));
        }
        found.push((path, stat.ino(), stat.size(), stat.mtime_nsec(), stat.ctime_nsec(), stat.mode()));
    }
    found.sort();
    found
}

fn used() -> Sessions {
    let sessions = Sessions::new();
    sessions.hold("s", "once").release().expect("held");
    sessions
}

fn state(sessions: &Sessions) -> std::path::PathBuf {
    sessions.file(".session-lock")
}

fn arbiter(sessions: &Sessions) -> std::path::PathBuf {
    let mut names = fs::read_dir(state(sessions)).expect("readable").map(|entry| entry.expect("readable").path());
    names.find(|path| path.to_string_lossy().contains("arbiter-")).expect("there is one")
}

#[test]
fn a_healthy_directory_has_nothing() {
    let fresh = Sessions::new();
    let used = used();
    let held = Sessions::new();
    let _guard = held.hold("s", "run 17");
    for sessions in [&fresh, &used, &held] {
        let output = sessions.output(&["doctor", "--json"]);
        assert_eq!((output.status.code(), findings(&output)), (Some(0), Vec::new()));
        let output = sessions.output(&["doctor"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(
            stdout(&output).ends_with(&format!("nothing is wrong with {}\n", sessions.path().display())),
            "{output:?}"
        );
    }
}

#[test]
fn looking_changes_nothing() {
    let sessions = used();
    // A holder that counts writes by itself while it holds.
    let silent = LockDir::options().without_counters().open(sessions.path()).expect("a directory for locks");
    let _guard = silent.lock("held").blocking().expect("free");
    sessions.write("dead.lock", r#"{"pid":4194303}"#);
    sessions.write("empty.lock", "");
    fs::write(state(&sessions).join(format!("spare-{}", "0b".repeat(16))), r#"{"pid":4194303}"#).expect("written");
    fs::create_dir(sessions.file(&format!(".session-lock-{}", "0a".repeat(16)))).expect("made");
    let before = snapshot(sessions.path());
    assert_eq!(sessions.output(&["doctor"]).status.code(), Some(1));
    assert_eq!(snapshot(sessions.path()), before);
    let empty = Sessions::new();
    let before = snapshot(empty.path());
    assert_eq!(empty.output(&["doctor"]).status.code(), Some(0));
    assert_eq!(snapshot(empty.path()), before);
}

#[test]
fn each_fault_of_the_directory_is_named() {
    let plant = |severity: &str, part: &str, plant: &dyn Fn(&Sessions)| {
        let sessions = used();
        plant(&sessions);
        assert_found(&sessions.output(&["doctor", "--json"]), severity, part);
    };
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    plant("fault", "everybody may write to it", &|s| mode(s.path(), 0o777));
    plant("fault", "sticky bit", &|s| mode(s.path(), 0o1770));
    plant("fault", ".session-lock may be written by everybody", &|s| mode(&state(s), 0o777));
    plant("fault", ".session-lock is no directory", &|s| {
        fs::rename(state(s), s.file("elsewhere")).expect("renamed");
        symlink("elsewhere", state(s)).expect("made");
    });
    plant("fault", "is no file", &|s| {
        let arbiter = arbiter(s);
        fs::remove_file(&arbiter).expect("there");
        fs::create_dir(&arbiter).expect("made");
    });
    if !is_root() {
        return skipped("each_fault_of_the_directory_is_named, owners' part", "root");
    }
    plant("fault", ".session-lock belongs to another user", &|s| chown(state(s), Some(1001), None).expect("root may"));
    plant("fault", "belongs to another user", &|s| chown(arbiter(s), Some(1001), None).expect("root may"));
}

#[test]
fn each_fault_of_the_locks_is_named() {
    let plant = |severity: &str, part: &str, plant: &dyn Fn(&Sessions)| {
        let sessions = used();
        plant(&sessions);
        assert_found(&sessions.output(&["doctor", "--json"]), severity, part);
    };
    plant("warning", "dead owners: 2, the first of a", &|s| {
        s.write("a.lock", r#"{"pid":4194303}"#);
        s.write("b.lock", r#"{"pid":4194303}"#);
    });
    plant("warning", "it is empty", &|s| s.write("a.lock", ""));
    plant("warning", "it is cut short", &|s| s.write("a.lock", "{\"pid\":"));
    plant("fault", "has no lock file, but", &|s| fs::create_dir(s.file("a.lock")).expect("made"));
    plant("fault", "has no lock file, but", &|s| s.write("a.lock", "hello"));
    plant("warning", "spare files of dead processes in .session-lock: 1", &|s| {
        fs::write(state(s).join(format!("spare-{}", "0b".repeat(16))), r#"{"pid":4194303}"#).expect("written");
    });
    plant("warning", "a killed process left: 1", &|s| {
        fs::create_dir(s.file(&format!(".session-lock-{}", "0a".repeat(16)))).expect("made");
    });
    plant("warning", "slots of counters that are damaged, whose counts are lost: 1", &|s| {
        fs::write(state(s).join("metrics-v1"), "damaged").expect("written");
    });
}

#[test]
fn counters_without_a_free_slot_are_named() {
    let sessions = used();
    let mut bytes = vec![0; 1024 * 80 * 1024];
    for slot in bytes.chunks_mut(80 * 1024) {
        slot[..7].copy_from_slice(b"damaged");
    }
    fs::write(state(&sessions).join("metrics-v1"), bytes).expect("written");
    let output = sessions.output(&["doctor", "--json"]);
    let found: Vec<_> = findings(&output).into_iter().map(|(_, what)| what).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("whose counts are lost: 1024") && found[1].contains("all slots of counters are taken"),
        "{found:?}"
    );
}

/// The open files of a holder that are in its directory, as a child has them that it did not mean to give them to; `None`
/// where nobody may take them.
fn inherited(holder: &Running, sessions: &Sessions) -> Option<Vec<OwnedFd>> {
    let process = pidfd_open(holder.pid(), PidfdFlags::empty()).expect("our child");
    let files = fs::read_dir(format!("/proc/{}/fd", holder.pid().as_raw_nonzero())).expect("our child");
    let files = files.map(|entry| entry.expect("readable").path());
    let files = files.filter(|file| fs::read_link(file).is_ok_and(|path| path.starts_with(sessions.path())));
    let number = |file: std::path::PathBuf| file.file_name()?.to_str()?.parse().ok();
    let taken = files.map(|file| pidfd_getfd(&process, number(file).expect("a number"), PidfdGetfdFlags::empty()));
    match taken.collect::<Result<Vec<_>, _>>() {
        Err(Errno::PERM | Errno::NOSYS) => None,
        taken => Some(taken.expect("open")),
    }
}

#[test]
fn a_lock_that_outlives_its_holder_in_a_child_is_named() {
    let sessions = Sessions::new();
    let holder = sessions.runner("run 17");
    let Some(files) = inherited(&holder, &sessions) else {
        return skipped("a_lock_that_outlives_its_holder_in_a_child_is_named", "pidfd_getfd(2) of a child");
    };
    assert!(!files.is_empty());
    holder.send(Signal::KILL);
    holder.end();
    let output = sessions.output(&["doctor", "--json"]);
    assert_found(&output, "warning", "run 17");
    assert_eq!(json(&sessions.output(&["ls", "--json"]))[0]["state"], "inherited");
    drop(files);
    assert_found(&sessions.output(&["doctor", "--json"]), "warning", "dead owners: 1, the first of s");
}

/// It is nothing wrong, and people want to know.
#[test]
fn an_older_peer_is_a_note() {
    let sessions = Sessions::new();
    let mut foreign = File::create_new(sessions.file("a.lock")).expect("made");
    foreign.write_all(b"{\"pid\":1}").expect("written");
    let output = sessions.output(&["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("note: a is held by a process that uses another lock, pid 1"), "{output:?}");
}
