//! Serving a router until told to stop, and stopping in bounded time.
//!
//! Not here: which signal says stop (the binary's concern) and what is served ([`router`](crate::router)).

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every open request was answered.
    Drained,
    /// Connections were still open when the time to drain was over; they are cut when the runtime ends.
    CutShort,
}

/// Serves `router` on `listener` until `stop` completes, then drains: no new connection is accepted, idle ones are
/// closed, and requests under way get up to `drain` to finish.
///
/// The bound is needed because a client that never completes its request would otherwise keep the process for ever.
/// Dropping the future stops accepting; connections that are open live on in the runtime's tasks.
///
/// # Errors
///
/// None today: a failed `accept` is retried (after a pause of a second when it is this process' fault, such as
/// EMFILE). The type leaves room for what `axum::serve` promises, which is an [`io::Result`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    drain: Duration,
) -> io::Result<Stopped> {
    let (draining, drain_begun) = oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        // Nobody listens only when the future below is gone, and this one with it.
        draining.send(()).ok();
    });
    let drain_over = async {
        drain_begun.await.ok();
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        end = server => end.map(|()| Stopped::Drained),
        () = drain_over => Ok(Stopped::CutShort),
    }
}
