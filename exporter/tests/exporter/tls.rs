//! TLS and client certificates, with certificates made here.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tokio_rustls::rustls;

use crate::http::{Response, connect, exchange};
use crate::running::Running;

/// A directory with a CA, and certificates that it signed and that it did not.
pub(crate) struct Pki {
    directory: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let ca = authority();
        fs::write(directory.path().join("ca.crt"), ca.pem()).expect("the CA is written");
        let pki = Self { directory, ca };
        pki.certify("server", vec![dns("localhost")], &pki.ca);
        pki.certify("client", vec![dns("prometheus"), SanType::IpAddress([10, 0, 0, 1].into())], &pki.ca);
        pki.certify("stranger", vec![dns("prometheus")], &authority());
        pki
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A new certificate and key in the files of this name.
    fn certify(&self, name: &str, names: Vec<SanType>, issuer: &CertifiedIssuer<'static, KeyPair>) {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, issuer).expect("a certificate");
        fs::write(self.path().join(format!("{name}.key")), key.serialize_pem()).expect("the key is written");
        fs::write(self.path().join(format!("{name}.crt")), certificate.pem()).expect("the certificate is written");
    }

    /// Starts the exporter with this section in its web configuration file.
    fn exporter(&self, more: &str) -> Running {
        let path = self.configure(more);
        Running::start(&["--dir", "/", "--web.config.file", &path])
    }

    fn configure(&self, more: &str) -> String {
        let path = self.path().join("web.yml");
        let text = format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}");
        fs::write(&path, text).expect("the file is written");
        path.to_str().expect("a plain path").to_owned()
    }

    fn client(&self, identity: Option<&str>, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).expect("a good CA");
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("good versions")
            .with_webpki_verifier(verifier.expect("a good CA"));
        match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let file = |ending: &str| self.path().join(format!("{name}.{ending}"));
                let chain = vec![CertificateDer::from_pem_file(file("crt")).expect("a certificate")];
                let key = PrivateKeyDer::from_pem_file(file("key")).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a good identity")
            }
        }
    }

    fn get(&self, address: SocketAddr, identity: Option<&str>) -> io::Result<Response> {
        let stream = handshake(address, self.client(identity, rustls::ALL_VERSIONS));
        exchange(stream?, "GET", "/metrics", &[])
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("a CA")
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("a name"))
}

type Stream = StreamOwned<ClientConnection, std::net::TcpStream>;

/// A client's refusal by TLS 1.3 comes only with the first bytes read, so this may succeed for one who is refused.
fn handshake(address: SocketAddr, config: ClientConfig) -> io::Result<Stream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, connect(address)?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn in_section(text: &str) -> String {
    text.split(';').flat_map(|line| ["  ", line.trim(), "\n"]).collect()
}

#[test]
fn each_policy_lets_in_whom_it_should() {
    let pki = Pki::new();
    // No certificate, one of the CA, one of another.
    for (section, expected) in [
        ("client_auth_type: NoClientCert", [true, true, true]),
        ("client_auth_type: RequestClientCert", [true, true, true]),
        ("client_auth_type: RequireAnyClientCert", [false, true, true]),
        ("client_auth_type: VerifyClientCertIfGiven; client_ca_file: ca.crt", [true, true, false]),
        ("client_auth_type: RequireAndVerifyClientCert; client_ca_file: ca.crt", [false, true, false]),
        (
            "client_auth_type: RequireAndVerifyClientCert; client_ca_file: ca.crt; client_allowed_sans: [x, prometheus]",
            [false, true, false],
        ),
        (
            "client_auth_type: RequireAndVerifyClientCert; client_ca_file: ca.crt; client_allowed_sans: [10.0.0.1]",
            [false, true, false],
        ),
        (
            "client_auth_type: RequireAndVerifyClientCert; client_ca_file: ca.crt; client_allowed_sans: [somebody]",
            [false, false, false],
        ),
        (
            "client_auth_type: RequireAndVerifyClientCert; client_ca_file: ca.crt; client_allowed_sans: []",
            [false, false, false],
        ),
        ("client_auth_type: RequireAnyClientCert; client_allowed_sans: [prometheus]", [false, true, true]),
    ] {
        let running = pki.exporter(&in_section(section));
        let let_in = [None, Some("client"), Some("stranger")]
            .map(|identity| pki.get(running.address, identity).is_ok_and(|response| response.status == 200));
        assert_eq!(let_in, expected, "{section}");
    }
}

