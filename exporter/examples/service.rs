//! A service that writes session files which other processes write as well, with metrics and spans.
//!
//! ```sh
//! cargo run -p session-lock-exporter --example service -- DIR [ADDRESS [WAIT_SECONDS]]
//! curl --data-binary 'a line' http://127.0.0.1:8080/sessions/42.jsonl
//! ```
//!
//! | Route | Answers |
//! |---|---|
//! | `POST /sessions/{name}` | 204 when the body is at the end of the session, which is made if there is none |
//! | `GET /sessions/{name}` | 200 with the session, 404 if there is none |
//! | `/metrics` and the other routes of the exporter | the state of the directory |
//!
//! Both of the first answer 400 to what cannot be a session's name, and 503 with who holds the lock if it cannot be had in time.
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, spans go to a collector: of each request, and in it of the lock.
//!
//! SIGTERM and SIGINT end it in good order: requests under way may end first, then everything is released.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{self, MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use session_lock::{Guard, LockDir, LockError};
use session_lock_exporter::otlp::{self, Otlp};
use session_lock_exporter::{Directory, Exporter};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::Instrument;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long a request waits for its session. Less than what clients wait, so that they learn who is in the way.
const WAIT: Duration = Duration::from_secs(10);
/// How long requests under way may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("service: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let Some(dir) = args.next() else { return Err("usage: service DIR [ADDRESS [WAIT_SECONDS]]".into()) };
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let wait = args.next().map_or(Ok(WAIT), |seconds| seconds.parse().map(Duration::from_secs))?;

    // Before the runtime, and dropped after it: what is left of the spans has 200 ms then.
    let otlp = otlp::from_environment("session-service")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(lines).with(otlp.as_ref().map(Otlp::layer)).init();

    let runtime = tokio::runtime::Runtime::new()?;
    let served = runtime.block_on(serve(dir.into(), &address, wait));
    // Not waiting for a write that hangs in the file system.
    runtime.shutdown_background();
    // What is left are holds whose write hangs, and acquires that wait behind others: nobody has to wait for this process.
    let restart = session_lock::release_all();
    for error in &restart.failed {
        tracing::warn!(%error, "a claim stays");
    }
    drop(otlp);
    served
}

async fn serve(dir: PathBuf, address: &str, wait: Duration) -> Result<(), Error> {
    let exporter = Exporter::builder().source(Directory::new("sessions", &dir)).build()?;
    let sessions = Arc::new(Sessions { locks: LockDir::open(&dir)?, dir, wait });
    let app = Router::new()
        .route("/sessions/{name}", get(read).post(append))
        .with_state(sessions)
        .route_layer(from_fn(in_a_span))
        .merge(exporter.router());

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(address).await?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    exporter.first_look();
    let (told, stopping) = oneshot::channel();
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // A page that somebody looks at would keep its stream, and so the process.
        exporter.end_streams();
        told.send(()).ok();
    };
    let too_long = async {
        match stopping.await {
            Ok(()) => tokio::time::sleep(DRAIN).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = axum::serve(listener, app).with_graceful_shutdown(stop).into_future() => served?,
        () = too_long => tracing::warn!("requests that take longer than {DRAIN:?} are cut"),
    }
    Ok(())
}

/// The span of a request. The lock's are its children, because the lock is asked for within it.
async fn in_a_span(path: MatchedPath, request: Request, next: Next) -> Response {
    // The route, not the path: span names should be few.
    let name = format!("{} {}", request.method(), path.as_str());
    let span = tracing::info_span!("request", otel.name = name, otel.kind = "server", http.route = path.as_str());
    next.run(request).instrument(span).await
}

struct Sessions {
    locks: LockDir,
    dir: PathBuf,
    wait: Duration,
}

impl Sessions {
    /// Does something to a session's file under its lock, on a thread that may wait for a disk.
    ///
    /// The guard goes along: a client that hangs up ends the request, and must not end the lock while the file is written.
    async fn with<T: Send + 'static>(
        &self,
        name: &str,
        action: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        // It refuses every name that is not one component: from here on the path lies in the directory.
        let guard: Guard = self.locks.lock(name).timeout(self.wait).label("example: service").await?;
        let path = self.dir.join(name);
        let done = tokio::task::spawn_blocking(move || {
            let result = action(&path)?;
            guard.release().map_err(io::Error::other)?;
            Ok(result)
        });
        done.await.map_err(io::Error::other)?.map_err(Failure::File)
    }
}

async fn append(
    State(sessions): State<Arc<Sessions>>,
    extract::Path(name): extract::Path<String>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let append = move |path: &Path| File::options().append(true).create(true).open(path)?.write_all(&body);
    sessions.with(&name, append).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Under the lock too: what is read is never half of what somebody writes.
async fn read(
    State(sessions): State<Arc<Sessions>>,
    extract::Path(name): extract::Path<String>,
) -> Result<Vec<u8>, Failure> {
    sessions.with(&name, |path| fs::read(path)).await
}

/// Why a request failed, as the client sees it.
enum Failure {
    Lock(LockError),
    File(io::Error),
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Lock(error @ LockError::Name { .. }) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
            // In words: who holds it, since when, and what can be done.
            Self::Lock(LockError::Timeout { found, .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], found.to_string()).into_response()
            }
            // `release_all` has ended the acquire.
            Self::Lock(error @ LockError::Restarted) => {
                (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response()
            }
            Self::File(error) if error.kind() == io::ErrorKind::NotFound => StatusCode::NOT_FOUND.into_response(),
            // Paths and causes are for the log.
            Self::Lock(error) => failed(&error),
            Self::File(error) => failed(&error),
        }
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(error = %error, "request failed");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
