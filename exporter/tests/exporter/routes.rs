//! The routes, served to a client on loopback, over sources of every temper.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use session_lock_exporter::family::{Family, Labels};
use session_lock_exporter::{Builder, Exporter, Exposure, Gathered, Server, Source, Stopped};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::http::{self, PLENTY, get, request};

/// A server in a thread of its own.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Stopped>>,
}

impl Serving {
    pub(crate) fn start(exporter: Builder) -> Self {
        Self::with_drain(exporter, PLENTY)
    }

    fn with_drain(exporter: Builder, drain: Duration) -> Self {
        let exporter = exporter.build().expect("a good exporter");
        let (stop, asked) = oneshot::channel::<()>();
        let (tell, told) = sync_channel(1);
        let serve = async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback port is free");
            tell.send(listener.local_addr().expect("a bound socket has an address")).expect("the test waits");
            let server = Server::new(&exporter, vec![listener], None, Exposure::Refused).expect("a good server");
            server.serve(async { drop(asked.await) }, drain).await
        };
        let thread = thread::spawn(|| runtime().block_on(serve));
        let address = told.recv_timeout(PLENTY).expect("the server starts");
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn stop(mut self) -> Stopped {
        drop(self.stop.take());
        self.thread.take().expect("it runs until it is stopped").join().expect("the server does not panic")
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A source that says one thing at once.
pub(crate) struct Steady(pub(crate) &'static str, pub(crate) Vec<Family>);

impl Source for Steady {
    fn name(&self) -> &str {
        self.0
    }

    fn gather(&self, _: Instant, detail: usize) -> Gathered {
        let mut families = self.1.clone();
        let detail = u32::try_from(detail).expect("small");
        families.push(Family::gauge("test_detail", "What was asked for.").value(Labels::new(), f64::from(detail)));
        Gathered { families, error: None }
    }

    fn locks(&self, _: Instant) -> Result<Box<RawValue>, String> {
        Ok(to_raw_value(&json!([{ "session": "42.jsonl" }])).expect("text"))
    }

    fn contention(&self, _: Instant) -> Result<Box<RawValue>, String> {
        Err("no contention today".to_owned())
    }
}

/// A source that answers when it is told to, and counts how often it was asked.
struct Hanging {
    calls: Arc<AtomicUsize>,
    go: Mutex<Receiver<()>>,
}

impl Hanging {
    fn new() -> (Self, Arc<AtomicUsize>, SyncSender<()>) {
        let (go, wait) = sync_channel(100);
        let calls = Arc::new(AtomicUsize::new(0));
        (Self { calls: Arc::clone(&calls), go: Mutex::new(wait) }, calls, go)
    }
}

impl Source for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }

    fn gather(&self, _: Instant, _: usize) -> Gathered {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.go.lock().expect("no panic").recv().ok();
        Gathered::default()
    }

    fn locks(&self, _: Instant) -> Result<Box<RawValue>, String> {
        panic!("on purpose")
    }

    fn contention(&self, _: Instant) -> Result<Box<RawValue>, String> {
        Ok(RawValue::NULL.to_owned())
    }
}

struct Panicking;

impl Source for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn gather(&self, _: Instant, _: usize) -> Gathered {
        panic!("on purpose")
    }

    fn locks(&self, _: Instant) -> Result<Box<RawValue>, String> {
        Ok(RawValue::NULL.to_owned())
    }

    fn contention(&self, _: Instant) -> Result<Box<RawValue>, String> {
        Ok(RawValue::NULL.to_owned())
    }
}

fn steady(name: &'static str) -> Steady {
    let family = Family::counter("test_events_total", "Events.").value(Labels::new().with("kind", "a"), 3.0);
    Steady(name, vec![family])
}

fn up(text: &str, directory: &str) -> Option<bool> {
    let line = format!("session_lock_exporter_up{{directory=\"{directory}\"}} ");
    text.lines().find_map(|found| found.strip_prefix(&line)).map(|value| value == "1.0")
}

const SHORT: &str = "X-Prometheus-Scrape-Timeout-Seconds: 0.2";

#[test]
fn every_route_answers_and_every_other_path_is_404() {
    let serving = Serving::start(Exporter::builder().source(steady("a")));
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/api/v1/locks", "application/json"),
        ("/api/v1/contention", "application/json"),
        ("/-/healthy", "text/plain; charset=utf-8"),
    ] {
        let response = get(serving.address, path);
        assert_eq!((response.status, response.header("content-type")), (200, Some(content_type)), "{path}");
        let head = request(serving.address, "HEAD", path, &[]).expect("an answer");
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}");
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let response = request(serving.address, method, path, &[]).expect("an answer");
            assert_eq!((response.status, response.header("allow")), (405, Some("get,head")), "{method} {path}");
        }
    }
    for path in ["/-/", "/-/healthy/", "/-/HEALTHY", "/healthy", "/../etc/passwd", "/metrics/x", "//"] {
        assert_eq!(get(serving.address, path).status, 404, "{path}");
    }
    assert_eq!(serving.stop(), Stopped::Drained);
}

