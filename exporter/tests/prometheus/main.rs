//! The whole way: processes that wait for each other, the exporter, a real Prometheus, and a collector of spans. What one of
//! them tells leads to the other.

mod serving;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};

use serving::{Serving, contend, exporter, get, http, json, prometheus, service, slow_session, wait_until};

const OPENMETRICS: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";

/// Reads OpenMetrics on stdin and prints the trace of each exemplar.
const PYTHON: &str = r#"
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
for family in parse(sys.stdin.buffer.read().decode("utf-8")):
    for sample in family.samples:
        if sample.exemplar:
            print(sample.exemplar.labels["trace_id"])
"#;

/// The spans that came over OTLP, with the name of the service each is from.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(String, Span)>>>);

impl Spans {
    /// Receives them from now on; where.
    fn receive(&self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let spans = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A process that ended meanwhile leaves half a request.
                let Some(body) = posted(stream) else { continue };
                let request = ExportTraceServiceRequest::decode(&*body).expect("what the protocol says");
                for resource in request.resource_spans {
                    let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
                    let service = text(&attributes, "service.name").expect("each resource names its service");
                    let named = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                    spans.all().extend(named.map(|span| (service.clone(), span)));
                }
            }
        });
        format!("http://{address}")
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<(String, Span)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first span of this name that this service sent; waits for it.
    fn await_span(&self, service: &str, name: &str) -> Span {
        let find = || self.all().iter().find(|(from, span)| from == service && span.name == name).cloned();
        wait_until(&format!("a span {name} of {service}"), || find().is_some());
        find().expect("seen").1
    }

    fn traces(&self) -> BTreeSet<String> {
        self.all().iter().map(|(_, span)| trace(&span.trace_id)).collect()
    }
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

/// A trace's identifier as Prometheus shows it.
fn trace(bytes: &[u8]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes.try_into().expect("16 bytes")))
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a any_value::Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let Some(any_value::Value::StringValue(text)) = attribute(attributes, key) else { return None };
    Some(text.clone())
}

fn pid(span: &Span) -> i64 {
    let Some(any_value::Value::IntValue(pid)) = attribute(&span.attributes, "process.pid") else { panic!("{span:?}") };
    *pid
}

fn fed(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the judge starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the judge reads");
    child.wait_with_output().expect("the judge ends")
}

/// The Python that has the parser: the environment that `.ci/run` makes, or the machine's own.
fn python() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    [made, PathBuf::from("python3")].into_iter().find(|python| {
        let found = Command::new(python).args(["-c", "import prometheus_client.openmetrics.parser"]).output();
        found.is_ok_and(|output| output.status.success())
    })
}

fn metrics_are_faultless(address: SocketAddr) {
    let judged = fed(Command::new("promtool").args(["check", "metrics"]), &get(address, "/metrics"));
    let said = [judged.stdout, judged.stderr].concat();
    assert!(judged.status.success() && said.is_empty(), "promtool: {}", String::from_utf8_lossy(&said));
    let Some(python) = python() else {
        eprintln!("skipped: the strict parser of OpenMetrics: needs python3 with prometheus_client");
        return;
    };
    let (status, page) = http(address, "GET", "/metrics", OPENMETRICS, b"");
    assert_eq!(status, 200);
    let judged = fed(Command::new(python).args(["-c", PYTHON]), &page);
    assert!(judged.status.success(), "{} of\n{page}", String::from_utf8_lossy(&judged.stderr));
    assert!(!judged.stdout.is_empty(), "there are exemplars in\n{page}");
}

/// The traces of the exemplars that Prometheus has of this metric.
fn exemplars(prometheus: SocketAddr, job: &str, metric: &str) -> BTreeSet<String> {
    let end = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() + 60;
    let query = format!("/api/v1/query_exemplars?query={metric}%7Bjob=%22{job}%22%7D&start={}&end={end}", end - 600);
    let answer = json(prometheus, &query);
    let series = answer["data"].as_array().expect("a list").iter();
    let all = series.flat_map(|series| series["exemplars"].as_array().expect("a list"));
    all.map(|exemplar| exemplar["labels"]["trace_id"].as_str().expect("a trace").to_owned()).collect()
}

