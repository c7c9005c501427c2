//! An acquire, its hold and its release as spans.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use session_lock::payload::{Content, Payload};
use session_lock::{HoldExceeded, LockError, Loss, ReleaseError, TryAcquire};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;
use support::process::OtherProcess;
use support::spans::Collector;
use support::{LONG, SHORT, lock_dir, wait_until};
use tracing::{Instrument, Level, info_span};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;

const ACQUIRE: &str = "session_lock.acquire";
const HOLD: &str = "session_lock.hold";
const RELEASE: &str = "session_lock.release";

/// What the claim of a session says.
fn payload(dir: &Path, session: &str) -> Payload {
    let bytes = std::fs::read(dir.join(format!("{session}.lock"))).expect("there is a claim");
    Content::classify(&bytes).payload().expect("a payload").clone()
}

fn assert_uncontended(seen: &Collector, dir: &Path, token: u64) {
    assert_eq!(seen.names(), ["caller", ACQUIRE, HOLD, RELEASE]);
    let [_, acquire, hold, release] = seen.spans().try_into().expect("four");
    assert_eq!([acquire.parent, hold.parent, release.parent], [Some("caller"), Some("caller"), Some(HOLD)]);
    assert_eq!(hold.follows, [ACQUIRE]);
    let path = dir.join("s.lock").to_string_lossy().into_owned();
    for span in [&acquire, &hold, &release] {
        assert_eq!(span.target, "session_lock");
        assert_eq!(span.field("file.path"), path);
        assert_eq!(span.field("file.lock.mechanism"), "ofd");
        assert_eq!(span.field("process.pid"), std::process::id().to_string());
        assert_eq!(span.field("session_lock.session"), "s");
        assert_eq!(span.field("session_lock.label"), "run 17");
        assert!(span.is_closed && span.events.is_empty(), "{span:?}");
        assert_eq!(span.fields.get("error.type").or(span.fields.get("otel.status_code")), None);
    }
    assert_eq!(acquire.field("session_lock.outcome"), "acquired");
    assert_eq!(hold.field("session_lock.outcome"), "released");
    assert_eq!(release.field("session_lock.outcome"), "released");
    assert_eq!([&acquire, &hold].map(|span| span.field("session_lock.token").parse()), [Ok(token), Ok(token)]);
    let seconds = |text: &str| text.parse::<f64>().expect("seconds");
    assert!(seconds(acquire.field("session_lock.wait_seconds")) >= 0.0);
    assert!(seconds(hold.field("session_lock.hold_seconds")) >= SHORT.as_secs_f64());
    assert_eq!([acquire.entered, hold.entered, release.entered], [(1, 1), (0, 0), (1, 1)]);
}

#[test]
fn an_uncontended_hold_is_three_spans() {
    let (dir, locks) = lock_dir();
    let (seen, _listening) = Collector::listen();
    let caller = info_span!("caller");
    let guard = caller.in_scope(|| locks.lock("s").label("run 17").blocking()).expect("free");
    assert!(seen.last(ACQUIRE).is_closed && !seen.last(HOLD).is_closed);
    let token = guard.token();
    std::thread::sleep(SHORT);
    // Wherever that is: in another span, on a thread without a subscriber.
    std::thread::spawn(|| guard.release().expect("held")).join().expect("no panic");
    assert_uncontended(&seen, dir.path(), token);
}

#[tokio::test]
async fn awaited_it_is_the_same_and_its_parent_is_who_polls_first() {
    let (dir, locks) = lock_dir();
    let (seen, _listening) = Collector::listen();
    let acquire = info_span!("elsewhere").in_scope(|| locks.lock("s").label("run 17").into_future());
    let guard = acquire.instrument(info_span!("caller")).await.expect("free");
    let token = guard.token();
    tokio::time::sleep(SHORT).await;
    drop(guard);
    let spans = seen.spans();
    assert_eq!(spans[0].name, "elsewhere");
    seen.forget_first();
    assert_uncontended(&seen, dir.path(), token);
}

