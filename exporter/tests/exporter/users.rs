//! Users, headers and the rate limit of the web configuration file.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::{Response, get, request};
use crate::running::Running;

struct Configured {
    running: Running,
    directory: tempfile::TempDir,
}

impl Configured {
    fn start(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("web.yml");
        fs::write(&file, text).expect("the file is written");
        let running = Running::start(&["--dir", "/", "--web.config.file", file.to_str().expect("a plain path")]);
        Self { running, directory }
    }

    fn change(&self, text: &str) {
        fs::write(self.directory.path().join("web.yml"), text).expect("the file is written");
    }

    fn as_user(&self, user: &str) -> Response {
        let header = format!("Authorization: Basic {}", STANDARD.encode(user));
        request(self.running.address, "GET", "/-/healthy", &[&header]).expect("an answer")
    }
}

fn user(name: &str, password: &str) -> String {
    format!("basic_auth_users:\n  {name}: {}\n", bcrypt::hash(password, 4).expect("a hash"))
}

#[test]
fn users_come_in_and_change_without_a_restart() {
    let configured = Configured::start(&user("alice", "secret"));
    let unauthorized = get(configured.running.address, "/metrics");
    assert_eq!(unauthorized.status, 401);
    assert!(unauthorized.header("www-authenticate").is_some_and(|value| value.starts_with("basic ")));
    for (who, status) in [("alice:secret", 200), ("alice:secret", 200), ("alice:wrong", 401), ("bob:secret", 401)] {
        assert_eq!(configured.as_user(who).status, status, "{who}");
    }

    configured.change(&user("bob", "other"));
    for (who, status) in [("alice:secret", 401), ("bob:other", 200)] {
        assert_eq!(configured.as_user(who).status, status, "{who}");
    }

    // A broken file changes nothing.
    configured.change("basic_auth_users: {bob: plain}\n");
    for (who, status) in [("bob:other", 200), ("bob:plain", 401), ("alice:secret", 401)] {
        assert_eq!(configured.as_user(who).status, status, "{who}");
    }

    // On loopback it may do without users.
    configured.change("");
    assert_eq!(get(configured.running.address, "/-/healthy").status, 200);
    let metrics = get(configured.running.address, "/metrics").text();
    assert!(metrics.contains("session_lock_exporter_http_requests_total{code=\"401\"} 6.0\n"), "{metrics}");
}

#[test]
fn headers_are_on_every_answer() {
    let headers =
        "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src 'none'}}\n";
    let configured = Configured::start(headers);
    for path in ["/", "/metrics", "/nowhere"] {
        let response = get(configured.running.address, path);
        assert_eq!(response.header("x-frame-options"), Some("deny"), "{path}");
        assert_eq!(response.header("content-security-policy"), Some("default-src 'none'"), "{path}");
    }
    configured.change(&format!("{headers}{}", user("alice", "secret")));
    let refused = get(configured.running.address, "/");
    assert_eq!((refused.status, refused.header("x-frame-options")), (401, Some("deny")));
}

#[test]
fn more_requests_than_the_rate_allows_are_429() {
    let configured = Configured::start("rate_limit: {interval: 24h, burst: 3}\n");
    let codes: Vec<_> = (0..5).map(|_| get(configured.running.address, "/-/healthy").status).collect();
    assert_eq!(codes, [200, 200, 200, 429, 429]);
}
