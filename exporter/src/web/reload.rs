//! The settings in effect, and their change without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderName, HeaderValue};
use tokio_rustls::rustls::ServerConfig;

use super::file::{File, RateLimit};
use super::inputs::Inputs;
use super::users::Users;

/// What a web configuration file says, ready for use.
pub(crate) struct Settings {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) users: Users,
    verified_clients: bool,
}

impl Settings {
    pub(super) fn read(path: &Path) -> (Inputs, Result<Self, String>) {
        let mut inputs = Inputs::default();
        let settings = Self::from_inputs(path, &mut inputs);
        // The reading's own errors begin with the path already.
        let named = |error: String| {
            let path = path.display().to_string();
            if error.starts_with(&path) { error } else { format!("{path}: {error}") }
        };
        (inputs, settings.map_err(named))
    }

    fn from_inputs(path: &Path, inputs: &mut Inputs) -> Result<Self, String> {
        let file = File::parse(&inputs.read(path)?)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let tls = file.tls_server_config.build(directory, file.http_server_config.http2.unwrap_or(true), inputs)?;
        Ok(Self {
            headers: file.headers()?,
            rate_limit: file.rate_limit()?,
            users: Users::parse(&file.basic_auth_users)?,
            verified_clients: tls.as_ref().is_some_and(|tls| tls.authenticates),
            tls: tls.map(|tls| tls.config),
        })
    }

    /// Whether nobody comes in unknown.
    pub(crate) fn authenticates(&self) -> bool {
        self.verified_clients || !self.users.is_empty()
    }
}

/// Reads the file again when something in it, or in a file that it names, has changed.
pub(crate) struct Reloader {
    path: PathBuf,
    tls: bool,
    authentication: bool,
    /// Held while files are read, which may hang; what is in effect has a lock of its own.
    inputs: Mutex<Inputs>,
    settings: Mutex<Arc<Settings>>,
}

impl Reloader {
    /// # Errors
    ///
    /// What is wrong with the file, for people.
    pub(crate) fn new(path: &Path) -> Result<Self, String> {
        let (inputs, settings) = Settings::read(path);
        let settings = settings?;
        Ok(Self {
            path: path.to_owned(),
            tls: settings.tls.is_some(),
            authentication: false,
            inputs: Mutex::new(inputs),
            settings: Mutex::new(Arc::new(settings)),
        })
    }

    /// From now on settings without authentication are not usable.
    pub(crate) fn require_authentication(&mut self) {
        self.authentication = true;
    }

    /// The settings as they were read last.
    pub(crate) fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Brings the settings up to date; if the files have changed, says whether they are usable. Reads files, so it may hang.
    pub(crate) fn refresh(&self) -> Option<Result<(), String>> {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        if inputs.unchanged() {
            return None;
        }
        let (read, settings) = Settings::read(&self.path);
        // Unusable inputs are kept as well, so that they are judged once.
        *inputs = read;
        Some(settings.and_then(|settings| self.usable(settings)).map(|settings| {
            *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        }))
    }

    fn usable(&self, settings: Settings) -> Result<Settings, String> {
        let path = self.path.display();
        if settings.tls.is_some() != self.tls {
            return Err(format!("{path}: TLS cannot be switched on or off without a restart"));
        }
        if self.authentication && !settings.authenticates() {
            return Err(format!("{path}: no authentication is left, and the exporter listens beyond this machine"));
        }
        Ok(settings)
    }
}