#[test]
fn a_wait_leads_from_the_metric_to_the_holders_span_in_another_process() {
    let programs = ["prometheus", "promtool"].map(|program| Command::new(program).arg("--version").output().is_ok());
    if programs != [true, true] {
        eprintln!(
            "skipped: a_wait_leads_from_the_metric_to_the_holders_span_in_another_process: needs prometheus and promtool \
             (Debian: prometheus)"
        );
        return;
    }
    let (dir, own) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let spans = Spans::default();
    let collector = spans.receive();
    let holder = service(dir.path(), "holder", "60", &collector);
    let waiter = service(dir.path(), "waiter", "60", &collector);
    let exporter = exporter(dir.path(), &[]);
    let targets = [("exporter", exporter.address), ("holder", holder.address), ("waiter", waiter.address)];
    let prometheus = prometheus(own.path(), &targets, &[]);
    contend(dir.path(), &holder, &waiter);

    // The spans: the wait is part of the waiter's request, and links to the holder's acquire in another process.
    let held = spans.await_span("holder", "session_lock.acquire");
    let wait = spans.await_span("waiter", "session_lock.acquire");
    assert_ne!(pid(&held), pid(&wait));
    let linked: Vec<_> = wait.links.iter().map(|link| (&*link.trace_id, &*link.span_id)).collect();
    assert_eq!(linked, [(&*held.trace_id, &*held.span_id)]);
    let request = spans.await_span("waiter", "POST /sessions/{name}");
    assert_eq!((&wait.trace_id, &wait.parent_span_id), (&request.trace_id, &request.span_id));
    for service in ["holder", "waiter"] {
        spans.await_span(service, "session_lock.hold");
    }

    // The metrics: all targets are up, and what they say is what the formats allow.
    let up = || json(prometheus.address, "/api/v1/query?query=sum(up)")["data"]["result"][0]["value"][1].clone();
    wait_until("all targets are up", || up() == "3");
    for (_, address) in targets {
        metrics_are_faultless(address);
    }

    // From one to the other: the exemplars' traces are there.
    let waiting = trace(&wait.trace_id);
    for (job, _) in targets {
        wait_until("the wait is an exemplar", || {
            exemplars(prometheus.address, job, "session_lock_wait_seconds_bucket").contains(&waiting)
        });
    }
    let holds = || exemplars(prometheus.address, "exporter", "session_lock_hold_seconds_bucket");
    wait_until("a hold is an exemplar", || !holds().is_empty());
    assert!(holds().is_subset(&spans.traces()), "{:?} of {:?}", holds(), spans.traces());
    [holder, waiter, exporter].into_iter().for_each(Serving::end);
}

#[test]
fn the_service_answers_for_names_files_and_locks() {
    let dir = tempfile::tempdir().expect("a directory");
    let collector = Spans::default().receive();
    let holder = service(dir.path(), "holder", "60", &collector);
    let waiter = service(dir.path(), "waiter", "0", &collector);
    let ask = |method, name: &str| http(waiter.address, method, &format!("/sessions/{name}"), "", b"line\n");
    for name in ["..%2Fsecret", "%2e%2e", "s.lock", ".session-lock", "a%00b", &"x".repeat(251), "%2Fetc%2Fpasswd"] {
        for method in ["GET", "POST"] {
            assert_eq!(ask(method, name).0, 400, "{method} {name}");
        }
    }
    assert_eq!(ask("GET", "42.jsonl").0, 404);
    assert_eq!([ask("POST", "42.jsonl").0, ask("POST", "42.jsonl").0], [204, 204]);
    assert_eq!(ask("GET", "42.jsonl"), (200, "line\nline\n".to_owned()));

    let slow = slow_session(dir.path());
    let address = holder.address;
    let first = thread::spawn(move || http(address, "POST", "/sessions/slow", "", b"first\n").0);
    wait_until("the first holds", || dir.path().join("slow.lock").exists());
    let (status, who) = ask("POST", "slow");
    assert_eq!(status, 503, "{who}");
    assert!(who.contains(&format!("pid {}", holder.child.id())) && who.contains("example: service"), "{who}");

    // A request under way may end before the service does.
    kill_process(Pid::from_child(&holder.child), Signal::TERM).expect("it runs");
    wait_until("it accepts nobody", || TcpStream::connect(address).is_err());
    let reader = File::open(&slow).expect("a writer waits");
    assert_eq!(first.join().expect("an answer"), 204);
    drop(reader);
    let mut holder = holder;
    assert_eq!(holder.child.wait().expect("our child").code(), Some(0));
    assert!(!dir.path().join("slow.lock").exists());
    waiter.end();
}
