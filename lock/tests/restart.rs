//! A process that restarts in place: everything is released, what waits ends, and old guards are inert.
//!
//! Seed thread 004 (openclaw #4044): a server in a container restarts on SIGUSR1 as the same process, PID 1. Its locks stay
//! held by "a living owner", itself, for half an hour.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

mod support;

use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;
use session_lock::event::{Event, NotAcquired, ReleaseOutcome, Sink};
use session_lock::payload::Content;
use session_lock::{Kept, LockDir, LockError, Loss, ReleaseError, SweepOutcome, TryAcquire, Waiting, release_all};
use signal_hook::consts::SIGURG;
use std::fs;
use std::future::{Future, IntoFuture};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::process::{OtherProcess, example};
use support::spans::Collector;
use support::{GRACE, LONG, Recorder, SHORT, lock_dir, wait_until};
use tokio::sync::Mutex;

/// A restart ends every acquire of the process, so these tests run one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

fn nonce(claim: &Path) -> [u8; 16] {
    let bytes = fs::read(claim).expect("the claim is there");
    Content::classify(&bytes).payload().and_then(|payload| payload.nonce).expect("a claim of this crate")
}

fn files(dir: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.expect("readable").file_name().into_string().expect("UTF-8");
    let mut names: Vec<_> = fs::read_dir(dir).expect("readable").map(name).collect();
    names.sort();
    names
}

/// The older lock's map of held files is new after the restart, and its files are the old ones. Their pid lives, so they are
/// not stale, and every acquire waits for itself.
#[test]
fn seed_004_the_older_lock_waits_for_itself_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("s.lock");
    let acquire = |held: &mut Vec<fs::File>| {
        let file = fs::File::create_new(&path).ok();
        if let Some(file) = file {
            fs::write(&path, format!("{{\"pid\":{}}}", std::process::id())).expect("written");
            held.push(file);
            return true;
        }
        let owner: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
        let alive = Path::new(&format!("/proc/{}", owner["pid"])).exists();
        assert!(alive, "its rule for a stale lock: the pid does not live");
        false
    };
    let mut first_iteration = Vec::new();
    assert!(acquire(&mut first_iteration));
    let mut second_iteration = Vec::new();
    assert!(!acquire(&mut second_iteration), "blocked by the process itself: this is the bug");
}

#[test]
fn seed_004_after_a_restart_everything_is_free_and_old_guards_are_inert() {
    let _alone = ALONE.blocking_lock();
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let names: Vec<_> = (0..20).map(|n| format!("s{n}")).collect();
    let acquire_all = || -> Vec<_> { names.iter().map(|name| locks.lock(name).blocking().expect("free")).collect() };
    let old = acquire_all();
    let old_nonce = nonce(&dir.path().join("s0.lock"));

    let restart = release_all();
    assert_eq!((restart.released, restart.failed.len()), (20, 0));
    assert_eq!(files(dir.path()), [".session-lock"], "a claim was left over");
    assert!(
        files(&dir.path().join(".session-lock")).iter().all(|name| !name.starts_with("spare-")),
        "a spare was left"
    );

    let new = acquire_all();
    let new_nonce = nonce(&dir.path().join("s0.lock"));
    assert_ne!(new_nonce, old_nonce);
    for guard in &old {
        assert_eq!(guard.is_lost(), Some(Loss::Restarted));
    }
    for (n, guard) in old.into_iter().enumerate() {
        // Released or dropped, late: neither may touch what the new iteration holds.
        if n % 2 == 0 {
            assert!(matches!(guard.release(), Err(ReleaseError::Lost { cause: Loss::Restarted, .. })));
        }
    }
    for (name, guard) in names.iter().zip(new) {
        assert_eq!(nonce(&dir.path().join(format!("{name}.lock"))), new_nonce);
        guard.release().expect("held to the end");
    }
    let released = |event: &&Event| matches!(event, Event::Released { outcome: ReleaseOutcome::Released, .. });
    assert_eq!(recorder.events().iter().filter(released).count(), 40, "each hold ended once");
}

