//! A server that restarts in place: on `SIGUSR1` it releases everything and begins a new iteration, as the same process.
//!
//! ```sh
//! mkdir -p /tmp/sessions
//! cargo run --example restart -- /tmp/sessions 1.jsonl 2.jsonl    # prints its pid
//! kill -USR1 <pid>                                                # again and again
//! cat /tmp/sessions/1.jsonl.lock                                  # the same pid, another nonce
//! ```
//!
//! `SIGTERM` and ^C end it, and no claim is left.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "an example program")]

use session_lock::{LockDir, release_all, release_on_termination};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(dir) = arguments.next() else {
        eprintln!("usage: restart DIR SESSION...");
        return ExitCode::from(2);
    };
    match serve(&dir, &arguments.collect::<Vec<_>>()).await {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("restart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(dir: &str, sessions: &[String]) -> Result<std::convert::Infallible, Box<dyn std::error::Error>> {
    let mut restarts = signal(SignalKind::user_defined1())?;
    let locks = LockDir::open(dir)?;
    release_on_termination()?;
    let mut iteration = 0_u64;
    loop {
        iteration += 1;
        // Whatever the last iteration held is free, so nothing has to be waited for, unless another process was quicker.
        let mut guards = Vec::new();
        for session in sessions {
            let label = format!("iteration {iteration}");
            guards.push(locks.lock(session).label(label).timeout(Duration::from_secs(10)).await?);
        }
        println!("iteration {iteration} of process {} holds {} sessions", std::process::id(), guards.len());

        // … serve, until it is time to restart …
        restarts.recv().await;

        // A real server has handed its guards to tasks that may still run. They are told, and what they drop late
        // releases nothing of the next iteration.
        let restart = release_all();
        println!("released {} sessions", restart.released);
        for error in restart.failed {
            eprintln!("restart: {error}");
        }
        drop(guards);
    }
}
