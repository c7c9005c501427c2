//! Programs that serve over loopback, a real Prometheus among them, and how they are asked.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Fails a hang, and nothing else.
pub(crate) const PLENTY: Duration = Duration::from_mins(1);

pub(crate) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PLENTY;
    while !so() {
        assert!(Instant::now() < end, "it never came to be: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// One HTTP/1.1 request: the status, and the body.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PLENTY)).expect("a timeout");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}");
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body)
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, chunk)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        body += &chunk[..size];
        rest = chunk[size..].trim_start_matches("\r\n");
    }
    body
}

pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let (status, body) = http(address, "GET", path, "", b"");
    assert_eq!(status, 200, "{path}: {body}");
    body
}

pub(crate) fn json(address: SocketAddr, path: &str) -> Value {
    serde_json::from_str(&get(address, path)).expect("JSON")
}

/// A program that serves, killed when dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Serving {
    /// Starts it, and waits for the line on stderr that says where it listens, which is what follows `announced` there.
    pub(crate) fn start(command: &mut Command, announced: &str) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let mut said = String::new();
        let address = lines.by_ref().find_map(|line| {
            let address = line.split_once(announced).map(|(_, rest)| rest.trim_matches(['"', '/', ' ']).to_owned());
            said.push_str(&line);
            said.push('\n');
            address.and_then(|address| address.split(['"', ' ']).next()?.parse().ok())
        });
        // Whatever else it says must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        let Some(address) = address else { panic!("{command:?} ended with {:?}: {said}", child.wait()) };
        Self { child, address }
    }

    pub(crate) fn end(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        assert_eq!(self.child.wait().expect("our child").code(), Some(0));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail when it was waited for already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The example, under this name, with spans that leave soon.
pub(crate) fn service(dir: &Path, name: &str, wait_seconds: &str, collector: &str) -> Serving {
    let program = std::env::current_exe().expect("this program");
    let program = program.parent().and_then(Path::parent).expect("target/debug/deps").join("examples/service");
    assert!(program.exists(), "{} is not there: cargo build -p session-lock-exporter --examples", program.display());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.arg(dir).args(["127.0.0.1:0", wait_seconds]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    command.env("OTEL_SERVICE_NAME", name).env("OTEL_BSP_SCHEDULE_DELAY", "100");
    Serving::start(&mut command, "listening on http://")
}

/// The exporter of one directory, called `sessions`.
pub(crate) fn exporter(dir: &Path, arguments: &[&str]) -> Serving {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-lock-exporter"));
    command.arg("--dir").arg(format!("sessions={}", dir.display())).args(["--web.listen-address", "127.0.0.1:0"]);
    command.args(arguments);
    Serving::start(command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://")
}

/// A Prometheus with these jobs and files of rules, which keeps its files in `dir`.
pub(crate) fn prometheus(dir: &Path, targets: &[(&str, SocketAddr)], rules: &[PathBuf]) -> Serving {
    let job = |(job, target): &(&str, SocketAddr)| {
        format!("  - {{ job_name: {job}, static_configs: [{{ targets: ['{target}'] }}] }}\n")
    };
    let jobs: Vec<_> = targets.iter().map(job).collect();
    let global = "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n";
    let config = format!("{global}rule_files: {rules:?}\nscrape_configs:\n{}", jobs.concat());
    fs::write(dir.join("prometheus.yml"), config).expect("written");
    let mut command = Command::new("prometheus");
    command.arg("--config.file").arg(dir.join("prometheus.yml")).arg("--storage.tsdb.path").arg(dir.join("tsdb"));
    command.args(["--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage"]);
    let serving = Serving::start(&mut command, "msg=\"Listening on\" address=");
    wait_until("it answers queries", || http(serving.address, "GET", "/-/ready", "", b"").0 == 200);
    serving
}

/// A session whose writing takes as long as the test wants: a FIFO, whose open waits for a reader.
pub(crate) fn slow_session(dir: &Path) -> PathBuf {
    let path = dir.join("slow");
    assert!(Command::new("mkfifo").arg(&path).status().expect("coreutils").success());
    path
}

/// Has `holder` hold the slow session until `waiter` has waited for it, and both end well.
pub(crate) fn contend(dir: &Path, holder: &Serving, waiter: &Serving) {
    let slow = slow_session(dir);
    let post = |address: SocketAddr, body: &'static [u8]| {
        thread::spawn(move || http(address, "POST", "/sessions/slow", "", body).0)
    };
    let first = post(holder.address, b"first\n");
    wait_until("the first holds", || dir.join("slow.lock").exists());
    let second = post(waiter.address, b"second\n");
    let waits = || json(waiter.address, "/api/v1/contention")["directories"][0]["contention"]["waiting"].to_string();
    wait_until("the second waits", || waits().contains("slow"));
    let mut reader = File::open(&slow).expect("a writer waits");
    assert_eq!([first.join().expect("an answer"), second.join().expect("an answer")], [204, 204]);
    let mut written = String::new();
    reader.read_to_string(&mut written).expect("text");
    assert_eq!(written, "first\nsecond\n");
}