#[tokio::test(flavor = "multi_thread")]
async fn acquires_that_wait_end_and_new_ones_are_served() {
    let _alone = ALONE.lock().await;
    let (dir, _) = lock_dir();
    let (recorder, locks) = Recorder::on(dir.path());
    let _held = locks.lock("s").await.expect("free");
    // An older peer's claim, which is kept open, has one waiter on a thread of its own.
    let foreign = fs::File::create_new(dir.path().join("f.lock")).expect("created");
    let waiting: Vec<_> = (0..10)
        .map(|n| {
            let (locks, name) = (locks.clone(), if n % 2 == 0 { "s" } else { "f" });
            tokio::spawn(async move { locks.lock(name).await.map(drop) })
        })
        .collect();
    let blocking = std::thread::spawn({
        let locks = locks.clone();
        move || locks.lock("s").timeout(LONG).blocking().map(drop)
    });
    let contended = |event: &&Event| matches!(event, Event::Contended { .. });
    wait_until(|| recorder.events().iter().filter(contended).count() == 11);
    let (created, mut polled) = (locks.lock("s").into_future(), pin!(locks.lock("s").into_future()));
    assert!(polled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    assert_eq!(release_all().released, 1);
    for task in waiting {
        assert!(matches!(task.await.expect("no panic"), Err(LockError::Restarted)));
    }
    assert!(matches!(blocking.join().expect("no panic"), Err(LockError::Restarted)));
    assert!(matches!(created.await, Err(LockError::Restarted)), "it began before the restart");
    assert!(matches!(polled.await, Err(LockError::Restarted)));
    let cancelled = |event: &&Event| matches!(event, Event::NotAcquired { outcome: NotAcquired::Cancelled, .. });
    assert_eq!(recorder.events().iter().filter(cancelled).count(), 13);

    drop(locks.lock("s").timeout(LONG).await.expect("free for the new iteration"));
    drop(foreign);
    drop(locks.lock("f").timeout(LONG).await.expect("free after the grace"));
}

/// The story of the thread, with a real server: PID 1 of its own PID namespace, told to restart by SIGUSR1.
#[test]
fn seed_004_a_server_that_is_pid_1_restarts_by_a_signal() {
    let _alone = ALONE.blocking_lock();
    let (dir, locks) = lock_dir();
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--kill-child"]).arg(example("restart").get_program());
    let Ok(mut server) = unshare.arg(dir.path()).args(["a", "b"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    else {
        return eprintln!("skipped: seed_004_a_server_that_is_pid_1_restarts_by_a_signal: needs unshare (util-linux)");
    };
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let Some(first) = lines.next() else {
        server.wait().expect("ended");
        return eprintln!("skipped: seed_004_a_server_that_is_pid_1_restarts_by_a_signal: needs root");
    };
    assert_eq!(first, "iteration 1 of process 1 holds 2 sessions");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.id())).expect("readable");
    let one = Pid::from_raw(children.trim().parse().expect("one child"));
    let claims = ["a.lock", "b.lock"].map(|name| dir.path().join(name));
    let mut nonces = vec![nonce(&claims[0])];
    for iteration in 2..=5 {
        assert!(matches!(locks.try_lock("a"), Ok(TryAcquire::Busy(_))));
        kill(one, Signal::SIGUSR1).expect("it lives");
        assert_eq!(lines.next().as_deref(), Some("released 2 sessions"));
        assert_eq!(lines.next(), Some(format!("iteration {iteration} of process 1 holds 2 sessions")));
        assert_eq!(nonce(&claims[0]), nonce(&claims[1]));
        nonces.push(nonce(&claims[0]));
    }
    nonces.dedup();
    assert_eq!(nonces.len(), 5, "each iteration has its own nonce");
    kill(one, Signal::SIGKILL).expect("it lives");
    server.wait().expect("ended");
    drop(locks.lock("a").timeout(LONG).blocking().expect("a dead server's lock is free"));
}

/// Acquires, releases and restarts at once: nobody ever meets a second holder, and afterwards nothing is left.
#[test]
fn restarts_race_with_acquires_and_releases() {
    let _alone = ALONE.blocking_lock();
    let (dir, locks) = lock_dir();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let acquired = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (locks, stop, acquired) = (&locks, &stop, &acquired);
            scope.spawn(move || {
                let name = format!("s{}", n % 2);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    match locks.lock(&name).timeout(LONG).blocking() {
                        Ok(guard) => {
                            acquired.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            match guard.release() {
                                Ok(()) | Err(ReleaseError::Lost { cause: Loss::Restarted, .. }) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                        Err(LockError::Restarted) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let mut nonces = Vec::new();
        for _ in 0..200 {
            assert!(release_all().failed.is_empty());
            let guard = loop {
                if let Ok(TryAcquire::Acquired(guard)) = locks.try_lock("mine") {
                    break guard;
                }
            };
            nonces.push(nonce(&dir.path().join("mine.lock")));
            drop(guard);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        nonces.sort_unstable();
        nonces.dedup();
        assert_eq!(nonces.len(), 200, "a nonce came again");
    });
    assert!(acquired.load(std::sync::atomic::Ordering::Relaxed) > 0);
    assert_eq!(files(dir.path()), [".session-lock"]);
}

#[test]
fn a_restart_ends_what_a_handle_could_enter() {
    let _alone = ALONE.blocking_lock();
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").blocking().expect("free");
    let inner = guard.handle().reenter().expect("held");
    assert_eq!(release_all().released, 1, "one hold, two guards");
    assert!(guard.handle().reenter().is_err());
    let next = locks.lock("s").blocking().expect("free");
    drop((guard, inner));
    assert_eq!(next.is_lost(), None);
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))), "the old guards released the new hold");
}

#[test]
fn a_restart_of_nothing_does_nothing() {
    let _alone = ALONE.blocking_lock();
    let (_dir, locks) = lock_dir();
    drop(release_all());
    assert_eq!(release_all().released, 0);
    drop(locks.lock("s").timeout(SHORT).blocking().expect("free"));
    drop(LockDir::open(locks.path()).expect("open"));
}

/// A future of the old iteration was given the turn, and nobody polls it any more: the new iteration would wait for it.
#[test]
fn a_turn_that_nobody_took_is_taken_back() {
    let _alone = ALONE.blocking_lock();
    let (_dir, locks) = lock_dir();
    let guard = locks.lock("s").blocking().expect("free");
    let mut served = pin!(locks.lock("s").into_future());
    assert!(served.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(guard);
    drop(release_all());
    let next = locks.lock("s").timeout(LONG).blocking().expect("free for the new iteration");
    let Poll::Ready(Err(LockError::Restarted)) = served.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it began before the restart")
    };
    assert_eq!(next.is_lost(), None);
}

/// Stops an acquire at the moment at which it has joined the queue and has no waker there yet.
struct StopContended(Barrier);

impl Sink for StopContended {
    fn record(&self, _session: &str, event: &Event) {
        if matches!(event, Event::Contended { .. }) {
            self.0.wait();
            self.0.wait();
        }
    }
}

#[test]
fn an_acquire_that_is_about_to_wait_ends_as_well() {
    let _alone = ALONE.blocking_lock();
    let (dir, locks) = lock_dir();
    let sink = Arc::new(StopContended(Barrier::new(2)));
    let stopped = LockDir::options().sink(sink.clone()).open(dir.path()).expect("open");
    let _guard = locks.lock("s").blocking().expect("free");
    let waiting = std::thread::spawn(move || stopped.lock("s").blocking().map(drop));
    sink.0.wait();
    drop(release_all());
    sink.0.wait();
    wait_until(|| waiting.is_finished());
    assert!(matches!(waiting.join().expect("no panic"), Err(LockError::Restarted)));
}

/// Without a deadline the asking thread itself waits in the kernel, for somebody who does not release.
#[test]
fn a_thread_that_waits_for_another_process_ends_as_well() {
    let _alone = ALONE.blocking_lock();
    let (dir, locks) = lock_dir();
    // This program's own handler of the signal that a restart borrows.
    let urgent = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGURG, Arc::clone(&urgent)).expect("a signal that may be handled");
    let other = std::thread::scope(|scope| {
        // A panic ends it, and then those who wait for it.
        let other = OtherProcess::hold(dir.path(), "s");
        let waiting = ["first", "behind it"].map(|label| {
            let locks = &locks;
            let waiting = scope.spawn(move || locks.lock("s").label(label).blocking().map(drop));
            let is_here = |waiter: &Waiting| waiter.label.as_deref() == Some(label);
            wait_until(|| locks.inspect("s").expect("valid").waiters.here.iter().any(is_here));
            waiting
        });
        assert_eq!(release_all().released, 0);
        for waiting in waiting {
            wait_until(|| waiting.is_finished());
            assert!(matches!(waiting.join().expect("no panic"), Err(LockError::Restarted)));
        }
        other
    });
    assert!(urgent.swap(false, Ordering::Relaxed), "it was called as well");
    raise(Signal::SIGURG).expect("sent to this thread");
    assert!(urgent.load(Ordering::Relaxed), "it is there again");
    assert!(matches!(locks.try_lock("s"), Ok(TryAcquire::Busy(_))), "it is still held");
    other.kill();
    drop(locks.lock("s").timeout(LONG).blocking().expect("a dead owner's lock is free"));
}

