//! What the pages' tests fill a directory with.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use session_lock::{LockDir, State};

use crate::http::PLENTY;

const TOLD: &str = "SESSION_LOCK_TEST_MEMBER";

/// A claim of this format, which nobody has open: as a killed holder leaves it.
pub(crate) fn left(directory: &Path, session: &str, token: usize) {
    let claim = json!({
        "pid": 4_194_303, "createdAt": "2026-01-02T03:04:05.678901Z", "starttime": 7, "v": 2,
        "nonce": "0123456789abcdef0123456789abcdef", "token": token, "bootId": "01234567-89ab-cdef-0123-456789abcdef",
        "pidNs": 4_026_531_836_u64, "host": "node", "arbiter": "1:2:0123456789abcdef0123456789abcdef",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "label": format!("run {token}"),
    });
    fs::write(directory.join(format!("{session}.lock")), claim.to_string()).expect("written");
}

/// Names that would be markup, a script, an attribute, a query or a turned line in a page that does not escape them.
pub(crate) fn hostile() -> Vec<String> {
    vec![
        "<script>window.ran = 1; document.title = 'ran'<|script>".to_owned(),
        "<img src=x onerror=\"window.ran = 1\">".to_owned(),
        "\"'><svg onload=window.ran=1>".to_owned(),
        "a&session=b&amp;#<b>%2e%2e+ ?".to_owned(),
        "javascript:window.ran=1".to_owned(),
        "\u{202e}gpj.exe \u{2066}\u{200b}\u{feff}".to_owned(),
        "line\nbreak\r\ttab\u{1b}[31m\u{1}\u{7f}\u{85}".to_owned(),
        "{{7*7}}${7*7}</title></style></main>".replace('/', "|"),
        "W".repeat(session_lock::MAX_NAME_LEN),
        "שלום עולם \u{1F512} naïve e\u{301}".to_owned(),
        "..".to_owned() + "x",
    ]
}

/// A process that takes a lock; killed when it is dropped.
pub(crate) struct Member(Child);

/// What a member does with its lock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    Release,
    Hold,
}

impl Member {
    fn start(directory: &Path, session: &str, label: &str, task: Task) -> Self {
        let told = format!("{}\n{session}\n{label}\n{task:?}", directory.display());
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "crew::member", "--ignored", "--test-threads=1"]).env(TOLD, told);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("it starts"))
    }

    /// One that holds the lock, which is free.
    pub(crate) fn holds(directory: &Path, session: &str) -> Self {
        let member = Self::start(directory, session, "member", Task::Hold);
        let locks = LockDir::open(directory).expect("a directory for locks");
        comes("it holds", || locks.inspect(session).expect("a good name").state == State::Held);
        member
    }

    /// One after the other, that many who wait for the lock, which is held: `waiter 1` and so on.
    pub(crate) fn wait(directory: &Path, session: &str, count: usize) -> Vec<Self> {
        let locks = LockDir::open(directory).expect("a directory for locks");
        let waiting = || {
            let waits = locks.metrics().expect("readable").waits;
            waits.iter().filter(|wait| wait.session == session).count()
        };
        let wait = |nth| {
            let member = Self::start(directory, session, &format!("waiter {nth}"), Task::Release);
            comes("it waits", || waiting() >= nth);
            member
        };
        (1..=count).map(wait).collect()
    }
}

/// Waits for something.
pub(crate) fn comes(what: &str, mut is_there: impl FnMut() -> bool) {
    let until = Instant::now() + PLENTY;
    while !is_there() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Both fail where it has ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
#[ignore = "the other tests start it as a process of its own"]
fn member() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let [directory, session, label, task] = told.split('\n').collect::<Vec<_>>()[..] else { panic!("{told}") };
    // Without its parent it ends.
    thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
    });
    let locks = LockDir::open(directory).expect("a directory for locks");
    let guard = locks.lock(session).label(label).timeout(PLENTY * 5).blocking().expect("free in the end");
    while task == format!("{:?}", Task::Hold) {
        thread::park();
    }
    drop(guard);
}
