//! `doctor` under limits, in namespaces and as another user: what the process is given.

use std::os::unix::fs::chown;
use std::process::Command;

use crate::doctor::{assert_found, findings};
use crate::support::{ANOTHER_USER, Sessions, as_another_user, json, skipped, works};

const MOUNTS: [&str; 4] = ["--mount", "--propagation", "private", "--"];

/// In namespaces of its own, after a shell has done something; `None` where there are none.
fn isolated(test: &str, namespaces: &[&str], preparation: &str, sessions: &Sessions) -> Option<Command> {
    if !works("unshare", &[namespaces, &["sh", "-c", preparation]].concat()) {
        skipped(test, &format!("unshare {} and {preparation}", namespaces.join(" ")));
        return None;
    }
    let after = sessions.after(preparation, &["doctor", "--json"]);
    let mut command = Command::new("unshare");
    command.args(namespaces).arg(after.get_program()).args(after.get_args());
    Some(command)
}

#[test]
fn few_descriptors_and_small_files_are_named() {
    let sessions = Sessions::new();
    for (limit, severity, part) in [
        ("ulimit -n 20", "fault", "may have 20 files open"),
        ("ulimit -n 100", "warning", "may have 100 files open"),
        ("ulimit -f 1", "fault", "not even a lock file of full length fits"),
        ("ulimit -f 1000", "warning", "their counters do not fit"),
    ] {
        let output = sessions.after(limit, &["doctor", "--json"]).output().expect("it runs");
        assert_found(&output, severity, part);
    }
}

#[test]
fn a_user_without_inotify_is_named() {
    let sessions = Sessions::new();
    let namespaces = ["--user", "--map-root-user", "--"];
    for what in ["instances", "watches"] {
        let none = format!("echo 0 > /proc/sys/user/max_inotify_{what}");
        let test = "a_user_without_inotify_is_named";
        let Some(mut command) = isolated(test, &namespaces, &none, &sessions) else { return };
        let output = command.output().expect("it runs");
        assert_found(&output, "warning", "no inotify watch left");
        let remedy = json(&output).as_array().and_then(|all| Some(all.last()?["remedy"].to_string()));
        let remedy = remedy.unwrap_or_default();
        assert!(remedy.contains(&format!("max_user_{what}")), "{remedy}");
    }
}

#[test]
fn leases_that_are_off_are_named() {
    let sessions = Sessions::new();
    sessions.write("off", "0\n");
    let bind = format!("mount --bind {} /proc/sys/fs/leases-enable", sessions.file("off").display());
    let Some(mut command) = isolated("leases_that_are_off_are_named", &MOUNTS, &bind, &sessions) else { return };
    assert_found(&command.output().expect("it runs"), "warning", "file leases are off");
}

#[test]
fn a_file_system_that_is_not_on_the_list_is_named() {
    let sessions = Sessions::new();
    let mount = format!("mount -t ramfs none {}", sessions.path().display());
    let test = "a_file_system_that_is_not_on_the_list_is_named";
    let Some(mut command) = isolated(test, &MOUNTS, &mount, &sessions) else { return };
    let output = command.output().expect("it runs");
    let found = findings(&output);
    assert_eq!(output.status.code(), Some(1), "{found:?}");
    assert!(found.iter().any(|(severity, what)| severity == "fault" && what.contains("is on ramfs")), "{found:?}");
}

#[test]
fn a_proc_of_another_namespace_is_named() {
    let sessions = Sessions::new();
    let namespaces = ["--pid", "--fork", "--"];
    let test = "a_proc_of_another_namespace_is_named";
    let Some(mut command) = isolated(test, &namespaces, "true", &sessions) else { return };
    assert_found(&command.output().expect("it runs"), "warning", "/proc shows another PID namespace");
}

#[test]
fn what_a_user_may_not_do_is_named() {
    const TEST: &str = "what_a_user_may_not_do_is_named";
    let sessions = Sessions::new();
    if as_another_user(&sessions, &["doctor"]).is_none() {
        return skipped(TEST, ANOTHER_USER);
    }
    let doctor = |sessions: &Sessions| {
        let command = as_another_user(sessions, &["doctor", "--json"]);
        command.expect("as before").output().expect("it runs")
    };
    let mode = |mode| rustix::fs::chmod(sessions.path(), rustix::fs::Mode::from_raw_mode(mode)).expect("ours");
    mode(0o755);
    assert_found(&doctor(&sessions), "fault", "this user may not read, write and search");
    mode(0o700);
    assert_eq!(doctor(&sessions).status.code(), Some(2));
    chown(sessions.path(), Some(1001), Some(1001)).expect("root may");
    assert_eq!(findings(&doctor(&sessions)), Vec::new());
}
