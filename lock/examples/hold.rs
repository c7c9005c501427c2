//! Holds the lock of a session until its input ends, or for some seconds.
//!
//! ```sh
//! cargo run --example hold -- DIR SESSION [SECONDS]
//! ```
//!
//! It prints the fencing token and `held`, then waits. If somebody takes the claim away meanwhile (`mv x DIR/SESSION.lock`),
//! it says `lost` and stops, as a writer should. Exit codes: 0 it held and released; 1 the claim was lost; 2 an error.

#![expect(clippy::print_stdout, reason = "a program prints")]

use session_lock::LockDir;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hold: {error}");
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
        [dir, session] => (dir, session, None),
        [dir, session, seconds] => (dir, session, Some(number(seconds)?)),
        _ => return Err("usage: hold DIR SESSION [SECONDS]".into()),
    };
    let session = session.to_str().ok_or("SESSION is not UTF-8")?;

    let locks = LockDir::open(dir)?;
    let guard = locks.lock(session).label("example: hold").await?;
    println!("token {}", guard.token());
    println!("held");

    let lost = tokio::select! {
        cause = guard.lost() => Some(cause),
        () = enough(seconds) => None,
    };
    if let Some(loss) = lost {
        println!("lost: {loss}");
        return Ok(ExitCode::from(1));
    }
    // Dropping the guard would release too; this way an error is seen.
    guard.release()?;
    println!("released");
    Ok(ExitCode::SUCCESS)
}

/// Ends after this time, or without one when the input does.
async fn enough(seconds: Option<u64>) {
    if let Some(seconds) = seconds {
        return tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    let (ended, end) = oneshot::channel();
    // A thread of its own, because reading a terminal cannot be cancelled.
    std::thread::spawn(move || {
        let result = io::copy(&mut io::stdin(), &mut io::sink());
        ended.send(result)
    });
    if let Ok(Err(error)) = end.await {
        eprintln!("hold: cannot read the input, which counts as its end: {error}");
    }
}

fn number(text: &OsStr) -> Result<u64, &'static str> {
    text.to_str().and_then(|text| text.parse().ok()).ok_or("SECONDS is not a number")
}