#[test]
fn the_page_links_to_what_there_is() {
    let serving = Serving::start(Exporter::builder().telemetry_path("/m"));
    let page = get(serving.address, "/").text();
    let footer = page.split("<footer>").nth(1).expect("a footer");
    let links: Vec<_> = footer.split("href=\".").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links, ["/m", "/api/v1/locks", "/api/v1/contention", "/-/ready", "/-/healthy"]);
    for link in links {
        assert_ne!(get(serving.address, link).status, 404, "{link}");
    }
    assert_eq!(get(serving.address, "/metrics").status, 404);
}

#[test]
fn the_routes_can_be_mounted_elsewhere() {
    let exporter = Exporter::builder().source(steady("a")).build().expect("a good exporter");
    let app = Router::new().nest("/locks", exporter.router());
    runtime().block_on(async {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (asked, done) = oneshot::channel();
        thread::spawn(move || {
            let answers = ["/locks", "/locks/metrics", "/metrics", "/locks/lock?directory=a", "/locks/page.css"]
                .map(|path| get(address, path));
            asked.send(answers).expect("the test waits");
        });
        // A server that is not this crate's: one connection after the other.
        listener.set_nonblocking(true).expect("it can be");
        let listener = TcpListener::from_std(listener).expect("a listener");
        for _ in 0..5 {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = hyper_util::service::TowerToHyperService::new(app.clone());
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
            served.await.expect("the connection is served");
        }
        let [landing, metrics, outside, lock, style] = done.await.expect("the client does not panic");
        // Relative, since a proxy in front may have yet another path: from /locks, and from /locks/lock.
        for link in ["href=\"./locks/metrics\"", "href=\"./locks/page.css\"", "data-events=\"./locks/events\""] {
            assert!(landing.text().contains(link), "{}", landing.text());
        }
        for link in ["href=\"../locks\"", "href=\"./page.css\"", "data-events=\"./events\""] {
            assert!(lock.text().contains(link), "{}", lock.text());
        }
        assert_eq!(style.status, 200);
        assert_eq!(up(&metrics.text(), "a"), Some(true));
        assert_eq!(outside.status, 404);
    });
}

