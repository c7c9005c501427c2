//! The process that owns a claim.

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{SecureComputingMode, set_secure_computing_mode};
use session_lock::LockDir;
use std::any::Any;
use std::fs::File;
use std::io::Write;

/// Holds `session` of the working directory until the input ends.
pub(crate) fn run(kind: &str, state: &str, session: &str) {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("prctl");
    let held: Box<dyn Any + Send> = match kind {
        "holder" => {
            let locks = LockDir::open(".").expect("open");
            Box::new((locks.lock(session).blocking().expect("free"), locks))
        }
        "older peer" => Box::new(older(session)),
        kind => panic!("{kind} is no kind of owner"),
    };
    if state == "leader exited" {
        std::thread::spawn(move || until_the_end(held));
        println!("held");
        end_this_thread();
    }
    println!("held");
    until_the_end(held);
}

fn until_the_end(held: Box<dyn Any + Send>) {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("readable");
    drop(held);
    std::process::exit(0);
}

/// As older locks do it: `O_EXCL`, the payload, and the file stays open. Its group may write, as it must where users share.
fn older(session: &str) -> File {
    rustix::process::umask(rustix::fs::Mode::RWXO);
    let mut file = File::create_new(format!("{session}.lock")).expect("the older peer gets the lock");
    let starttime = starttime("self").expect("it can see itself");
    let pid = std::process::id();
    write!(file, r#"{{"pid":{pid},"createdAt":"2026-02-01T10:00:00.000Z","starttime":{starttime}}}"#).expect("written");
    file
}

/// Field 22 of `proc_pid_stat(5)`.
pub(crate) fn starttime(pid: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// seccomp(2), strict mode: any other system call than read, write and exit ends the thread that makes it, and no other. It is
/// the way to end the leader alone that needs no `unsafe`.
fn end_this_thread() -> ! {
    set_secure_computing_mode(SecureComputingMode::Strict).expect("prctl");
    loop {
        std::thread::yield_now();
    }
}
