//! The web configuration file: a table of good and bad ones, each judged here and by `promtool check web-config`.

use std::fs;
use std::path::Path;
use std::process::Command;

use session_lock_exporter::web::check;

use crate::tls::Pki;

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
const FILES: &str = "cert_file: server.crt\n  key_file: server.key";

/// What each judge says. Where this is stricter, the reason is in the documentation of the module `web`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Good,
    Bad,
    /// Bad here, with these words, and good for promtool.
    Stricter(&'static str),
}
use Verdict::{Bad, Good, Stricter};

/// Name, file (with `FILES` and `HASH` put in), verdict. A name that ends in `*` needs a promtool younger than 2.42, which
/// knew neither inline certificates nor rate limits nor names of clients.
const TABLE: &[(&str, &str, Verdict)] = &[
    ("empty", "", Good),
    ("comment", "# nothing\n", Good),
    ("sections without content", "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n", Good),
    ("no mapping", "- a\n", Bad),
    ("no YAML", "a: [\n", Bad),
    ("unknown section", "tls_config: {}\n", Bad),
    ("unknown field", "tls_server_config: {FILES, surprise: 1}\n", Bad),
    ("unknown field without TLS", "http_server_config: {http3: true}\n", Bad),
    ("a field twice", "tls_server_config:\n  FILES\n  cert_file: server.crt\n", Bad),
    ("certificate and key", "tls_server_config:\n  FILES\n", Good),
    ("absolute paths", "tls_server_config:\n  cert_file: DIR/server.crt\n  key_file: DIR/server.key\n", Good),
    ("no key", "tls_server_config: {cert_file: server.crt}\n", Bad),
    ("no certificate", "tls_server_config: {key_file: server.key}\n", Bad),
    ("empty certificate", "tls_server_config: {cert_file: '', key_file: server.key}\n", Bad),
    ("missing file", "tls_server_config: {cert_file: nope.crt, key_file: server.key}\n", Bad),
    ("somebody else's key", "tls_server_config: {cert_file: server.crt, key_file: client.key}\n", Bad),
    ("a key as certificate", "tls_server_config: {cert_file: server.key, key_file: server.key}\n", Bad),
    ("a directory", "tls_server_config: {cert_file: ., key_file: server.key}\n", Bad),
    ("only versions", "tls_server_config: {min_version: TLS13}\n", Good),
    ("NoClientCert", "tls_server_config:\n  FILES\n  client_auth_type: NoClientCert\n", Good),
    ("RequestClientCert", "tls_server_config:\n  FILES\n  client_auth_type: RequestClientCert\n", Good),
    ("RequireAnyClientCert", "tls_server_config:\n  FILES\n  client_auth_type: RequireAnyClientCert\n", Good),
    ("RequireClientCert", "tls_server_config:\n  FILES\n  client_auth_type: RequireClientCert\n", Good),
    (
        "VerifyClientCertIfGiven",
        "tls_server_config:\n  FILES\n  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n",
        Good,
    ),
    (
        "RequireAndVerifyClientCert",
        "tls_server_config:\n  FILES\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n",
        Good,
    ),
    ("another policy", "tls_server_config:\n  FILES\n  client_auth_type: AskNicely\n", Bad),
    ("a policy alone", "tls_server_config: {client_auth_type: RequestClientCert}\n", Bad),
    ("a CA without a policy", "tls_server_config:\n  FILES\n  client_ca_file: ca.crt\n", Bad),
    (
        "missing CA",
        "tls_server_config:\n  FILES\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: nope.crt\n",
        Bad,
    ),
    (
        "a CA file without a certificate",
        "tls_server_config:\n  FILES\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: server.key\n",
        Stricter("no certificate in it"),
    ),
    (
        "verified without a CA",
        "tls_server_config:\n  FILES\n  client_auth_type: RequireAndVerifyClientCert\n",
        Stricter("needs client_ca_file"),
    ),
    (
        "names of clients*",
        "tls_server_config:\n  FILES\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  \
         client_allowed_sans: [prometheus]\n",
        Good,
    ),
    (
        "names of clients nobody asks*",
        "tls_server_config:\n  FILES\n  client_allowed_sans: [prometheus]\n",
        Stricter("client_allowed_sans without"),
    ),
    ("inline*", "tls_server_config:\n  cert: |\nCERT\n  key: |\nKEY\n", Good),
    ("TLS12 to TLS13", "tls_server_config:\n  FILES\n  min_version: TLS12\n  max_version: TLS13\n", Good),
    ("TLS10", "tls_server_config:\n  FILES\n  min_version: TLS10\n", Stricter("use TLS12 or TLS13")),
    ("TLS11", "tls_server_config:\n  FILES\n  max_version: TLS11\n", Stricter("use TLS12 or TLS13")),
    ("TLS14", "tls_server_config:\n  FILES\n  min_version: TLS14\n", Bad),
    (
        "no version left",
        "tls_server_config:\n  FILES\n  min_version: TLS13\n  max_version: TLS12\n",
        Stricter("no TLS version is left"),
    ),
    (
        "cipher suites",
        "tls_server_config:\n  FILES\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, \
         TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]\n",
        Good,
    ),
    (
        "an old cipher suite",
        "tls_server_config:\n  FILES\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]\n",
        Stricter("has no \"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA\""),
    ),
    ("an invented cipher suite", "tls_server_config:\n  FILES\n  cipher_suites: [TLS_ROT13]\n", Bad),
    ("curves", "tls_server_config:\n  FILES\n  curve_preferences: [X25519, CurveP256, CurveP384]\n", Good),
    ("a large curve", "tls_server_config:\n  FILES\n  curve_preferences: [CurveP521]\n", Stricter("no CurveP521")),
    ("an invented curve", "tls_server_config:\n  FILES\n  curve_preferences: [CurveP1]\n", Bad),
    ("server's preference", "tls_server_config:\n  FILES\n  prefer_server_cipher_suites: false\n", Good),
    ("http2", "http_server_config: {http2: false}\n", Good),
    ("http2 as text", "http_server_config: {http2: perhaps}\n", Bad),
    ("headers", "http_server_config: {headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=1}}\n", Good),
    ("a header's wrong value", "http_server_config: {headers: {X-Frame-Options: perhaps}}\n", Bad),
    ("another header", "http_server_config: {headers: {Content-Type: text/html}}\n", Bad),
    ("a header in another case", "http_server_config: {headers: {x-frame-options: deny}}\n", Bad),
    ("users", "basic_auth_users: {alice: HASH, bob: HASH}\n", Good),
    ("a user twice", "basic_auth_users:\n  alice: HASH\n  alice: HASH\n", Bad),
    ("a plain password", "basic_auth_users: {alice: secret}\n", Bad),
    ("no password", "basic_auth_users: {alice: }\n", Bad),
    ("a list of users", "basic_auth_users: [alice]\n", Bad),
    ("rate limit*", "rate_limit: {interval: 1m30s, burst: 20}\n", Good),
    ("no interval*", "rate_limit: {burst: 20}\n", Good),
    ("a wrong interval*", "rate_limit: {interval: often, burst: 20}\n", Bad),
    ("a wrong burst*", "rate_limit: {interval: 1s, burst: many}\n", Bad),
];