#[test]
fn waiting_for_another_process_names_it() {
    let (dir, locks) = lock_dir();
    let holder = OtherProcess::hold(dir.path(), "s");
    let theirs = payload(dir.path(), "s");
    let (seen, _listening) = Collector::listen();
    let waited_for = seen.clone();
    let releasing = std::thread::spawn(move || {
        wait_until(|| waited_for.has_event("session_lock.contended"));
        holder.release();
    });
    drop(locks.lock("s").timeout(LONG).blocking().expect("released"));
    releasing.join().expect("no panic");
    let acquire = seen.last(ACQUIRE);
    assert_eq!(acquire.event_names(), ["session_lock.contended"]);
    assert_eq!(acquire.field("session_lock.by"), "other_process");
    assert_eq!(acquire.field("session_lock.outcome"), "acquired");
    let contended = acquire.event("session_lock.contended");
    let number = |number: Option<u64>| number.expect("it says so").to_string();
    assert_eq!(contended["session_lock.by"], "other_process");
    assert_eq!(contended["session_lock.holder.pid"], number(theirs.pid.map(u64::from)));
    assert_eq!(contended["session_lock.holder.pid_ns"], number(theirs.pid_ns));
    assert_eq!(contended["session_lock.holder.token"], number(theirs.token));
    assert_eq!(contended["session_lock.holder.host"], theirs.host.expect("it says so"));
    assert_eq!(contended["session_lock.holder.label"], "example: hold");
}

#[test]
fn an_acquire_is_entered_only_while_it_is_polled() {
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").blocking().expect("free");
    let (seen, _listening) = Collector::listen();
    let mut context = Context::from_waker(Waker::noop());
    let mut acquire = pin!(locks.lock("s").into_future());
    assert_eq!(seen.names(), [""; 0], "it has not begun");
    for polls in 1..=3 {
        assert!(acquire.as_mut().poll(&mut context).is_pending());
        assert_eq!(seen.last(ACQUIRE).entered, (polls, polls));
        assert!(tracing::Span::current().is_none() && !seen.last(ACQUIRE).is_closed);
    }
    assert_eq!(seen.last(ACQUIRE).event("session_lock.contended")["session_lock.by"], "same_process");
    drop(guard);
    wait_until(|| acquire.as_mut().poll(&mut context).is_ready());
    assert_eq!(seen.names(), [ACQUIRE, HOLD, RELEASE], "and none of the hold that nobody listened to");
    assert_eq!(seen.spans()[0].parent, None);
}

#[tokio::test]
async fn an_acquire_without_the_lock_says_how_it_ended() {
    let (_dir, locks) = lock_dir();
    let _guard = locks.lock("s").await.expect("free");
    let (seen, _listening) = Collector::listen();
    let ended = |outcome: &str, error: &str| {
        let span = seen.last(ACQUIRE);
        assert_eq!((span.field("session_lock.outcome"), span.field("error.type")), (outcome, error), "{span:?}");
        assert_eq!(span.field("otel.status_code"), if error.is_empty() { "" } else { "ERROR" });
        assert_eq!(span.event_names(), ["session_lock.contended"]);
        assert!(span.is_closed && span.fields.contains_key("session_lock.wait_seconds"), "{span:?}");
        assert!(!seen.names().contains(&HOLD));
    };
    assert!(matches!(locks.lock("s").timeout(SHORT).blocking(), Err(LockError::Timeout { .. })));
    ended("timeout", "timeout");
    assert!(matches!(locks.lock("s").timeout(SHORT).await, Err(LockError::Timeout { .. })));
    ended("timeout", "timeout");
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    ended("busy", "");
    tokio::time::timeout(SHORT, locks.lock("s")).await.expect_err("it is held");
    ended("cancelled", "");
    drop(locks.lock("s").into_future());
    assert_eq!(seen.names(), [ACQUIRE; 4], "a future that is never polled is none");
}

#[test]
fn an_error_says_which_and_why() {
    let (dir, locks) = lock_dir();
    std::fs::write(dir.path().join("yarn.lock"), "# no claim").expect("written");
    let (seen, _listening) = Collector::listen();
    let error = locks.lock("yarn").blocking().expect_err("no claim");
    let span = seen.last(ACQUIRE);
    assert_eq!(span.field("session_lock.outcome"), "error");
    assert_eq!(span.field("error.type"), "not_a_claim");
    assert_eq!(span.field("error.message"), error.to_string());
    assert_eq!(span.field("otel.status_code"), "ERROR");
    assert!(span.is_closed);
}