#[test]
fn the_format_and_the_compression_are_what_was_asked_for() {
    let serving = Serving::start(Exporter::builder().source(steady("a")).source(steady("a")).detail(7));
    let text = get(serving.address, "/metrics");
    assert_eq!(text.header("vary"), Some("accept, accept-encoding"));
    let text = text.text();
    for line in [
        "# TYPE test_events_total counter",
        "test_events_total{directory=\"a\",kind=\"a\"} 3.0",
        "test_events_total{directory=\"a-2\",kind=\"a\"} 3.0",
        "test_detail{directory=\"a\"} 7.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    assert_eq!(text.matches("# TYPE test_events_total").count(), 1, "a family is written once");

    let accept = ["Accept: application/openmetrics-text; version=1.0.0", "Accept-Encoding: gzip"];
    let packed = request(serving.address, "GET", "/metrics", &accept).expect("an answer");
    assert_eq!(packed.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_string(&mut unpacked).expect("it is gzip");
    assert!(unpacked.contains("# TYPE test_events counter\n") && unpacked.ends_with("\n# EOF\n"), "{unpacked}");
}

#[test]
fn a_directory_that_hangs_costs_its_own_answer_and_one_thread() {
    let (hanging, calls, go) = Hanging::new();
    let serving = Serving::start(Exporter::builder().source(steady("a")).source(hanging).source(Panicking));
    for _ in 0..5 {
        let response = request(serving.address, "GET", "/metrics", &[SHORT]).expect("an answer");
        let text = response.text();
        assert_eq!(response.status, 200);
        assert_eq!(["a", "hanging", "panicking"].map(|name| up(&text, name)), [true, false, false].map(Some), "{text}");
        assert!(text.contains("test_events_total{directory=\"a\""), "{text}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1, "a call that has not returned is not made again");

    go.send(()).expect("it hangs");
    let until = Instant::now() + PLENTY;
    while calls.load(Ordering::SeqCst) == 1 {
        assert!(Instant::now() < until, "it is asked again when it has returned");
        request(serving.address, "GET", "/metrics", &[SHORT]).expect("an answer");
    }
    go.send(()).expect("it hangs");
    // What hangs does not hold up the end either.
    assert_eq!(serving.stop(), Stopped::Drained);
}

#[test]
fn scrapes_at_one_time_share_a_look() {
    let (hanging, calls, go) = Hanging::new();
    let serving = Serving::start(Exporter::builder().source(hanging));
    let address = serving.address;
    let scrapes: Vec<_> = (0..4).map(|_| thread::spawn(move || get(address, "/metrics"))).collect();
    let in_flight = "session_lock_exporter_http_requests_in_flight 5.0";
    let until = Instant::now() + PLENTY;
    // All four wait, and the one that asks gives up.
    while !request(address, "GET", "/metrics", &[SHORT]).expect("an answer").text().contains(in_flight) {
        assert!(Instant::now() < until, "four scrapes are under way");
    }
    go.send(()).expect("it hangs");
    for scrape in scrapes {
        assert_eq!(up(&scrape.join().expect("an answer").text(), "hanging"), Some(true));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn one_request_too_many_is_503_and_health_is_not_counted() {
    let (hanging, calls, go) = Hanging::new();
    let serving = Serving::start(Exporter::builder().source(hanging).max_requests(1));
    let address = serving.address;
    let scrape = thread::spawn(move || get(address, "/metrics"));
    let until = Instant::now() + PLENTY;
    while calls.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "the scrape begins");
        thread::yield_now();
    }
    for path in ["/api/v1/locks", "/", "/lock?directory=hanging&session=x"] {
        let refused = get(address, path);
        assert_eq!(refused.status, 503, "{path}: {}", refused.text());
    }
    assert_eq!(get(address, "/-/healthy").status, 200);
    go.send(()).expect("it hangs");
    assert_eq!(scrape.join().expect("an answer").status, 200);
    go.send(()).expect("there is room");
    let text = get(address, "/metrics").text();
    assert!(text.contains("session_lock_exporter_http_requests_total{code=\"503\"} 3.0\n"), "{text}");
    assert!(text.contains("session_lock_exporter_http_requests_total{code=\"200\"} 2.0\n"), "{text}");
}

#[test]
fn ready_means_that_every_directory_was_tried() {
    let (hanging, _, go) = Hanging::new();
    let serving = Serving::start(Exporter::builder().source(steady("a")).source(hanging).source(Panicking));
    let first = get(serving.address, "/-/ready");
    assert_eq!(first.status, 503, "nothing was tried before somebody asks");
    assert!(first.text().contains("hanging"), "{}", first.text());
    go.send(()).expect("it hangs");
    let until = Instant::now() + PLENTY;
    while get(serving.address, "/-/ready").status != 200 {
        assert!(Instant::now() < until, "all are tried");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn json_has_an_entry_for_each_directory() {
    let (hanging, ..) = Hanging::new();
    let serving = Serving::start(Exporter::builder().source(steady("a")).source(hanging));
    let parsed = |path| serde_json::from_slice::<Value>(&get(serving.address, path).bytes).expect("it is JSON");
    let expected = json!({ "directories": [
        { "directory": "a", "error": null, "locks": [{ "session": "42.jsonl" }] },
        { "directory": "hanging", "error": "panicked", "locks": null },
    ] });
    assert_eq!(parsed("/api/v1/locks"), expected);
    let expected = json!({ "directories": [
        { "directory": "a", "error": "no contention today", "contention": null },
        { "directory": "hanging", "error": null, "contention": null },
    ] });
    assert_eq!(parsed("/api/v1/contention"), expected);
}

/// A source may not take the name of the exporter's own metrics, nor change a metric's kind.
#[test]
fn a_family_of_another_kind_is_left_out() {
    let one = |family: Family| vec![family.value(Labels::new(), 1.0)];
    let impostor = Steady("b", one(Family::counter("session_lock_exporter_up", "")));
    let other_kind = Steady("c", one(Family::gauge("test_events", "")));
    let serving = Serving::start(Exporter::builder().source(steady("a")).source(impostor).source(other_kind));
    let text = get(serving.address, "/metrics").text();
    assert_eq!(["a", "b", "c"].map(|name| up(&text, name)), [Some(true); 3], "{text}");
    assert!(!text.contains("session_lock_exporter_up_total") && !text.contains("test_events{"), "{text}");
}

#[test]
fn a_request_that_never_ends_does_not_hold_up_the_stop() {
    let serving = Serving::with_drain(Exporter::builder(), Duration::from_millis(50));
    let mut half = http::connect(serving.address).expect("the server accepts");
    half.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: half").expect("the request's first half is sent");
    // A later connection that is answered shows that the one before it was accepted.
    assert_eq!(get(serving.address, "/-/healthy").status, 200);
    assert_eq!(serving.stop(), Stopped::CutShort);
    assert_eq!(half.read(&mut [0; 1]).ok().unwrap_or(0), 0, "it was cut");
}

#[test]
fn an_idle_connection_does_not_hold_up_the_stop() {
    let serving = Serving::start(Exporter::builder());
    let mut kept = http::connect(serving.address).expect("the server accepts");
    kept.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: kept\r\n\r\n").expect("the request is sent");
    assert_ne!(kept.read(&mut [0; 1000]).expect("an answer"), 0);
    assert_eq!(serving.stop(), Stopped::Drained);
}