fn written(directory: &Path, text: &str) -> std::path::PathBuf {
    let inline = |file: &str| {
        let pem = fs::read_to_string(directory.join(file)).expect("the file is there");
        pem.lines().flat_map(|line| ["    ", line, "\n"]).collect::<String>()
    };
    let in_flow = "cert_file: server.crt, key_file: server.key";
    let files = if text.contains("{FILES") { in_flow } else { FILES };
    let text = text
        .replace("FILES", files)
        .replace("HASH", HASH)
        .replace("DIR", &directory.display().to_string())
        .replace("CERT\n", &inline("server.crt"))
        .replace("KEY\n", &inline("server.key"));
    let path = directory.join("web.yml");
    fs::write(&path, text).expect("the file is written");
    path
}

/// Promtool's verdict; none where there is no promtool.
fn promtool(path: &Path) -> Option<(bool, String)> {
    let output = Command::new("promtool").args(["check", "web-config"]).arg(path).output().ok()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Some((output.status.success(), said))
}

#[test]
fn the_table_holds() {
    let pki = Pki::new();
    let mut wrong = Vec::new();
    for (name, text, verdict) in TABLE {
        let path = written(pki.path(), text);
        match (check(&path), verdict) {
            (Ok(()), Good) | (Err(_), Bad) => {}
            (Err(error), Stricter(words)) if error.contains(words) => {}
            (ours, _) => wrong.push(format!("{name}: {verdict:?}, but here {ours:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn promtool_agrees() {
    let pki = Pki::new();
    let young = match promtool(&written(pki.path(), "rate_limit: {burst: 20}\n")) {
        None => {
            eprintln!("skipped: promtool_agrees: needs promtool (Debian: prometheus)");
            return;
        }
        Some((good, _)) => good,
    };
    let mut wrong = Vec::new();
    for (name, text, verdict) in TABLE {
        if name.ends_with('*') && !young {
            eprintln!("skipped: promtool_agrees: {name} needs a younger promtool");
            continue;
        }
        let (good, said) = promtool(&written(pki.path(), text)).expect("it was there before");
        if good == (*verdict == Bad) {
            wrong.push(format!("{name}: {verdict:?}, but promtool: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_example_files_are_good() {
    let pki = Pki::new();
    for name in ["web-config.yml", "web-config-mtls.yml"] {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let path = pki.path().join(name);
        fs::copy(example, &path).expect("the example is copied");
        check(&path).unwrap_or_else(|error| panic!("{error}"));
        match promtool(&path) {
            None => {
                eprintln!("skipped: the_example_files_are_good: promtool's part needs promtool (Debian: prometheus)");
            }
            Some((good, said)) => assert!(good, "{name}: {said}"),
        }
    }
}

/// An error names the place and repeats nothing from the file that could be secret.
#[test]
fn errors_repeat_no_secret() {
    let pki = Pki::new();
    for text in [
        "basic_auth_users: {alice: hunter2}\n",
        "basic_auth_users: {alice: [hunter2]}\n",
        "basic_auth_users:\n  alice: hunter2\n bad indentation: hunter2\n",
        "tls_server_config: {cert_file: server.crt, key: hunter2}\n",
        "tls_server_config: {key: hunter2, surprise: 1}\n",
        "hunter2\n",
    ] {
        let error = check(&written(pki.path(), text)).expect_err("a bad file");
        assert!(!error.contains("hunter2"), "{text:?} gave {error}");
        assert!(error.contains("web.yml"), "{text:?} gave {error}");
    }
}