#[test]
fn taking_over_from_the_dead_says_from_whom() {
    let (dir, locks) = lock_dir();
    let holder = OtherProcess::hold(dir.path(), "s");
    let theirs = payload(dir.path(), "s");
    holder.kill();
    let (seen, _listening) = Collector::listen();
    drop(locks.lock("s").timeout(LONG).blocking().expect("its owner is dead"));
    let acquire = seen.last(ACQUIRE);
    assert_eq!(acquire.field("session_lock.reason"), "owner-exited");
    let reclaimed = acquire.event("session_lock.reclaimed");
    assert_eq!(reclaimed["session_lock.reason"], "owner-exited");
    assert_eq!(reclaimed["session_lock.holder.pid"], theirs.pid.expect("it says so").to_string());
    assert_eq!(reclaimed["session_lock.holder.label"], "example: hold");
    // A dead older peer's claim: looked at, refused for its grace, taken over.
    std::fs::write(dir.path().join("s.lock"), "").expect("written");
    drop(locks.lock("s").timeout(LONG).blocking().expect("its owner is dead"));
    let acquire = seen.last(ACQUIRE);
    assert_eq!(acquire.event("session_lock.reclaim_refused")["session_lock.why"], "grace");
    assert_eq!(acquire.event("session_lock.reclaimed")["session_lock.reason"], "empty-payload");
    // A sweep takes over as well, and is nobody's acquire.
    std::fs::write(dir.path().join("s.lock"), "").expect("written");
    let before = seen.names();
    assert_eq!(locks.sweep().blocking().expect("listed").claims.len(), 1);
    assert_eq!(seen.names(), before);
}

#[test]
fn a_claim_that_is_deleted_or_replaced_shows_on_the_hold() {
    let (dir, locks) = lock_dir();
    let claim = dir.path().join("s.lock");
    let (seen, _listening) = Collector::listen();
    let guard = locks.lock("s").blocking().expect("free");
    std::fs::remove_file(&claim).expect("there is one");
    wait_until(|| seen.has_event("session_lock.claim_restored"));
    std::fs::write(dir.path().join("thief"), "{}").expect("written");
    std::fs::rename(dir.path().join("thief"), &claim).expect("renamed");
    wait_until(|| seen.has_event("session_lock.lost"));
    assert!(!seen.last(HOLD).is_closed);
    assert!(matches!(guard.release(), Err(ReleaseError::Lost { cause: Loss::Replaced, .. })));
    let (hold, release) = (seen.last(HOLD), seen.last(RELEASE));
    assert_eq!(hold.event("session_lock.lost")["session_lock.cause"], "replaced");
    assert_eq!(hold.event_names(), ["session_lock.claim_restored", "session_lock.lost"]);
    for span in [hold, release] {
        assert_eq!((span.field("session_lock.outcome"), span.field("error.type")), ("lost", "lost"));
        assert!(span.is_closed && span.field("otel.status_code") == "ERROR");
    }
}

#[test]
fn a_hold_that_lasts_too_long_says_so_before_it_ends() {
    let (_dir, locks) = lock_dir();
    let (seen, _listening) = Collector::listen();
    let guard = locks.lock("s").max_hold(SHORT, HoldExceeded::Report).blocking().expect("free");
    wait_until(|| seen.has_event("session_lock.hold_exceeded"));
    assert_eq!(seen.last(HOLD).event("session_lock.hold_exceeded")["session_lock.action"], "reported");
    assert!(!seen.last(HOLD).is_closed);
    drop(guard);
    assert!(seen.last(HOLD).is_closed);

    let guard = locks.lock("s").max_hold(SHORT, HoldExceeded::Release).blocking().expect("free");
    wait_until(|| seen.last(HOLD).is_closed);
    let hold = seen.last(HOLD);
    assert_eq!(hold.event("session_lock.hold_exceeded")["session_lock.action"], "released");
    assert_eq!(hold.field("session_lock.outcome"), "released");
    let before = seen.names();
    assert!(guard.release().is_err());
    assert_eq!(seen.names(), before, "an inert guard releases nothing");
}

