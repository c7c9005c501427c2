//! The question of a container's health check, asked by the exporter's own binary: an image may hold nothing else.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(3);
const REQUEST: &[u8] = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// The first byte of what a server with TLS answers to plain text (RFC 8446, section 5.1).
const TLS_ALERT: u8 = 21;

/// Asks whoever listens at one of these addresses whether it is healthy.
///
/// One that asks for TLS or for a password answers, too, and is healthy.
///
/// # Errors
///
/// Nobody answers, or it says that it is not.
pub(crate) fn ask(addresses: &[SocketAddr]) -> Result<(), String> {
    let mut stream = connect(addresses).map_err(|error| format!("not healthy: cannot connect: {error}"))?;
    let mut begin = [0; 12];
    let answered = stream
        .write_all(REQUEST)
        .and_then(|()| read(&mut stream, &mut begin))
        .map_err(|error| format!("not healthy: no answer: {error}"))?;
    match &begin[..answered] {
        [TLS_ALERT, ..] | [b'H', b'T', b'T', b'P', b'/', _, _, _, b' ', b'2'..=b'4', ..] => Ok(()),
        answer => Err(format!("not healthy: {}", String::from_utf8_lossy(answer).escape_debug())),
    }
}

fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Fills the buffer as far as there is something to read.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_healthy_unless_it_says_otherwise() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let answers: [(&[u8], bool); 6] = [
            (b"HTTP/1.1 200 OK\r\n\r\n", true),
            (b"HTTP/1.1 401 Unauthorized\r\n\r\n", true),
            (&[TLS_ALERT, 3, 3, 0, 2, 2, 50], true),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            (b"SSH-2.0-\n", false),
            (b"", false),
        ];
        for (answer, healthy) in answers {
            let asking = std::thread::spawn(move || ask(&[address]));
            let (mut stream, _) = listener.accept().expect("asked");
            // All of it: what is closed with something unread is reset, with the answer.
            stream.read_exact(&mut [0; REQUEST.len()]).expect("a request");
            stream.write_all(answer).expect("heard");
            drop(stream);
            assert_eq!(asking.join().expect("no panic").is_ok(), healthy, "{answer:?}");
        }
        drop(listener);
        assert!(ask(&[address]).is_err_and(|said| said.contains("cannot connect")));
    }
}
