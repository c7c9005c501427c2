//! A run sends spans where the environment asks for them, and is judged the same if nobody takes them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Fails a hang, and nothing else.
const PLENTY: Duration = Duration::from_mins(1);

/// A collector that says yes to everything; where, and the bodies that it gets.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    let (got, bodies) = channel();
    thread::spawn(move || {
        // A worker that is killed leaves half a request.
        for body in listener.incoming().map_while(Result::ok).filter_map(posted) {
            if got.send(body).is_err() {
                return;
            }
        }
    });
    (format!("http://{address}"), bodies)
}

fn posted(mut stream: TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).ok()? > 2 {
        let lower = line.to_ascii_lowercase();
        length = lower.strip_prefix("content-length: ").map_or(Some(length), |length| length.trim().parse().ok())?;
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    Some(body)
}

/// A short run with this collector.
fn run(endpoint: &str) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args(["run", "--workers", "3", "--duration", "2s", "--kill-rate", "2", "--dir"]).arg(dir.path());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_EXPORTER_OTLP_TIMEOUT", "86400000");
    command.env("OTEL_BSP_SCHEDULE_DELAY", "200").output().expect("the binary runs")
}

fn told(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn supervisor_and_workers_send_their_spans() {
    let (endpoint, bodies) = collector();
    let output = run(&endpoint);
    assert!(output.status.success(), "{}", told(&output));
    // A worker's, then the run's.
    for texts in [
        &["session-lock-stress-worker", "section", "session_lock.acquire", "session_lock.hold"][..],
        &["session-lock-stress", "run", "verdict", "valid"],
    ] {
        while !holds(&bodies.recv_timeout(PLENTY).expect("the spans come"), texts) {}
    }
}

fn holds(body: &[u8], texts: &[&str]) -> bool {
    texts.iter().all(|text| body.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// It takes connections, and never answers. Its time would be a day, so a process that waited for it would never end in
/// good order.
#[test]
fn a_collector_that_hangs_changes_no_verdict() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let endpoint = format!("http://{}", silent.local_addr().expect("a bound socket has an address"));
    let output = run(&endpoint);
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn a_wrong_setting_is_told_before_anything_runs() {
    let output = run("ftp://localhost");
    assert_eq!(output.status.code(), Some(255));
    assert!(told(&output).contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{}", told(&output));
}