/// A sweep has the turns of the claims that it pins. They come back when its grace is over, and the claims stay.
#[test]
fn a_sweep_meanwhile_gives_back_what_it_has() {
    let _alone = ALONE.blocking_lock();
    let dir = tempfile::tempdir().expect("a temporary directory");
    // Long enough for three threads to come while it lasts.
    let (recorder, options) = (Arc::new(Recorder::default()), LockDir::options().grace(Duration::from_secs(2)));
    let locks = options.sink(recorder.clone()).open(dir.path()).expect("open");
    let is_pinned = |event: &&Event| matches!(event, Event::ReclaimRefused { .. });
    let names = ["a", "b", "c"];
    for name in names {
        fs::write(dir.path().join(format!("{name}.lock")), "{\"pid\":1}").expect("written");
    }
    let swept = std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| locks.sweep().blocking().expect("listed"));
        wait_until(|| recorder.events().iter().filter(is_pinned).count() == names.len());
        let is_waited_for = |name: &&str| !locks.inspect(name).expect("valid").waiters.here.is_empty();
        std::thread::scope(|waiting| {
            for name in names {
                waiting.spawn(|| assert!(matches!(locks.lock(name).blocking().map(drop), Err(LockError::Restarted))));
            }
            wait_until(|| names.iter().all(is_waited_for));
            assert_eq!(release_all().released, 0);
        });
        sweeping.join().expect("no panic")
    });
    for claim in &swept.claims {
        let SweepOutcome::Kept { why: Kept::Failed(error) } = &claim.outcome else { panic!("{claim:?}") };
        assert!(matches!(**error, LockError::Restarted), "{error}");
    }
    let locks = LockDir::options().grace(GRACE).open(dir.path()).expect("open");
    for name in names {
        assert!(dir.path().join(format!("{name}.lock")).exists());
        drop(locks.lock(name).timeout(LONG).blocking().expect("free after another grace"));
    }
}

#[tokio::test]
async fn the_spans_of_what_a_restart_ends_end_with_it() {
    let _alone = ALONE.lock().await;
    let (_dir, locks) = lock_dir();
    let (seen, _listening) = Collector::listen();
    let guard = locks.lock("s").await.expect("free");
    let mut waiting = pin!(locks.lock("s").into_future());
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert_eq!(release_all().released, 1);
    let hold = seen.last("session_lock.hold");
    assert!(hold.is_closed && hold.field("session_lock.outcome") == "released", "{hold:?}");
    assert!(matches!(waiting.await, Err(LockError::Restarted)));
    let acquire = seen.last("session_lock.acquire");
    let said = ["session_lock.outcome", "error.type", "otel.status_code"].map(|name| acquire.field(name));
    assert_eq!(said, ["cancelled", "restarted", "ERROR"]);
    assert!(acquire.is_closed);
    let before = seen.names();
    assert!(guard.release().is_err());
    assert_eq!(seen.names(), before);
}