#[test]
fn the_versions_are_those_that_were_configured() {
    let pki = Pki::new();
    for (section, expected) in [
        ("", [true, true]),
        ("min_version: TLS13", [false, true]),
        ("max_version: TLS12", [true, false]),
        ("max_version: TLS12; cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", [true, false]),
        // What is chosen before TLS 1.3 suits no certificate here.
        ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", [false, true]),
    ] {
        let running = pki.exporter(&in_section(section));
        let reached = [&rustls::version::TLS12, &rustls::version::TLS13]
            .map(|version| handshake(running.address, pki.client(None, &[version])).is_ok());
        assert_eq!(reached, expected, "{section}");
    }
    let suite = "max_version: TLS12; cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]";
    let running = pki.exporter(&in_section(suite));
    let stream = handshake(running.address, pki.client(None, rustls::ALL_VERSIONS)).expect("a handshake");
    assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let suite = stream.conn.negotiated_cipher_suite().expect("a suite").suite();
    assert_eq!(suite, rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256);
}

#[test]
fn http2_is_offered_unless_it_is_switched_off() {
    let pki = Pki::new();
    for (section, expected) in [("", &b"h2"[..]), ("http_server_config: {http2: false}\n", b"http/1.1")] {
        let running = pki.exporter(section);
        let mut config = pki.client(None, rustls::ALL_VERSIONS);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut stream = handshake(running.address, config).expect("a handshake");
        assert_eq!(stream.conn.alpn_protocol(), Some(expected));
        if expected == b"h2" {
            // The preface and empty settings; the server's settings come back (frame type 4).
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("it is sent");
            let mut frame = [0; 9];
            stream.read_exact(&mut frame).expect("a frame");
            assert_eq!(frame[3], 4, "{frame:?}");
        }
    }
}

fn served(pki: &Pki, address: SocketAddr) -> CertificateDer<'static> {
    let stream = handshake(address, pki.client(None, rustls::ALL_VERSIONS)).expect("a handshake");
    stream.conn.peer_certificates().expect("a certificate")[0].clone().into_owned()
}

#[test]
fn a_new_certificate_is_served_at_once_and_a_broken_one_never() {
    let pki = Pki::new();
    let on_disk = || CertificateDer::from_pem_file(pki.path().join("server.crt")).expect("a certificate");
    let running = pki.exporter("");
    let first = on_disk();
    assert_eq!(served(&pki, running.address), first);

    // Half of a change: the new certificate is there and its key is not yet.
    let key = fs::read(pki.path().join("server.key")).expect("a key");
    pki.certify("server", vec![dns("localhost")], &pki.ca);
    let new_key = fs::read(pki.path().join("server.key")).expect("a key");
    fs::write(pki.path().join("server.key"), key).expect("it is written");
    assert_eq!(served(&pki, running.address), first);
    let usable = "session_lock_exporter_web_config_last_reload_successful";
    let metrics = pki.get(running.address, None).expect("an answer").text();
    assert!(metrics.contains(&format!("{usable} 0.0\n")), "{metrics}");

    fs::write(pki.path().join("server.key"), new_key).expect("it is written");
    assert_eq!(served(&pki, running.address), on_disk());
    assert_ne!(on_disk(), first);
    let metrics = pki.get(running.address, None).expect("an answer").text();
    assert!(metrics.contains(&format!("{usable} 1.0\n")), "{metrics}");

    // TLS itself does not go away, whatever the file says.
    fs::write(pki.path().join("web.yml"), "{}\n").expect("it is written");
    assert_eq!(served(&pki, running.address), on_disk());
    fs::remove_file(pki.path().join("web.yml")).expect("it is removed");
    assert_eq!(served(&pki, running.address), on_disk());
    let (_, said) = running.end(rustix::process::Signal::TERM).expect("the exporter ends");
    assert!(said.contains("level=error") && said.contains("restart"), "{said}");
}

#[test]
fn who_does_not_speak_tls_is_sent_away() {
    let pki = Pki::new();
    let running = pki.exporter("");
    let answer = exchange(connect(running.address).expect("it accepts"), "GET", "/metrics", &[]);
    assert!(answer.is_err(), "{answer:?}");
    let mut silent = connect(running.address).expect("it accepts");
    let mut buffer = [0; 100];
    assert!(matches!(silent.read(&mut buffer), Ok(0) | Err(_)), "it is closed, and nothing is said");
    assert_eq!(pki.get(running.address, None).expect("an answer").status, 200);
}
