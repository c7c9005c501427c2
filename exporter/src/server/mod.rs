//! The server of the binary: it listens, limits, authenticates, and stops in bounded time.
//!
//! What a client can cost it is bounded:
//!
//! | Limit | |
//! |---|---|
//! | TLS handshake, and a request's head | 5 s each |
//! | a connection without a request | 2 min |
//! | an answer, until it is made | 3 min |
//! | a page's stream | 10 min, then its page connects again; it has a seat as an idle connection has |
//! | a request's head | 16 KiB |
//! | a request's body | none is taken: 413 |
//! | connections | 512, or fewer where few descriptors may be open; at the limit, the one that has been idle the longest makes room |
//! | descriptors | one in reserve: when there are no others, a waiting connection is accepted with it and closed |
//!
//! Not here: what is served ([`Exporter`]), which signal says stop, and where to listen (the binary's concerns).

mod accept;
mod activity;
mod answer;
mod connection;
mod rate;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::exporter::Exporter;
use crate::flight::Flight;
use crate::web::{Attempt, Reloader, Settings};
use accept::accept;
use activity::Connections;
use rate::Rate;

/// Most connections where descriptors are plenty.
const MOST_CONNECTIONS: usize = 512;

/// Descriptors that connections leave to everything else.
const RESERVED_DESCRIPTORS: usize = 32;

/// How long the files of the web configuration may take to be read.
const REFRESH: Duration = Duration::from_secs(1);

/// How a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every open request was answered.
    Drained,
    /// Connections were still open when the time to drain was over; they were cut.
    CutShort,
}

/// Why a server cannot be as asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// It would listen beyond this machine, and everybody could read it.
    Exposed(SocketAddr),
    /// The web configuration file is not usable; what is wrong, for people.
    WebConfig(String),
    /// A listener's address cannot be told.
    Listener(io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exposed(address) => write!(
                f,
                "{address} can be reached from other machines, and nobody is asked who they are: configure \
                 basic_auth_users or client_auth_type RequireAndVerifyClientCert (--web.config.file), listen on loopback \
                 (--web.listen-address 127.0.0.1:{}), or say --web.insecure",
                address.port(),
            ),
            Self::WebConfig(wrong) => write!(f, "web configuration (--web.config.file): {wrong}"),
            Self::Listener(error) => write!(f, "cannot tell where it listens: {error}"),
        }
    }
}

impl std::error::Error for ServerError {}

/// Whether a server may listen where other machines reach it, without authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// No: that is a [`ServerError::Exposed`].
    Refused,
    /// Yes, the caller answers for it.
    Allowed,
}

/// A server for an [`Exporter`].
pub struct Server {
    listeners: Vec<TcpListener>,
    shared: Shared,
}

/// What all connections share.
struct Shared {
    router: Router,
    exporter: Exporter,
    web: Option<Arc<Reloader>>,
    refresh: Flight<()>,
    attempt: Attempt,
    rate: Rate,
    connections: Connections,
    stage: watch::Sender<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    Draining,
    Cut,
}

impl Server {
    /// A server on these listeners, with a web configuration file or without.
    ///
    /// # Errors
    ///
    /// [`ServerError::WebConfig`] for a file that is not usable, [`ServerError::Exposed`] where authentication is missing,
    /// [`ServerError::Listener`] if a listener does not know its address.
    pub fn new(
        exporter: &Exporter,
        listeners: Vec<TcpListener>,
        web_config: Option<&Path>,
        exposure: Exposure,
    ) -> Result<Self, ServerError> {
        let mut web = web_config.map(Reloader::new).transpose().map_err(ServerError::WebConfig)?;
        if exposure == Exposure::Refused {
            for listener in &listeners {
                let address = listener.local_addr().map_err(ServerError::Listener)?;
                if address.ip().to_canonical().is_loopback() {
                    continue;
                }
                match web.as_mut() {
                    Some(web) if web.current().authenticates() => web.require_authentication(),
                    _ => return Err(ServerError::Exposed(address)),
                }
            }
        }
        if web.is_some() {
            exporter.shared.own.web_config_read(Ok(()));
        }
        let shared = Shared {
            router: exporter.router(),
            exporter: exporter.clone(),
            web: web.map(Arc::new),
            refresh: Flight::default(),
            attempt: Attempt::new(),
            rate: Rate::default(),
            connections: Connections::new(most_connections()),
            stage: watch::Sender::new(Stage::Serving),
        };
        Ok(Self { listeners, shared })
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.shared.web.as_ref().is_some_and(|web| web.current().tls.is_some())
    }

    /// Serves until `stop` completes, then drains: no new connection is accepted, idle ones are closed, and requests
    /// under way get up to `drain` to finish.
    ///
    /// The bound is needed because a client that never completes its request would otherwise keep the process for ever.
    /// Dropping the future cuts everything.
    pub async fn serve(self, stop: impl Future<Output = ()>, drain: Duration) -> Stopped {
        let shared = Arc::new(self.shared);
        let cut = Cut(Arc::clone(&shared));
        for listener in self.listeners {
            tokio::spawn(accept(listener, Arc::clone(&shared)));
        }
        stop.await;
        shared.stage.send_replace(Stage::Draining);
        shared.exporter.end_streams();
        let drained = tokio::time::timeout(drain, shared.connections.none_left()).await;
        drop(cut);
        if drained.is_ok() { Stopped::Drained } else { Stopped::CutShort }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// Ends everything when it is dropped.
struct Cut(Arc<Shared>);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.stage.send_replace(Stage::Cut);
    }
}

impl Shared {
    /// The web configuration in effect now, if there is one. Where its files hang, the one that was read last.
    async fn settings(&self) -> Option<Arc<Settings>> {
        let web = self.web.as_ref()?;
        let (reloader, exporter) = (Arc::clone(web), self.exporter.clone());
        let refresh = move || {
            let Some(read) = reloader.refresh() else { return };
            match &read {
                Ok(()) => tracing::info!("web configuration read again"),
                Err(error) => tracing::error!(error, "web configuration not usable, the one before stays in effect"),
            }
            exporter.shared.own.web_config_read(read.map_err(drop));
        };
        if let Err(late) = self.refresh.join(Instant::now() + REFRESH, refresh).await {
            tracing::warn!(reason = %late, "web configuration cannot be read, the one before stays in effect");
        }
        Some(web.current())
    }
}

fn most_connections() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok());
    descriptors.map_or(MOST_CONNECTIONS, |most| most.saturating_sub(RESERVED_DESCRIPTORS)).clamp(2, MOST_CONNECTIONS)
}

/// A place for one connection.
type Place = tokio::sync::OwnedSemaphorePermit;

/// As many places as there may be connections.
type Places = Arc<Semaphore>;
