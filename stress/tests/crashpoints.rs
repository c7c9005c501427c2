//! A kill and a failure at every system call: short walks of a sound lock and of a broken one.

use std::process::{Command, Output};

/// Also says so, and gives `None`, where no process may be traced.
fn crashpoints(arguments: &[&str]) -> Option<(Output, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    let output = command.arg("crashpoints").args(arguments).output().expect("the binary starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if errors.contains("cannot be traced here") {
        assert_eq!(output.status.code(), Some(255), "{errors}");
        eprintln!("skipped: needs ptrace and x86_64: {errors}");
        return None;
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output, said))
}

/// The number before this word in the last line.
fn counted(said: &str, word: &str) -> usize {
    let last = said.lines().last().expect("something is said");
    let before = last.split_once(word).unwrap_or_else(|| panic!("{word} in {last}")).0;
    before.split_whitespace().last().and_then(|count| count.parse().ok()).expect("a number")
}

#[test]
fn a_short_walk_of_the_lock_finds_nothing() {
    let Some((output, said)) = crashpoints(&["--scenario", "acquire", "--scenario", "release"]) else { return };
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(counted(&said, " points") >= 100, "{said}");
    assert_eq!(counted(&said, " violations"), 0, "{said}");
}

#[test]
fn a_walk_of_the_bare_kernel_lock_finds_nothing() {
    let Some((output, said)) = crashpoints(&["--lock", "flock", "--scenario", "acquire"]) else { return };
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(counted(&said, " points") >= 10, "{said}");
}

#[test]
fn a_careless_lock_is_caught_with_its_story() {
    let careless = ["--lock", "careless", "--scenario", "acquire", "--within", "300ms"];
    let Some((output, said)) = crashpoints(&careless) else { return };
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(counted(&said, " violations") >= 10, "{said}");
    assert!(said.contains("O_WRONLY|O_CREAT|O_EXCL): failed with EACCES\n"), "{said}");
    assert!(said.contains("\n  two owners: the victim says it holds"), "{said}");
    assert!(said.contains("\n  the next acquire failed: not acquired within"), "{said}");
    assert!(
        said.contains("\n    main     openat(cwd, \"0.jsonl.lock\", O_WRONLY|O_CREAT|O_EXCL) = -1 EACCES"),
        "{said}"
    );
}

/// It acquires beside somebody who holds, because its open failed.
#[test]
fn an_acquire_beside_a_holder_is_caught() {
    let beside = ["--lock", "careless", "--scenario", "wait-release", "--point", "3"];
    let Some((output, said)) = crashpoints(&beside) else { return };
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the victim says that it has acquired, and the holder has not let go"), "{said}");
}

#[test]
fn one_point_is_walked_again_with_all_that_its_victim_does() {
    let Some((output, said)) = crashpoints(&["--scenario", "release", "--point", "2"]) else { return };
    assert_eq!(output.status.code(), Some(0), "{said}");
    let first = said.lines().next().expect("something is said");
    assert!(first.starts_with("release point 2 of ") && first.ends_with(": killed after"), "{said}");
    assert!(said.contains("valid: the victim was killed; recovered after"), "{said}");
    let (past_the_end, _) = crashpoints(&["--scenario", "release", "--point", "100000"]).expect("as above");
    assert_eq!(past_the_end.status.code(), Some(255));
    let (of_no_scenario, _) = crashpoints(&["--point", "1"]).expect("as above");
    assert_eq!(of_no_scenario.status.code(), Some(254));
}

#[test]
fn the_list_has_every_kind_of_call() {
    let Some((output, said)) = crashpoints(&["--list"]) else { return };
    assert_eq!(output.status.code(), Some(0), "{said}");
    let calls = [
        "mkdirat(., \".session-lock-*\"): killed before",
        "renameat2(., \".session-lock-*\", ., \".session-lock\", 0x1): failed with EIO",
        "fdatasync(.session-lock/unnamed): failed with EIO",
        "fcntl(.session-lock/arbiter-41, F_OFD_SETLK, F_WRLCK): failed with ENOLCK",
        "thread 2 fcntl(.session-lock/arbiter-41, F_OFD_SETLKW, F_WRLCK): killed within",
        "write(.session-lock/arbiter-41): failed with ENOSPC",
        "openat(., \".\", O_RDWR|O_TMPFILE): failed with EMFILE",
        "pwrite64(unnamed): failed with ENOSPC",
        "linkat(unnamed, \"\", ., \"0.jsonl.lock\", 0x1000): killed after",
        "linkat(unnamed, \"\", .session-lock, \"spare-*\", 0x1000): killed after",
        "unlinkat(.session-lock, \"spare-*\", 0x0): killed after",
        "pread64(0.jsonl.lock): failed with EIO",
        "pwrite64(0.jsonl.lock): killed before",
        "fcntl(0.jsonl.lock, F_SETLEASE, F_RDLCK): failed with EACCES",
        "statx(., \"0.jsonl.lock\"): failed with EACCES",
        "unlinkat(., \"0.jsonl.lock\", 0x0): failed with EIO",
        "close(unnamed): done, and failed with EIO",
        "clone3(): failed with EAGAIN",
        "inotify_add_watch(",
        "thread 1 linkat(unnamed, \"\", ., \"0.jsonl.lock\", 0x1000): failed with ENOSPC",
        "pwrite64(.session-lock/metrics-v1): failed with ENOSPC",
        "never failed: futex: ",
    ];
    for call in calls {
        assert!(said.contains(call), "{call}\n{said}");
    }
}
