//! What a directory of session locks looks like to Prometheus, over HTTP.
//!
//! The routes of [`router`]; anything else is a 404, another method on one of them a 405:
//!
//! | Route | Methods | Answers |
//! |---|---|---|
//! | `/-/healthy` | GET, HEAD | 200 while the process serves requests; it looks at no directory |
//!
//! The binary `session-lock-exporter` serves them by itself; a program that has a server already mounts them:
//!
//! ```
//! let app: axum::Router = axum::Router::new().nest("/locks", session_lock_exporter::router());
//! ```
//!
//! Not here: the locks' state and metrics (`/metrics`, `/-/ready`, `/` and `/api/v1/*` are still to come), TLS and
//! authentication.

mod serve;

use axum::Router;
use axum::routing::get;

pub use serve::{Stopped, serve};

/// The exporter's routes, to serve or to mount; the table is in the [module documentation](crate).
///
/// It holds no state and does no I/O before a request comes.
pub fn router() -> Router {
    Router::new().route("/-/healthy", get(healthy))
}

/// Liveness in Prometheus' sense: a restart helps if this does not answer. So it asks nothing that can block.
async fn healthy() -> &'static str {
    "session-lock-exporter is healthy.\n"
}
