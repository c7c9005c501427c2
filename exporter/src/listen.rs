//! The address to listen on, as a person writes it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use tokio::net::TcpListener;

/// `host:port`, where the host is a name, an IPv4 address or an IPv6 address in brackets. Without a host it means every
/// interface, as in Prometheus' own programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    host: String,
    port: u16,
}

impl ListenAddress {
    /// A listener there. A name is tried at all its addresses, the first free one wins.
    pub(crate) async fn bind(&self) -> io::Result<TcpListener> {
        let Self { host, port } = self;
        if host.is_empty() {
            // The second is for a kernel without IPv6; where there is IPv6, the first takes IPv4 as well.
            let every = [(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()];
            return TcpListener::bind(every.as_slice()).await;
        }
        TcpListener::bind((host.as_str(), *port)).await
    }

    /// Where somebody on this machine reaches such a listener.
    pub(crate) fn reachable(&self) -> io::Result<Vec<SocketAddr>> {
        let Self { host, port } = self;
        if host.is_empty() {
            return Ok(vec![(Ipv6Addr::LOCALHOST, *port).into(), (Ipv4Addr::LOCALHOST, *port).into()]);
        }
        Ok((host.as_str(), *port).to_socket_addrs()?.map(to_loopback).collect())
    }
}

/// What means every interface is none that can be connected to.
fn to_loopback(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or("expected host:port or :port")?;
        let port = port.parse().map_err(|_| format!("{port:?} is not a port (0 to 65535)"))?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => {
                inner.parse::<Ipv6Addr>().map_err(|_| format!("{inner:?} is not an IPv6 address"))?.to_string()
            }
            None if host.contains(':') => return Err(format!("an IPv6 address needs brackets: [{host}]:{port}")),
            None => host.to_owned(),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_was_written() {
        for text in ["127.0.0.1:15625", "localhost:0", "[::1]:15625", ":15625"] {
            assert_eq!(text.parse::<ListenAddress>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, complaint) in [
            ("", "expected host:port"),
            ("localhost", "expected host:port"),
            ("localhost:", "is not a port"),
            ("localhost:65536", "is not a port"),
            ("localhost:http", "is not a port"),
            ("::1:15625", "needs brackets"),
            ("[localhost]:15625", "is not an IPv6 address"),
        ] {
            let error = text.parse::<ListenAddress>().expect_err("not an address");
            assert!(error.contains(complaint), "{text:?} gave {error:?}");
        }
    }
}
