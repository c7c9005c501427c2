//! Accepting, also when nothing is left to accept with.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};

use super::connection::connection;
use super::{Shared, Stage};

/// Before another try where a pause is the only way.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the server stops.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut stage = shared.stage.subscribe();
    tokio::select! {
        // The sender lives in `shared`, so this does not fail.
        _ = stage.wait_for(|stage| *stage != Stage::Serving) => {}
        () = every_connection(listener, &shared) => {}
    }
}

async fn every_connection(listener: TcpListener, shared: &Arc<Shared>) {
    let mut reserve = Reserve::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let seat = shared.connections.seat().await;
                // It goes on with delayed segments, which is slower and nothing else.
                stream.set_nodelay(true).ok();
                tokio::spawn(connection(stream, seat, Arc::clone(shared)));
            }
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::MFILE | Errno::NFILE) => {
                    shared.connections.evict();
                    match reserve.accept(&listener).await {
                        Some(waiting) => drop(waiting),
                        None => tokio::time::sleep(PAUSE).await,
                    }
                }
                Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::PERM) => {}
                _ => {
                    tracing::warn!(error = %error, "cannot accept");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

/// A descriptor that is only there to be given up. Without it, a connection that cannot be accepted would stay in the
/// listener's queue, and the listener ready: a loop that takes a whole processor and answers nobody.
struct Reserve(Option<File>);

impl Reserve {
    fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Accepts a connection with the descriptor in reserve; the caller drops it, which fills the reserve next time.
    async fn accept(&mut self, listener: &TcpListener) -> Option<Waiting<'_>> {
        drop(self.0.take());
        // Somebody was waiting a moment ago; if they have gone, the next one is as good.
        let accepted = tokio::time::timeout(PAUSE, listener.accept()).await;
        let stream = accepted.ok().and_then(Result::ok).map(|(stream, _)| stream);
        if stream.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
        Some(Waiting { stream: Some(stream?), reserve: self })
    }
}

/// A connection on the reserve's descriptor.
struct Waiting<'a> {
    stream: Option<TcpStream>,
    reserve: &'a mut Reserve,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        drop(self.stream.take());
        self.reserve.0 = File::open("/dev/null").ok();
    }
}
