//! One POST for each batch, over a connection of its own, without a runtime: the batches come from a thread that may wait.
//!
//! A general HTTP client would be larger than the exporter. This one follows no redirect and reads no body.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_rustls::rustls;

use super::otlp_setting;

/// As the specification has it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// More than any status line and headers.
const MOST_HEAD_BYTES: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct Client {
    timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
}

impl Client {
    pub(super) fn from_environment() -> Result<Self, String> {
        let milliseconds = otlp_setting("TIMEOUT").and_then(|(_, value)| value.parse().ok());
        let timeout = milliseconds.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
        let (name, endpoint) = otlp_setting("ENDPOINT").unwrap_or_default();
        let scheme = endpoint.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let tls = match scheme.as_deref() {
            Some("http") => None,
            Some("https") => Some(tls()?),
            _ => return Err(format!("{name}: {endpoint:?} is no URL with http:// or https://")),
        };
        Ok(Self { timeout, tls })
    }

    fn post(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri();
        let host = uri.host().ok_or("the endpoint has no host")?;
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let until = Instant::now() + self.timeout;
        let stream = Timed { stream: connect(host.trim_matches(['[', ']']), port, until)?, until };
        let code = match (secure, &self.tls) {
            (false, _) => exchange(stream, request)?,
            (true, Some(tls)) => {
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
                let connection = ClientConnection::new(Arc::clone(tls), name)?;
                exchange(StreamOwned::new(connection, stream), request)?
            }
            (true, None) => return Err("not prepared for https".into()),
        };
        Ok(Response::builder().status(code).body(Bytes::new())?)
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.post(&request)
    }
}

fn tls() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    if let Some((name, path)) = otlp_setting("CERTIFICATE") {
        let certificates = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for certificate in certificates.map_err(|error| format!("{name}: {path}: {error}"))? {
            roots.add(certificate).map_err(|error| format!("{name}: {path}: {error}"))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    Ok(Arc::new(config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth()))
}

fn connect(host: &str, port: u16, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the collector's name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Sends the request and reads the status code.
fn exchange(mut stream: impl Read + Write, request: &Request<Bytes>) -> Result<u16, HttpError> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n").into_bytes();
    for (name, value) in request.headers() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    write!(head, "Content-Length: {}\r\n\r\n", request.body().len())?;
    stream.write_all(&head)?;
    stream.write_all(request.body())?;
    stream.flush()?;
    let (mut head, mut bytes) = (Vec::new(), BufReader::new(stream.take(MOST_HEAD_BYTES)).bytes());
    while !head.ends_with(b"\r\n\r\n") {
        head.push(bytes.next().ok_or("the collector closed without an answer")??);
    }
    let status =
        head.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| str::from_utf8(code).ok());
    Ok(status.ok_or("the collector does not speak HTTP/1")?.parse()?)
}

/// What is left of the time.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
}

/// A stream on which everything together has to be done in time.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
