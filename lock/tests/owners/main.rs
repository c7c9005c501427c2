//! What an acquire makes of a claim's owner, from every place from which it can be asked: the table in ARCHITECTURE.md under
//! "Owners", row by row, in every mix of hidepid, PID namespace, time namespace and user.
//!
//! Owners and askers are processes of this program: `owner` holds, `enter` makes /proc as the asker is to see it, `ask`
//! acquires. Each process ends when its input does or its parent dies, so nothing is left behind; mounts are private.
//!
//! As a control each asker also says what a rule that trusts pids would do on the same evidence. It must rob somebody.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]
#![expect(clippy::print_stdout, reason = "its processes talk to each other by their output")]

mod asker;
mod judge;
mod owner;
mod place;
mod table;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Duration;

/// For the askers' directories.
const GRACE: Duration = Duration::from_millis(200);
/// How long a living owner must not be robbed, at the least.
const PATIENCE: Duration = GRACE.saturating_mul(3);
/// A deadline that a correct lock never comes near.
const LONG: Duration = Duration::from_mins(1);
/// Most of the time is waiting.
const AT_ONCE: usize = 6;

const NAME: &str = "every_owner_is_judged_as_the_table_says";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["owner", kind, state, session] => owner::run(kind, state, session),
        ["enter", hidepid, uid, ask @ ..] => asker::enter(hidepid, uid, ask),
        ["ask", sessions @ ..] => asker::run(sessions),
        ["--list", ..] => println!("{NAME}: test"),
        [filter, ..] if !filter.starts_with('-') && !NAME.contains(filter) => {
            println!("filtered out: {NAME}");
        }
        _ => every_owner_is_judged_as_the_table_says(),
    }
    ExitCode::SUCCESS
}

fn every_owner_is_judged_as_the_table_says() {
    if let Some(needs) = missing() {
        eprintln!("skipped: {NAME}: needs {needs}");
        return;
    }
    let ground = judge::Ground::new();
    let rows = table::rows();
    let places = Mutex::new(place::all().into_iter());
    let next = || places.lock().expect("no panic while it is locked").next();
    let robbed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(place) = next() {
                    let by_pid = judge::judge(&ground, &rows, place);
                    robbed.lock().expect("no panic while it is locked").extend(by_pid);
                }
            });
        }
    });
    let robbed = robbed.into_inner().expect("no thread panicked");
    println!("{} places, {} owners each: as the table says", place::all().len(), rows.len());
    println!("control: a rule that trusts pids robs {} living owners of these", robbed.len());
    judge::control(&robbed, &rows);
}

/// What this needs and does not have.
fn missing() -> Option<&'static str> {
    let works = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    if !rustix::process::geteuid().is_root() {
        return Some("root, for users, namespaces and a /proc of its own");
    }
    let mut namespaces = Command::new("unshare");
    namespaces.args(place::NAMESPACES).args([
        "--pid",
        "--time",
        "--boottime",
        "1",
        "mount",
        "-t",
        "proc",
        "proc",
        "/proc",
    ]);
    if !works(&mut namespaces) {
        return Some("unshare and mount of util-linux, with PID, mount and time namespaces");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "0"])) {
        return Some("a process without a seccomp filter, to end a leader thread by itself");
    }
    None
}
