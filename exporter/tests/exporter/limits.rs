//! What a client can cost the exporter is bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::http::{PLENTY, connect, get, request};
use crate::running::{Running, exporter_with_descriptors};

#[test]
fn a_body_is_refused() {
    let running = Running::start(&["--dir", "/"]);
    for (header, body) in [("Content-Length: 100000000", ""), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")] {
        let mut stream = connect(running.address).expect("it accepts");
        let head = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).expect("the head is sent");
        let mut answer = Vec::new();
        // The connection may be reset behind the answer, because nobody reads the body.
        stream.read_to_end(&mut answer).ok();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{header}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{header}: {answer}");
    }
    assert_eq!(get(running.address, "/metrics").status, 200);
}

#[test]
fn an_endless_head_is_refused() {
    let running = Running::start(&["--dir", "/"]);
    let mut stream = connect(running.address).expect("it accepts");
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").expect("the beginning is sent");
    let filler = [b'x'; 4096];
    // It ends with an error here when the server closes before everything was sent.
    let sent = (0..1000).take_while(|_| stream.write_all(&filler).is_ok()).count();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(sent < 1000 || !answer.is_empty(), "it was read to the end");

    let large = format!("X: {}", "x".repeat(20_000));
    let refused = request(running.address, "GET", "/", &[&large]);
    assert!(refused.as_ref().map_or(true, |response| response.status == 431), "{refused:?}");
    assert_eq!(get(running.address, "/-/healthy").status, 200);
}

#[test]
fn a_connection_is_kept_between_requests() {
    let running = Running::start(&["--dir", "/"]);
    let mut stream = connect(running.address).expect("it accepts");
    let mut answers = String::new();
    for _ in 0..3 {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is open");
        while !answers.ends_with("healthy.\n") {
            let mut buffer = [0; 1000];
            let count = stream.read(&mut buffer).expect("it answers");
            assert_ne!(count, 0, "it is kept");
            answers += std::str::from_utf8(&buffer[..count]).expect("the answer is text");
        }
        answers.push('.');
    }
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
}

/// Reads until the server closes, whichever way.
fn closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 1000];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// A crowd of clients that never finish a request, more than there are descriptors: the next scrape is answered, and all
/// of them are sent away in time.
#[test]
fn slow_clients_are_sent_away_and_a_scrape_is_answered() {
    let arguments = ["--dir", "/", "--web.listen-address", "127.0.0.1:0"];
    let running = Running::spawn(&mut exporter_with_descriptors(64, &arguments));
    let mut slow: Vec<TcpStream> = Vec::new();
    for number in 0..480 {
        let mut stream = connect(running.address).expect("the queue has room");
        if number >= 80 {
            // It may have been sent away by now.
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: slow\r\nX-Slow: ").ok();
        }
        slow.push(stream);
    }
    let scrape = get(running.address, "/metrics");
    assert_eq!(scrape.status, 200);
    assert!(scrape.text().contains("process_max_fds 64.0\n"), "{}", scrape.text());
    for stream in &mut slow {
        stream.set_read_timeout(Some(PLENTY)).expect("it can be set");
        assert!(closed(stream), "a client that never asks is sent away");
    }
    let until = Instant::now() + PLENTY;
    while descriptors(&running).len() > 32 {
        assert!(Instant::now() < until, "their descriptors are free again");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(get(running.address, "/metrics").status, 200);
}

/// With every descriptor in use, nobody can be accepted. The one in reserve is there to tell them so: without it they
/// would wait, and the accepting loop spin.
#[test]
fn without_descriptors_a_client_is_sent_away_and_later_answered() {
    let arguments = ["--dir", "/", "--web.listen-address", "127.0.0.1:0"];
    let running = Running::spawn(&mut exporter_with_descriptors(64, &arguments));
    assert_eq!(get(running.address, "/-/healthy").status, 200);
    let pid = Pid::from_child(&running.child);
    let limit = |most: usize| {
        let limit = Rlimit { current: Some(most as u64), maximum: Some(64) };
        prlimit(Some(pid), Resource::Nofile, limit).expect("one's own child");
    };
    // No number is free below the lowest free one.
    let numbers = descriptors(&running);
    limit((0..=numbers.len()).find(|number| !numbers.contains(number)).expect("one more than there are is free"));
    for _ in 0..10 {
        let mut client = connect(running.address).expect("the queue has room");
        assert!(closed(&mut client), "a client that cannot be served is sent away");
    }
    limit(64);
    let until = Instant::now() + PLENTY;
    while !request(running.address, "GET", "/metrics", &[]).is_ok_and(|response| response.status == 200) {
        assert!(Instant::now() < until, "a scrape is answered");
    }
}

fn descriptors(running: &Running) -> Vec<usize> {
    let directory = format!("/proc/{}/fd", running.child.id());
    let entries = std::fs::read_dir(directory).expect("it runs").map_while(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
