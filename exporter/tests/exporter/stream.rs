//! The stream of events behind an open page: it tells of changes, and of nothing else, and holds up nobody's end.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use session_lock::LockDir;
use session_lock_exporter::{Directory, Exporter, Stopped};

use crate::http::{PLENTY, connect, get};
use crate::routes::Serving;

struct Events(BufReader<TcpStream>);

impl Events {
    fn open(address: SocketAddr) -> (Self, String) {
        let mut stream = connect(address).expect("it accepts");
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let mut events = Self(BufReader::new(stream));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(events.0.read_line(&mut head).expect("a line"), 0, "{head}");
        }
        (events, head.to_ascii_lowercase())
    }

    /// The next version; `None` at the end of the stream.
    fn version(&mut self) -> Option<u64> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            if let Some(version) = line.strip_prefix("data: ") {
                return Some(version.trim().parse().expect("a number"));
            }
        }
    }
}

fn version(page: &str) -> u64 {
    let version = page.split("data-version=\"").nth(1).and_then(|rest| rest.split('"').next());
    version.expect("a version").parse().expect("a number")
}

#[test]
fn a_change_is_told_and_the_page_has_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let locks = LockDir::open(directory.path()).expect("a directory for locks");
    let serving = Serving::start(Exporter::builder().source(Directory::new("sessions", directory.path())));
    let before = version(&get(serving.address, "/").text());
    let (mut events, head) = Events::open(serving.address);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(events.version().expect("where it stands") >= before);
    let guard = locks.lock("42.jsonl").blocking().expect("free");
    let until = Instant::now() + PLENTY;
    loop {
        let told = events.version().expect("it goes on");
        let page = get(serving.address, "/").text();
        assert!(version(&page) >= told, "the page is as new as what was told of it");
        if page.contains("42.jsonl") {
            break;
        }
        assert!(Instant::now() < until, "the lock is told of");
    }
    drop(guard);
}

#[test]
fn a_stream_is_no_request_under_way_and_ends_with_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let exporter = Exporter::builder().source(Directory::new("sessions", directory.path())).max_requests(1);
    let serving = Serving::start(exporter);
    let mut streams: Vec<_> = (0..3).map(|_| Events::open(serving.address).0).collect();
    for events in &mut streams {
        events.version().expect("where it stands");
    }
    let metrics = get(serving.address, "/metrics");
    assert_eq!(metrics.status, 200, "streams take no place of a request");
    assert!(metrics.text().contains("session_lock_exporter_http_requests_in_flight 1.0\n"), "{}", metrics.text());
    // With a minute to drain: were they not ended, it would be cut short.
    assert_eq!(serving.stop(), Stopped::Drained);
    for events in &mut streams {
        while events.version().is_some() {}
    }
}

#[test]
fn one_stream_too_many_is_503_until_another_ends() {
    let serving = Serving::start(Exporter::builder());
    let mut streams: Vec<_> = (0..64).map(|_| Events::open(serving.address)).collect();
    assert!(streams.iter().all(|(_, head)| head.starts_with("http/1.1 200 ")));
    let (_, refused) = Events::open(serving.address);
    assert!(refused.starts_with("http/1.1 503 ") && refused.contains("retry-after: "), "{refused}");
    streams.pop();
    let until = Instant::now() + PLENTY;
    while !Events::open(serving.address).1.starts_with("http/1.1 200 ") {
        assert!(Instant::now() < until, "its place is free");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn without_a_change_nothing_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let serving = Serving::start(Exporter::builder().source(Directory::new("sessions", directory.path())));
    let (mut events, _) = Events::open(serving.address);
    events.version().expect("where it stands");
    events.0.get_ref().set_read_timeout(Some(Duration::from_secs(1))).expect("it can be set");
    let begin = Instant::now();
    let mut told = 0;
    while begin.elapsed() < Duration::from_secs(5) {
        let mut line = String::new();
        match events.0.read_line(&mut line) {
            Ok(0) => panic!("it goes on"),
            Ok(_) => told += usize::from(line.starts_with("data: ")),
            Err(_) => {}
        }
    }
    // The first look, and the curves, which go on every 15 s. Each look would be one a second.
    let most = 2 + begin.elapsed().as_secs() / 15;
    assert!(told <= usize::try_from(most).expect("small"), "{told}");
}
