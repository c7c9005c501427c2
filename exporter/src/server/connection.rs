//! One connection: handshake, HTTP, and its end in time.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Seat, Watched};
use super::answer::answer;
use super::{Shared, Stage};

/// Largest head of a request.
const MOST_HEAD_BYTES: u16 = 16 * 1024;

pub(super) async fn connection(stream: TcpStream, seat: Seat, shared: Arc<Shared>) {
    let mut stage = shared.stage.subscribe();
    tokio::select! {
        () = spoken_to(stream, &seat.activity, &shared) => {}
        () = seat.activity.over() => {}
        // The sender lives in `shared`, so this does not fail.
        _ = stage.wait_for(|stage| *stage == Stage::Cut) => {}
    }
}

async fn spoken_to(stream: TcpStream, activity: &Arc<Activity>, shared: &Arc<Shared>) {
    let Some(tls) = shared.settings().await.and_then(|settings| settings.tls.clone()) else {
        http(stream, false, activity, shared).await;
        return;
    };
    match TlsAcceptor::from(tls).accept(stream).await {
        Ok(stream) => {
            let multiplexed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            http(stream, multiplexed, activity, shared).await;
        }
        Err(error) => tracing::debug!(error = %error, "TLS handshake failed"),
    }
}

async fn http<S>(stream: S, multiplexed: bool, activity: &Arc<Activity>, shared: &Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    activity.shaken(multiplexed);
    let stream = TokioIo::new(Watched { stream, activity: Arc::clone(activity) });
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, activity) = (Arc::clone(shared), Arc::clone(activity));
        async move {
            let _answering = activity.answering();
            Ok::<Response<Body>, Infallible>(answer(&shared, request).await)
        }
    });
    let mut stage = shared.stage.subscribe();
    let draining = async {
        stage.wait_for(|stage| *stage != Stage::Serving).await.ok();
    };
    // The two kinds of connection have no trait in common.
    let end = if multiplexed {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new()).max_concurrent_streams(16).max_header_list_size(MOST_HEAD_BYTES.into());
        let mut connection = std::pin::pin!(http.serve_connection(stream, service));
        tokio::select! {
            end = connection.as_mut() => end,
            () = draining => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    } else {
        // The time for a head is the activity's: hyper's own would also end connections that are kept alive.
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MOST_HEAD_BYTES.into());
        let mut connection = std::pin::pin!(http.serve_connection(stream, service));
        tokio::select! {
            end = connection.as_mut() => end,
            () = draining => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = end {
        tracing::debug!(error = %error, "connection ended early");
    }
}
