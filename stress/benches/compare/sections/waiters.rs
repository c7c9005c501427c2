//! What a process costs in which many acquires wait: memory and threads; and processor time, of which there should be none.

use super::cost::{Cost, ms};
use super::held::session;
use super::member::{Member, raise_descriptors, ready, told};
use crate::report::{Figure, Report, Unit};
use crate::run::{Place, Run};
use session_lock::{Guard, LockDir};
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECTION: &str = "waiters";
const COUNTS: [u64; 3] = [10, 100, 1_000];
/// For what a wait does at its beginning: its thread is parked, and it is written down after 10 ms.
const SETTLE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    OneLock,
    OwnLocks,
}

impl On {
    fn name(self) -> &'static str {
        match self {
            Self::OneLock => "one lock",
            Self::OwnLocks => "a lock each",
        }
    }
}

/// A process with waiting acquires, and this one's guards for which they wait.
struct Case {
    on: On,
    count: u64,
    waiters: Member,
    guards: Vec<Guard>,
    before: Cost,
    _dir: TempDir,
}

/// What became of a case.
struct Outcome {
    mib: f64,
    threads: f64,
    cpu_ms: f64,
    switches: f64,
    served_ms: f64,
}

pub(crate) fn run(run: &Run, report: &mut Report) {
    raise_descriptors();
    let cases: Vec<_> =
        [On::OneLock, On::OwnLocks].into_iter().flat_map(|on| COUNTS.map(|count| (on, count))).collect();
    for place in &run.places {
        let rounds: Vec<_> = (0..run.either(4, 1)).map(|_| round(run, place, &cases)).collect();
        for (nth, (on, count)) in cases.iter().enumerate() {
            let mut figure = |what: &str, unit, value: fn(&Outcome) -> f64| {
                let values: Vec<_> = rounds.iter().map(|round| value(&round[nth])).collect();
                let subject = format!("session-lock, {}", on.name());
                report.figures.push(Figure::of(SECTION, &place.file_system, &subject, what, unit, &values).at(*count));
            };
            figure("more memory", Unit::Mebibytes, |outcome| outcome.mib);
            figure("threads", Unit::Count, |outcome| outcome.threads);
            figure("CPU in an idle second", Unit::Milliseconds, |outcome| outcome.cpu_ms);
            figure("context switches in an idle second", Unit::Count, |outcome| outcome.switches);
            figure("from release to all served", Unit::Milliseconds, |outcome| outcome.served_ms);
        }
    }
}

/// All cases wait side by side, and are served one after the other.
fn round(run: &Run, place: &Place, cases: &[(On, u64)]) -> Vec<Outcome> {
    let idle = run.either(Duration::from_secs(3), Duration::from_secs(1));
    let cases: Vec<_> = cases.iter().map(|&(on, count)| begin(run, place, on, count)).collect();
    sleep(SETTLE);
    let waiting: Vec<_> = cases.iter().map(|case| Cost::of(case.waiters.pid())).collect();
    sleep(idle);
    let after: Vec<_> = cases.iter().map(|case| Cost::of(case.waiters.pid())).collect();
    let costs = waiting.iter().zip(after);
    let end = |(mut case, (waiting, after)): (Case, (&Cost, Cost))| {
        let began = Instant::now();
        case.guards.drain(..).for_each(|guard| guard.release().expect("released"));
        assert_eq!(case.waiters.hear(), "served", "{} on {}", case.count, case.on.name());
        let served_ms = ms(began.elapsed());
        Outcome {
            mib: waiting.resident_mib - case.before.resident_mib,
            threads: waiting.threads - case.before.threads,
            cpu_ms: ms(after.cpu.saturating_sub(waiting.cpu)) / idle.as_secs_f64(),
            switches: (after.switches - waiting.switches) / idle.as_secs_f64(),
            served_ms,
        }
    };
    cases.into_iter().zip(costs).map(end).collect()
}

fn begin(run: &Run, place: &Place, on: On, count: u64) -> Case {
    let dir = place.fresh("waiters");
    let locks = LockDir::open(dir.path()).expect("a directory for locks");
    let held = if on == On::OneLock { 1 } else { count };
    let guards = (0..held).map(|nth| locks.lock(&session(nth)).blocking().expect("free")).collect();
    let mut command = run.role("wait");
    command.arg(dir.path()).args([held.to_string(), count.to_string()]);
    let mut waiters = Member::start(command);
    let before = Cost::of(waiters.pid());
    waiters.tell("wait");
    assert_eq!(waiters.hear(), "waiting");
    Case { on, count, waiters, guards, before, _dir: dir }
}

/// Waits for the sessions that it is told, with that many acquires.
pub(crate) fn wait(arguments: &[String]) {
    let [dir, sessions, count] = arguments else { panic!("{arguments:?}") };
    let [sessions, count]: [u64; 2] = [sessions, count].map(|text| text.parse().expect("a number"));
    raise_descriptors();
    let locks = LockDir::open(dir).expect("a directory for locks");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    ready();
    told();
    let ((waits, waiting), (ends, ended)) = (channel(), channel());
    for nth in 0..count {
        runtime.spawn(wait_for(locks.clone(), session(nth % sessions), waits.clone(), ends.clone()));
    }
    (0..count).for_each(|_| waiting.recv().expect("each waits"));
    println!("waiting");
    (0..count).for_each(|_| ended.recv().expect("each is served"));
    println!("served");
    told();
}

async fn wait_for(locks: LockDir, session: String, waits: Sender<()>, serves: Sender<()>) {
    let mut acquire = pin!(locks.lock(&session).into_future());
    let mut first = true;
    let guard = poll_fn(|context| {
        let polled = acquire.as_mut().poll(context);
        if std::mem::take(&mut first) {
            waits.send(()).expect("somebody counts");
        }
        polled
    });
    guard.await.expect("free in the end").release().expect("released");
    serves.send(()).expect("somebody counts");
}
