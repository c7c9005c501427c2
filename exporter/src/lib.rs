//! What directories of session locks look like to Prometheus, over HTTP.
//!
//! The routes of [`Exporter::router`]; anything else is a 404, another method on one of them a 405:
//!
//! | Route | Methods | Answers |
//! |---|---|---|
//! | `/` | GET, HEAD | a page of the locks, for people |
//! | `/lock?directory=…&session=…` | GET, HEAD | a page of one lock |
//! | `/events` | GET, HEAD | server-sent events: when to fetch a page anew |
//! | `/page.css`, `/page.js` | GET, HEAD | what the pages need |
//! | `/metrics`, or as configured | GET, HEAD | the metrics, in the text format 0.0.4, or in OpenMetrics 1.0 where `Accept` asks for it |
//! | `/api/v1/locks` | GET, HEAD | JSON: the locks of each directory |
//! | `/api/v1/contention` | GET, HEAD | JSON: who waited for whom in each directory |
//! | `/-/healthy` | GET, HEAD | 200 while the process serves requests; it looks at no directory |
//! | `/-/ready` | GET, HEAD | 200 once every directory was tried, 503 before; a directory that fails was tried |
//!
//! The fields of the JSON, with their types and units, are in the crate's `API.md`.
//!
//! A directory that cannot be read, or not in time, is never an error of the request: its `session_lock_exporter_up` is 0, and
//! what could be had of it and all of the others is there. The time is what Prometheus says that it waits
//! (`X-Prometheus-Scrape-Timeout-Seconds`) less half a second for the way, and 10 s where nothing is said. More requests at
//! a time than [`Builder::max_requests`] are answered 503. Where `Accept-Encoding` allows it, the metrics are compressed.
//!
//! The pages work without scripts; with them, they keep themselves up to date while they are looked at. At most 64 do so
//! at a time: one more is answered 503 and tries again. Their streams are no requests under way, and
//! [`Exporter::end_streams`] ends them. While no page is open, nothing is looked at.
//!
//! The binary `session-lock-exporter` serves them by itself; a program that has a server already mounts them:
//!
//! ```
//! use session_lock_exporter::{Directory, Exporter};
//!
//! # fn main() -> Result<(), session_lock_exporter::BuildError> {
//! let exporter = Exporter::builder().source(Directory::new("sessions", "/srv/sessions")).build()?;
//! let app: axum::Router = axum::Router::new().nest("/locks", exporter.router());
//! # Ok(())
//! # }
//! ```
//!
//! Features, all on by default: `server` is the binary's server, with TLS and authentication, `otlp` sends spans to a
//! collector, and `cli` is the command line tool `session-lock`, which serves nothing. A program that mounts the router
//! needs none.
//!
//! Not here: what the lock counts, and how (`session_lock`).

mod directory;
mod encode;
mod exporter;
pub mod family;
mod flight;
mod history;
pub mod json;
mod live;
mod negotiate;
#[cfg(feature = "otlp")]
pub mod otlp;
mod own;
mod page;
mod routes;
#[cfg(feature = "server")]
mod server;
mod source;
#[cfg(feature = "server")]
pub mod web;

pub use directory::Directory;
pub use exporter::{BuildError, Builder, DEFAULT_MAX_REQUESTS, Exporter};
pub use history::Sample;
#[cfg(feature = "server")]
pub use server::{Exposure, Server, ServerError, Stopped};
pub use source::{Gathered, Source, Survey};

/// What this was built from, in lines for people: version, revision, compiler.
pub const BUILD: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nrevision: ",
    env!("SESSION_LOCK_REVISION"),
    "\nrustc: ",
    env!("SESSION_LOCK_RUSTC"),
);
