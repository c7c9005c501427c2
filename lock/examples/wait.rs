//! Waits for the lock of a session, tells who is in the way and what happens, and gives up after a time.
//!
//! ```sh
//! cargo run --example wait -- DIR SESSION [SECONDS]
//! ```
//!
//! SECONDS is the timeout, ten by default; zero tries once. To see it wait, run the example `hold` beside it; to see it take
//! over a dead owner's lock, kill that with `kill -9`.
//!
//! | Exit code | What it means |
//! |---|---|
//! | 0 | the lock was acquired, and is released again |
//! | 1 | somebody else held it until the timeout |
//! | 2 | an error: wrong arguments, a directory that cannot hold locks, a file that is no claim |

#![expect(clippy::print_stdout, reason = "a program prints")]

use session_lock::event::{Event, Sink};
use session_lock::{LockDir, LockError};
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Prints what happens. A real one counts it; it must not block, and must not use the lock.
struct Print;

impl Sink for Print {
    fn record(&self, session: &str, event: &Event) {
        match event {
            Event::Contended { holder: Some(holder), .. } => println!("{session}: in the way is {holder}"),
            Event::ReclaimRefused { why } => println!("{session}: its claim may not be taken over yet: {why:?}"),
            Event::Reclaimed { reason, from: Some(from) } => {
                println!("{session}: taken over from {from}, because: {reason:?}");
            }
            Event::Acquired { token, waited, .. } => println!("{session}: acquired after {waited:?}, token {token}"),
            Event::Released { held, .. } => println!("{session}: released after {held:?}"),
            other => println!("{session}: {other:?}"),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wait: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::from(2)
        }
    }
}

async fn run(args: Vec<OsString>) -> Result<ExitCode, Box<dyn Error>> {
    let (dir, session, seconds) = match args.as_slice() {
        [dir, session] => (dir, session, 10),
        [dir, session, seconds] => (dir, session, number(seconds)?),
        _ => return Err("usage: wait DIR SESSION [SECONDS]".into()),
    };
    let session = session.to_str().ok_or("SESSION is not UTF-8")?;
    let locks = LockDir::options().sink(Arc::new(Print)).open(dir)?;

    match locks.lock(session).label("example: wait").timeout(Duration::from_secs(seconds)).await {
        Ok(guard) => {
            // Here the session is ours to write.
            guard.release()?;
            Ok(ExitCode::SUCCESS)
        }
        Err(timeout @ LockError::Timeout { .. }) => {
            eprintln!("wait: {timeout}");
            Ok(ExitCode::from(1))
        }
        Err(error) => Err(error.into()),
    }
}

fn number(text: &OsStr) -> Result<u64, &'static str> {
    text.to_str().and_then(|text| text.parse().ok()).ok_or("SECONDS is not a number")
}