#[test]
fn reentry_is_an_event_of_the_one_hold() {
    let (_dir, locks) = lock_dir();
    let (seen, _listening) = Collector::listen();
    let outer = locks.lock("s").blocking().expect("free");
    let inner = outer.handle().reenter().expect("held");
    drop(outer);
    assert!(!seen.last(HOLD).is_closed);
    drop(inner);
    assert_eq!(seen.names(), [ACQUIRE, HOLD, RELEASE]);
    assert_eq!(seen.last(HOLD).event_names(), ["session_lock.reentered"]);
    assert!(seen.last(HOLD).is_closed);
}

#[test]
fn who_comes_later_hears_nothing_of_what_has_begun() {
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").blocking().expect("free");
    let (seen, _listening) = Collector::listen();
    drop(guard.handle().reenter().expect("held"));
    drop(guard);
    assert_eq!(seen.names(), [""; 0]);
}

/// Text of others: a line break would forge a line of a log, an escape sequence would recolour it.
#[test]
fn no_name_or_label_reaches_a_log_line_raw() {
    const HOSTILE: &str = "x\n2026-01-01 INFO forged\u{1b}[31m\u{202e}";
    let (dir, locks) = lock_dir();
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_writer(Mutex::new(log.clone())).with_span_events(FmtSpan::FULL).finish();
    let seen = Collector::default();
    let _listening = tracing::subscriber::set_default(subscriber.with(seen.clone()));
    let foreign =
        Payload { pid: Some(1), host: Some(HOSTILE.into()), label: Some(HOSTILE.into()), ..Payload::default() };
    std::fs::write(dir.path().join(format!("{HOSTILE}.lock")), foreign.encode(0)).expect("written");
    let guard = locks.lock(HOSTILE).label(HOSTILE).timeout(LONG).blocking().expect("its owner is gone");
    drop(guard);
    let text = log.text();
    assert!(text.contains("session_lock.reclaimed") && text.contains("session_lock.holder.host"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']) && !text.lines().any(|line| line.starts_with("2026-01-01 INFO")));
    let shown = "x\\n2026-01-01 INFO forged\\u{1b}[31m\\u{202e}";
    let acquire = seen.last(ACQUIRE);
    assert_eq!([acquire.field("session_lock.session"), acquire.field("session_lock.label")], [shown; 2]);
    let reclaimed = acquire.event("session_lock.reclaimed");
    assert_eq!([&reclaimed["session_lock.holder.host"], &reclaimed["session_lock.holder.label"]], [shown; 2]);
    assert!(acquire.field("file.path").ends_with(&format!("/{shown}.lock")));
}

/// As most programs log: no spans, and nothing but warnings.
#[test]
fn warnings_need_no_span() {
    let (dir, locks) = lock_dir();
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(Mutex::new(log.clone())).with_max_level(Level::WARN);
    let _listening = tracing::subscriber::set_default(subscriber.finish());
    let guard = locks.lock("s").blocking().expect("free");
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))));
    std::fs::remove_file(dir.path().join("s.lock")).expect("there is one");
    wait_until(|| log.text().contains("session_lock.claim_restored"));
    drop(guard);
    let text = log.text();
    let lines: Vec<_> = text.lines().collect();
    assert!(matches!(lines.as_slice(), [line] if line.contains(r#"session_lock.session="s""#)), "{text}");
}

/// What a subscriber wrote.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Many holds from many threads: no span is left open, and none is entered.
#[test]
fn every_span_ends() {
    let (_dir, locks) = lock_dir();
    let (seen, _listening) = Collector::listen();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    for _ in 0..50 {
                        drop(locks.lock("s").timeout(LONG).blocking().expect("in turn"));
                        drop(locks.lock("s").timeout(Duration::ZERO).blocking());
                    }
                });
            });
        }
    });
    let spans = seen.spans();
    assert!(spans.len() >= 800, "{}", spans.len());
    assert!(spans.iter().all(|span| span.is_closed && span.entered.0 == span.entered.1));
    let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((count(ACQUIRE), count(HOLD)), (400, count(RELEASE)));
}
