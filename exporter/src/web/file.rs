//! The file's settings as they are written, strictly: an unknown or repeated one is an error.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};

use super::go;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tls_server_config: Tls,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) http_server_config: Http,
    #[serde(default, deserialize_with = "or_default")]
    rate_limit: Limit,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) basic_auth_users: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) client_ca: Option<String>,
    pub(super) cert_file: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) client_auth_type: Option<String>,
    pub(super) client_ca_file: Option<String>,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
    pub(super) cipher_suites: Option<Vec<String>>,
    pub(super) curve_preferences: Option<Vec<String>>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) http2: Option<bool>,
    headers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Limit {
    interval: Option<String>,
    burst: Option<i64>,
}

/// A token bucket: `burst` requests at once, and one more for each `interval` that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) interval: Duration,
    pub(crate) burst: u32,
}

/// A key without a value is as good as none.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl File {
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
        // Errors show no piece of the file: keys and hashes are in it.
        let options = serde_saphyr::options! { with_snippet: false };
        let file: Option<Self> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
        Ok(file.unwrap_or_default())
    }

    /// The headers for every response; only those that the toolkit takes, because others could break the exposition.
    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        self.http_server_config.headers.iter().flatten().map(|(name, value)| header(name, value)).collect()
    }

    pub(super) fn rate_limit(&self) -> Result<Option<RateLimit>, String> {
        let Limit { interval, burst } = &self.rate_limit;
        let interval = match interval.as_deref() {
            None => Duration::ZERO,
            // A bare number is in nanoseconds.
            Some(text) => match text.parse::<i64>() {
                Ok(nanoseconds) => Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0)),
                Err(_) => go::duration(text).ok_or("rate_limit: interval is no duration such as 1s")?,
            },
        };
        let burst = u32::try_from(burst.unwrap_or(0).clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX);
        Ok((!interval.is_zero()).then_some(RateLimit { interval, burst }))
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let expected: &[&str] = match name {
        "Strict-Transport-Security" | "X-XSS-Protection" | "Content-Security-Policy" => &[],
        "X-Content-Type-Options" => &["nosniff"],
        "X-Frame-Options" => &["deny", "sameorigin"],
        _ => return Err(format!("http_server_config: header {name:?} cannot be configured")),
    };
    if !expected.is_empty() && !expected.contains(&value) {
        return Err(format!("http_server_config: {name} is one of {expected:?}, not {value:?}"));
    }
    let name = HeaderName::try_from(name).map_err(|_| format!("http_server_config: {name:?} is no header"))?;
    let value = HeaderValue::from_str(value).map_err(|_| format!("http_server_config: {name}: no header's value"))?;
    Ok((name, value))
}
