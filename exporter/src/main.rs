//! `session-lock-exporter`: the exporter as a program of its own.
//!
//! Exit codes: 0 after SIGTERM or SIGINT, 1 when it cannot serve, 2 for wrong usage. What it has to say goes to stderr;
//! the line with the address comes only when requests are accepted there and the signals are caught.

mod arguments;
mod healthcheck;
mod listen;
mod logging;

use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use session_lock_exporter::otlp::{self, Otlp};
use session_lock_exporter::{BuildError, Directory, Exporter, Exposure, Server, Stopped};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, NamedDirectory, Web};

/// How long requests under way may take after SIGTERM: inside the 10 s that `docker stop` leaves before it kills.
const DRAIN: Duration = Duration::from_secs(5);

/// Threads for what takes a processor for a while: passwords. What may hang has threads of its own.
const BLOCKING_THREADS: usize = 4;

fn main() -> ExitCode {
    let (arguments, directories) = Arguments::parse_with_directories();
    let done = if arguments.healthcheck { healthcheck(&arguments.web) } else { start(&arguments, directories) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("session-lock-exporter: {message}");
            ExitCode::FAILURE
        }
    }
}

fn healthcheck(web: &Web) -> Result<(), String> {
    let address = &web.listen_address;
    let reachable = address.reachable().map_err(|error| format!("cannot look up {address}: {error}"))?;
    healthcheck::ask(&reachable)
}

fn start(arguments: &Arguments, directories: Vec<NamedDirectory>) -> Result<(), String> {
    let otlp = otlp::from_environment("session-lock-exporter").map_err(|error| error.to_string())?;
    logging::set_up(&arguments.log, otlp.as_ref());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let ended = runtime.block_on(run(arguments, directories));
    // Not waiting for a thread that may hang in a file system.
    runtime.shutdown_background();
    drop::<Option<Otlp>>(otlp);
    ended
}

async fn run(arguments: &Arguments, directories: Vec<NamedDirectory>) -> Result<(), String> {
    let Web { telemetry_path, max_requests, config_file, insecure, trace_url, .. } = &arguments.web;
    let exporter =
        Exporter::builder().telemetry_path(telemetry_path).max_requests(*max_requests).detail(arguments.locks.detail);
    let with = |exporter: session_lock_exporter::Builder, directory: NamedDirectory| {
        exporter.source(Directory::new(directory.name, directory.path))
    };
    let exporter = trace_url.iter().fold(exporter, session_lock_exporter::Builder::trace_url);
    let exporter = directories.into_iter().fold(exporter, with).build();
    let exporter = exporter.map_err(|error| {
        let option = if matches!(error, BuildError::TraceUrl(_)) { "--trace-url" } else { "--web.telemetry-path" };
        format!("{error} ({option})")
    })?;

    let stop = stop_signal().map_err(|error| format!("cannot catch signals: {error}"))?;
    let listeners = listeners(&arguments.web).await?;
    let addresses: Vec<_> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let exposure = if *insecure { Exposure::Allowed } else { Exposure::Refused };
    let server = Server::new(&exporter, listeners, config_file.as_deref(), exposure);
    let server = server.map_err(|error| error.to_string())?;
    exporter.first_look();
    let scheme = if server.tls() { "https" } else { "http" };
    for address in addresses {
        tracing::info!(address = format!("{scheme}://{address}"), "listening");
    }
    if server.serve(stop, DRAIN).await == Stopped::CutShort {
        tracing::warn!("connections still open after {DRAIN:?} were cut");
    }
    Ok(())
}

async fn listeners(web: &Web) -> Result<Vec<TcpListener>, String> {
    if !web.systemd_socket {
        let address = &web.listen_address;
        let listener = address.bind().await;
        return match listener {
            Ok(listener) => Ok(vec![listener]),
            Err(error) => Err(format!("cannot listen on {address} (--web.listen-address): {error}")),
        };
    }
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let unusable = |error: io::Error| format!("socket {index} from systemd (--web.systemd-socket): {error}");
        let Some(listener) = passed.take_tcp_listener(index).map_err(unusable)? else { continue };
        listener.set_nonblocking(true).map_err(unusable)?;
        listeners.push(TcpListener::from_std(listener).map_err(unusable)?);
    }
    if listeners.is_empty() {
        return Err("systemd passed no socket (--web.systemd-socket): LISTEN_FDS and LISTEN_PID say so".to_owned());
    }
    Ok(listeners)
}

/// Catches SIGTERM and SIGINT from now on; the future completes at the first.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
    })
}
