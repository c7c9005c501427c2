//! `session-lock-exporter`: the exporter as a program of its own.
//!
//! Exit codes: 0 after SIGTERM or SIGINT, 1 when it cannot serve, 2 for wrong usage. What it has to say goes to stderr;
//! the line with the address comes only when requests are accepted there and the signals are caught.

mod listen;

use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use session_lock_exporter::{Stopped, router, serve};
use tokio::signal::unix::{SignalKind, signal};

use listen::ListenAddress;

/// How long requests under way may take after SIGTERM: inside the 10 s that `docker stop` leaves before it kills.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves the state of a directory of session locks to Prometheus.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen, as host:port; `:port` means every interface.
    ///
    /// The default answers this machine only, on a port that no other exporter should want: Prometheus' list of default
    /// ports has given away 9100 to 9999 and goes on upwards from 10000, and Linux hands out 32768 and above to outgoing
    /// connections. 15625 is none of these (LOCK on a telephone's keys is 5625). With port 0 the kernel chooses; the
    /// address is printed.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:15625")]
    listen_address: ListenAddress,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("session-lock-exporter: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), String> {
    let address = &arguments.listen_address;
    let cannot_listen = |error: io::Error| format!("cannot listen on {address} (--web.listen-address): {error}");
    let stop = stop_signal().map_err(|error| format!("cannot catch signals: {error}"))?;
    let listener = address.bind().await.map_err(cannot_listen)?;
    let bound = listener.local_addr().map_err(cannot_listen)?;
    eprintln!("session-lock-exporter: listening on http://{bound}");
    match serve(listener, router(), stop, DRAIN).await {
        Ok(Stopped::Drained) => Ok(()),
        Ok(Stopped::CutShort) => {
            eprintln!("session-lock-exporter: connections still open after {DRAIN:?} were cut");
            Ok(())
        }
        Err(error) => Err(format!("stopped serving {bound}: {error}")),
    }
}

/// Catches SIGTERM and SIGINT from now on; the future completes at the first.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        eprintln!("session-lock-exporter: {name}: stopping");
    })
}
