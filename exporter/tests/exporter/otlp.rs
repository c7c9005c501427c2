//! Spans go to a collector that is asked for, and one that does not answer costs nothing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::process::Signal;

use crate::http::{PLENTY, get};
use crate::running::{Running, exporter};

const ARGUMENTS: [&str; 4] = ["--dir", "/", "--web.listen-address", "127.0.0.1:0"];

/// A collector that says yes to everything, and hands over what it got: head and body of each request.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    let (got, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Some(request) = received(stream) else { continue };
            if got.send(request).is_err() {
                return;
            }
        }
    });
    (format!("http://{address}"), receiver)
}

fn received(mut stream: TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?.to_ascii_lowercase();
        let length: usize = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
        if bytes.len() >= end + 4 + length {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
            return Some((head, bytes[end + 4..].to_vec()));
        }
    }
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Scrapes once under these variables, stops it, and gives back what it said.
fn scraped(variables: &[(&str, &str)]) -> String {
    let running = Running::spawn(exporter(&ARGUMENTS).envs(variables.iter().copied()));
    assert_eq!(get(running.address, "/metrics").status, 200);
    let (code, said) = running.end(Signal::TERM).expect("the exporter ends");
    assert_eq!(code, Some(0), "{said}");
    said
}

#[test]
fn spans_reach_the_collector() {
    let (endpoint, requests) = collector();
    scraped(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=locks")]);
    let (head, body) = requests.recv_timeout(PLENTY).expect("spans come");
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf") && head.contains("x-tenant: locks"), "{head}");
    for text in ["session-lock-exporter", "GET /metrics", "http.route", "gather"] {
        assert!(holds(&body, text), "{text} is not in {}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn the_standard_variables_are_obeyed() {
    let (endpoint, requests) = collector();
    let traces = format!("{endpoint}/custom/path");
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint);
    for quiet in [
        &[][..],
        &[endpoint, ("OTEL_SDK_DISABLED", "true")],
        &[endpoint, ("OTEL_TRACES_EXPORTER", "none")],
        &[endpoint, ("OTEL_TRACES_SAMPLER", "always_off")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
    ] {
        scraped(quiet);
    }
    // The process ends after what it sends has left, so anything before this would be there first.
    scraped(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces), ("OTEL_SERVICE_NAME", "named-here")]);
    let (head, body) = requests.recv_timeout(PLENTY).expect("spans come");
    assert!(head.starts_with("post /custom/path http/1.1\r\n"), "{head}");
    assert!(holds(&body, "named-here") && !holds(&body, "session-lock-exporter"), "{}", String::from_utf8_lossy(&body));
}

#[test]
fn what_cannot_be_is_told() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "localhost:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://localhost"),
    ] {
        let mut command: Command = exporter(&ARGUMENTS);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1").env(name, value);
        let output = command.output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(name) && said.contains(value), "{said}");
    }
}

/// Nobody accepts, nobody answers: the process ends all the same, long before the export's own time is over, which is set
/// to a day, so that waiting for it would fail the test.
#[test]
fn a_dead_collector_does_not_delay_the_end() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let silent = (silent.local_addr().expect("a bound socket has an address"), silent);
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|gone| gone.local_addr()).expect("an address");
    for address in [silent.0, nobody] {
        let endpoint = format!("http://{address}");
        scraped(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_EXPORTER_OTLP_TIMEOUT", "86400000")]);
    }
    // And while a batch is under way already: it leaves as soon as there is a span.
    let endpoint = format!("http://{}", silent.0);
    let at_once = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "86400000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
    ];
    scraped(&at_once);
}
