//! The exporter: its directories, its settings, and its routes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use serde_json::value::RawValue;

use crate::flight::Flight;
use crate::live::{Live, Surveys};
use crate::own::Own;
use crate::page::TraceUrl;
use crate::routes;
use crate::source::{Gathered, Source};

/// How many requests may look at directories at the same time, where the builder is not told otherwise.
pub const DEFAULT_MAX_REQUESTS: usize = 40;

/// What is served. Cloning it is cheap, and all clones count together.
#[derive(Clone)]
pub struct Exporter {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) directories: Vec<Looked>,
    pub(crate) telemetry_path: String,
    pub(crate) detail: usize,
    pub(crate) slots: tokio::sync::Semaphore,
    pub(crate) max_requests: usize,
    pub(crate) own: Own,
    pub(crate) live: Live,
    pub(crate) trace_url: Option<TraceUrl>,
    /// Whether the first look of all directories has begun.
    pub(crate) first_look: AtomicBool,
}

/// JSON that a source has written, or why it could not.
pub(crate) type Written = Result<Box<RawValue>, String>;

/// A source with its name among the others, and the calls to it that are under way.
pub(crate) struct Looked {
    pub(crate) name: String,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) gather: Flight<Gathered>,
    pub(crate) locks: Flight<Written>,
    pub(crate) contention: Flight<Written>,
    pub(crate) surveys: Surveys,
    /// Whether it was tried once: it answered, or the time for it was over.
    pub(crate) tried: AtomicBool,
}

/// Settings of an [`Exporter`].
#[must_use = "settings do nothing until the exporter is built"]
pub struct Builder {
    sources: Vec<Arc<dyn Source>>,
    telemetry_path: String,
    max_requests: usize,
    detail: usize,
    trace_url: Option<String>,
}

/// Why there can be no such exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The path for the metrics is none, or is another route's.
    TelemetryPath(String),
    /// The address of traces is none that a page can link to.
    TraceUrl(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TelemetryPath(path) => write!(
                f,
                "metrics cannot be at {path:?}: it must begin with a slash, be made of A-Z a-z 0-9 . _ - and slashes, and \
                 be no other route of the exporter",
            ),
            Self::TraceUrl(template) => write!(
                f,
                "traces cannot be at {template:?}: it must begin with http:// or https://, and have {{trace_id}} or \
                 {{span_id}} in it",
            ),
        }
    }
}

impl std::error::Error for BuildError {}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.shared.directories.iter().map(|directory| &directory.name).collect();
        f.debug_struct("Exporter").field("directories", &names).finish_non_exhaustive()
    }
}

impl Exporter {
    /// An exporter of no directory, at `/metrics`.
    pub fn builder() -> Builder {
        Builder {
            sources: Vec::new(),
            telemetry_path: "/metrics".to_owned(),
            max_requests: DEFAULT_MAX_REQUESTS,
            detail: 0,
            trace_url: None,
        }
    }

    /// The routes, to serve or to mount; the table is in the [module documentation](crate).
    ///
    /// They do no I/O before a request comes, need a Tokio runtime with its timer, and have neither authentication nor
    /// limits of connections: these are the server's concern.
    pub fn router(&self) -> Router {
        routes::router(self)
    }

    /// Ends the streams that pages in browsers listen to, and lets no new one begin; everything else is answered as before.
    ///
    /// A stream goes on for as long as somebody looks. So a program that mounts the router and stops in good order calls this
    /// when it begins to; this crate's server does so by itself.
    pub fn end_streams(&self) {
        self.shared.live.end();
    }

    /// Looks at every directory once, in the background, so that `/-/ready` can say so; without it, the first request
    /// for `/-/ready` does. Needs to be called within a Tokio runtime.
    pub fn first_look(&self) {
        if !self.shared.first_look.swap(true, Ordering::Relaxed) {
            let exporter = self.clone();
            tokio::spawn(async move { routes::first_look(&exporter).await });
        }
    }
}

impl Builder {
    /// One more directory.
    pub fn source(mut self, source: impl Source) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Where the metrics are; `/metrics` if not told.
    pub fn telemetry_path(mut self, path: impl Into<String>) -> Self {
        self.telemetry_path = path.into();
        self
    }

    /// How many requests may look at directories at the same time; one more is answered 503. At least 1.
    pub fn max_requests(mut self, most: usize) -> Self {
        self.max_requests = most.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// How many locks of a directory get metrics of their own; none if not told.
    pub fn detail(mut self, most: usize) -> Self {
        self.detail = most;
        self
    }

    /// Where a trace can be looked at, for the page's links: an address with `{trace_id}` and `{span_id}` in it, for which the
    /// ids are put in, in hexadecimal digits. Without it the page shows the ids as text.
    pub fn trace_url(mut self, template: impl Into<String>) -> Self {
        self.trace_url = Some(template.into());
        self
    }

    /// The exporter.
    ///
    /// # Errors
    ///
    /// [`BuildError::TelemetryPath`] for a path that cannot be a route, [`BuildError::TraceUrl`] for an address that cannot be a
    /// trace's.
    pub fn build(self) -> Result<Exporter, BuildError> {
        let Self { sources, telemetry_path, max_requests, detail, trace_url } = self;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        let taken = routes::TAKEN.contains(&telemetry_path.as_str());
        if taken || !telemetry_path.starts_with('/') || !telemetry_path.bytes().all(fits) {
            return Err(BuildError::TelemetryPath(telemetry_path));
        }
        let trace_url = trace_url.map(|template| TraceUrl::new(&template).ok_or(BuildError::TraceUrl(template)));
        let mut names = BTreeSet::new();
        let directories = sources.into_iter().map(|source| Looked {
            name: unique(source.name(), &mut names),
            source,
            gather: Flight::default(),
            locks: Flight::default(),
            contention: Flight::default(),
            surveys: Surveys::default(),
            tried: AtomicBool::new(false),
        });
        let shared = Shared {
            directories: directories.collect(),
            telemetry_path,
            detail,
            slots: tokio::sync::Semaphore::new(max_requests),
            max_requests,
            own: Own::default(),
            live: Live::new(),
            trace_url: trace_url.transpose()?,
            first_look: AtomicBool::new(false),
        };
        Ok(Exporter { shared: Arc::new(shared) })
    }
}

fn unique(name: &str, names: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    let name = candidates.find(|candidate| !names.contains(candidate)).expect("there is no last number");
    names.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Directory;

    #[test]
    fn names_are_made_unique() {
        let names = ["a", "a", "a-2", "a", ""];
        let exporter = names.into_iter().fold(Exporter::builder(), |all, name| all.source(Directory::new(name, "/")));
        let shared = exporter.build().expect("a good exporter").shared;
        let unique: Vec<_> = shared.directories.iter().map(|directory| directory.name.as_str()).collect();
        assert_eq!(unique, ["a", "a-2", "a-2-2", "a-3", ""]);
    }

    #[test]
    fn the_metrics_have_a_path_of_their_own() {
        for path in
            ["", "metrics", "/", "/-/healthy", "/api/v1/locks", "/lock", "/events", "/{a}", "/a b", "/metrics?x"]
        {
            let built = Exporter::builder().telemetry_path(path).build();
            assert_eq!(built.err(), Some(BuildError::TelemetryPath(path.to_owned())));
        }
        assert!(Exporter::builder().telemetry_path("/a/b.c").build().is_ok());
    }
}
