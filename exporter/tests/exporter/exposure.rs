//! Nobody reads it from elsewhere by mistake.

use std::fs;

use crate::http::get;
use crate::running::{Running, exporter, output};

const OPEN: &str = "rate_limit: {interval: 1s, burst: 100}\n";

/// A bcrypt hash of "secret", as cheap as they get.
fn users() -> String {
    format!("basic_auth_users: {{alice: \"{}\"}}\n", bcrypt::hash("secret", 4).expect("a hash"))
}

#[test]
fn without_authentication_it_refuses_to_listen_beyond_loopback() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("web.yml");
    let path = file.to_str().expect("a plain path");
    fs::write(&file, OPEN).expect("the file is written");
    for address in ["0.0.0.0:0", ":0", "[::]:0"] {
        for arguments in [&[][..], &["--web.config.file", path]] {
            let arguments = [&["--dir", "/", "--web.listen-address", address], arguments].concat();
            let output = output(&arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            if address == "[::]:0" && said.contains("cannot listen") {
                eprintln!("skipped: {address}: needs IPv6");
                continue;
            }
            assert_eq!(output.status.code(), Some(1), "{said}");
            for way_out in ["basic_auth_users", "RequireAndVerifyClientCert", "127.0.0.1", "--web.insecure"] {
                assert!(said.contains(way_out), "{way_out}: {said}");
            }
        }
    }
}

#[test]
fn with_authentication_or_on_request_it_listens_everywhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("web.yml");
    fs::write(&file, users()).expect("the file is written");
    let everywhere = ["--dir", "/", "--web.listen-address", "0.0.0.0:0"];
    let running = Running::spawn(exporter(&everywhere).arg("--web.config.file").arg(&file));
    let reachable = |running: &Running| ([127, 0, 0, 1], running.address.port()).into();
    assert_eq!(get(reachable(&running), "/-/healthy").status, 401);

    // Users taken away later do not open it.
    fs::write(&file, OPEN).expect("the file is written");
    assert_eq!(get(reachable(&running), "/-/healthy").status, 401);

    let insecure = Running::spawn(exporter(&everywhere).arg("--web.insecure"));
    assert_eq!(get(reachable(&insecure), "/-/healthy").status, 200);
}
