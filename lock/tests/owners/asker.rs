//! The process that wants the claims.

use crate::owner::starttime;
use crate::place::GROUP;
use crate::{GRACE, PATIENCE};
use rustix::process::{Pid, Signal, set_parent_process_death_signal, test_kill_process};
use session_lock::event::{Event, Sink};
use session_lock::protocol::Refusal;
use session_lock::{LockDir, LockError};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

/// In the asker's namespaces, but still root and with the old /proc: mounts the asker's and becomes its user.
pub(crate) fn enter(hidepid: &str, uid: &str, ask: &[&str]) {
    let options = format!("hidepid={hidepid}");
    let mounted = Command::new("mount").args(["-t", "proc", "-o", &options, "proc", "/proc"]).status();
    assert!(mounted.is_ok_and(|status| status.success()), "mount");
    let mut asker = Command::new(std::env::current_exe().expect("this program"));
    asker.arg("ask").args(ask);
    match uid.parse().expect("a number") {
        0 => {}
        uid => {
            asker.uid(uid).gid(GROUP);
        }
    }
    panic!("exec: {}", asker.exec());
}

/// Tries all sessions of the working directory at once, again and again, until the input ends. Says of each what a rule
/// that trusts pids would do, and how each acquire ended.
pub(crate) fn run(sessions: &[&str]) {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("prctl");
    for session in sessions {
        println!("rule\t{session}\t{}", if dead_by_pid(session) { "dead" } else { "alive" });
    }
    for session in sessions {
        let session = (*session).to_owned();
        std::thread::spawn(move || acquire(&session));
    }
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("readable");
}

fn acquire(session: &str) {
    let last = Arc::new(Last::default());
    let locks = LockDir::options().grace(GRACE).sink(last.clone()).open(".").expect("open");
    loop {
        match locks.lock(session).timeout(PATIENCE).blocking() {
            Ok(guard) => {
                guard.release().expect("released");
                println!("taken\t{session}\t{}", last.take());
                return;
            }
            Err(LockError::Timeout { .. }) => println!("waits\t{session}\t{}", last.take()),
            Err(error) => println!("failed\t{session}\t{error}"),
        }
    }
}

/// Why the acquire waits, or had not to.
#[derive(Debug, Default)]
struct Last(Mutex<String>);

impl Last {
    fn take(&self) -> String {
        std::mem::take(&mut self.word())
    }

    fn is_known(&self) -> bool {
        !self.word().is_empty()
    }

    fn word(&self) -> MutexGuard<'_, String> {
        self.0.lock().expect("no panic in a sink")
    }
}

impl Sink for Last {
    fn record(&self, _session: &str, event: &Event) {
        let word = match event {
            // Also said of a claim whose refusal was said before.
            Event::Contended { .. } if self.is_known() => return,
            Event::Contended { .. } | Event::ReclaimRefused { why: Refusal::WriterAlive | Refusal::ForeignArbiter } => {
                "held".to_owned()
            }
            Event::ReclaimRefused { why: Refusal::Unknown } => "unknown".to_owned(),
            Event::ReclaimRefused { why: Refusal::Grace } => "grace".to_owned(),
            Event::Reclaimed { reason, .. } => format!("{reason:?}"),
            _ => return,
        };
        *self.word() = word;
    }
}

/// The rule that this crate does not use: an owner without a process, or whose process started at another time, is dead.
fn dead_by_pid(session: &str) -> bool {
    let claim = std::fs::read_to_string(format!("{session}.lock")).expect("the group may read it");
    let claim: serde_json::Value = serde_json::from_str(&claim).expect("JSON");
    let pid = claim["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
    let gone = test_kill_process(Pid::from_raw(pid).expect("positive")) == Err(rustix::io::Errno::SRCH);
    gone || starttime(&pid.to_string()).is_some_and(|found| Some(found) != claim["starttime"].as_u64())
}
