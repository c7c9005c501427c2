//! The web configuration file: TLS, client certificates, users, headers, rate limit.
//!
//! The file is that of Prometheus' exporter-toolkit
//! (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>), and `promtool check web-config`
//! checks it. Where this differs from the toolkit, it refuses more:
//!
//! | Setting | Toolkit | Here |
//! |---|---|---|
//! | `min_version`, `max_version` | from TLS10 | TLS12 and TLS13; rustls has nothing older |
//! | `cipher_suites` | also CBC and RSA key exchange | those with ECDHE and AEAD; rustls has no others |
//! | `curve_preferences` | also `CurveP521` | `CurveP256`, `CurveP384`, `X25519`; ring has no other |
//! | verified client certificates without a CA | the machine's CAs | refused: any web server's certificate would do |
//! | a CA file without a certificate | nobody gets in | refused |
//! | `client_allowed_sans` without client certificates | ignored | refused |
//! | users without a password hash that bcrypt can check | 500 or 401 later | refused |
//!
//! The file and the files it names are read again for each connection and request, so that a new certificate or user is in
//! effect at once. The toolkit answers 500 while they are unusable. Here the last usable ones stay in effect, because a
//! certificate and its key are two files and cannot change at one moment; it is logged as an error, and
//! `session_lock_exporter_web_config_last_reload_successful` is 0. Whether there is TLS at all cannot change without a
//! restart (as with the toolkit), and a server that needs authentication refuses a file that has none any more.
//!
//! Not here: sockets, and what is done with it for a request (`server`).

mod client;
mod file;
mod go;
mod inputs;
mod reload;
mod tls;
mod users;

pub(crate) use file::RateLimit;
pub(crate) use reload::{Reloader, Settings};
pub(crate) use users::Attempt;

use std::path::Path;

/// Checks a web configuration file and the files that it names.
///
/// # Errors
///
/// What is wrong, in words that name the file and the setting and repeat no secret.
pub fn check(path: &Path) -> Result<(), String> {
    Settings::read(path).1.map(drop)
}
