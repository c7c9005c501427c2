//! Many tasks of one process on one lock, beside two processes that hand it to each other; and what another process gets of a
//! lock that many tasks of one process want.

use super::cost::{ms, percentile, us};
use super::member::{Member, ready, told};
use crate::report::{Figure, Report, Unit};
use crate::run::{Place, Run};
use session_lock::LockDir;
use std::path::Path;
use std::time::{Duration, Instant};

const SECTION: &str = "tasks";
const SESSION: &str = "s";
const TASKS: u64 = 1_000;
const COUNTS: [u64; 3] = [1, 10, TASKS];
/// Longer than it takes to come back from [`THINK`] and to be parked.
const HOLD: Duration = Duration::from_micros(600);
/// Longer than a hand-over, so that nobody asks for what is being handed over.
const THINK: Duration = Duration::from_micros(100);

/// What one process came to in a turn.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    acquired: f64,
    seconds: f64,
    /// How often somebody else had held since its hold before.
    handed: f64,
    p50_us: f64,
    longest_ms: f64,
    /// How many holds of others lay between two of its own.
    between_p50: f64,
    between_most: f64,
}

pub(crate) fn run(run: &Run, report: &mut Report) {
    for place in &run.places {
        let rounds: Vec<_> = (0..run.either(4, 2)).map(|_| Round::of(run, place)).collect();
        let mut figure = |subject: &str, what: &str, unit, at: Option<u64>, value: &dyn Fn(&Round) -> f64| {
            let values: Vec<_> = rounds.iter().map(value).collect();
            let figure = Figure::of(SECTION, &place.file_system, subject, what, unit, &values);
            report.figures.push(Figure { at, ..figure });
        };
        let rate = "acquisitions per second, tasks of one process";
        for (nth, count) in COUNTS.into_iter().enumerate() {
            figure("session-lock", rate, Unit::PerSecond, Some(count), &|round| round.tasks[nth].rate());
        }
        figure("two processes", "acquisitions per second", Unit::PerSecond, None, &|round| {
            round.pair_rate(|share| share.acquired)
        });
        figure("two processes", "hand-overs per second", Unit::PerSecond, None, &|round| {
            round.pair_rate(|share| share.handed)
        });
        figure("two processes, in turns", "hand-overs per second", Unit::PerSecond, None, &|round| round.hand_overs);
        figure("session-lock", "1,000 tasks / hand-overs of two processes", Unit::Ratio, None, &|round| {
            round.tasks[COUNTS.len() - 1].rate() / round.hand_overs
        });
        let at = Some(TASKS);
        figure("the tasks", "per second, another process beside the tasks", Unit::PerSecond, at, &|round| {
            round.beside[0].rate()
        });
        figure("the other process", "per second, another process beside the tasks", Unit::PerSecond, at, &|round| {
            round.beside[1].rate()
        });
        figure("the other process", "wait p50", Unit::Milliseconds, at, &|round| round.beside[1].p50_us / 1e3);
        figure("the other process", "longest wait", Unit::Milliseconds, at, &|round| round.beside[1].longest_ms);
        figure("the other process", "turns of the tasks between, p50", Unit::Count, at, &|round| {
            round.beside[1].between_p50
        });
        figure("the other process", "turns of the tasks between, most", Unit::Count, at, &|round| {
            round.beside[1].between_most
        });
    }
}

impl Share {
    fn rate(self) -> f64 {
        self.acquired / self.seconds
    }
}

struct Round {
    tasks: [Share; COUNTS.len()],
    pair: [Share; 2],
    /// Per second, of two processes of which each waits before the other releases.
    hand_overs: f64,
    /// The tasks, and the other process.
    beside: [Share; 2],
}

impl Round {
    fn of(run: &Run, place: &Place) -> Self {
        let dir = place.fresh("tasks");
        let turn = |roles: &[(&str, u64)]| turn(run, dir.path(), roles);
        let tasks = COUNTS.map(|count| turn(&[("tasks", count)])[0]);
        let pair = turn(&[("alone", 1), ("alone", 1)]);
        let beside = turn(&[("tasks", TASKS), ("alone", 1)]);
        Self {
            tasks,
            pair: [pair[0], pair[1]],
            hand_overs: hand_overs(run, dir.path()),
            beside: [beside[0], beside[1]],
        }
    }

    fn pair_rate(&self, count: impl Fn(&Share) -> f64) -> f64 {
        self.pair.iter().map(|share| count(share) / share.seconds).sum()
    }
}

/// These roles, side by side on one lock.
fn begin(run: &Run, dir: &Path, roles: &[(&str, u64)]) -> Vec<Member> {
    let millis = run.either(1_000, 400).to_string();
    let start = |(role, count): &(&str, u64)| {
        let mut command = run.role(role);
        command.arg(dir).args([count.to_string(), millis.clone()]);
        Member::start(command)
    };
    let mut members: Vec<_> = roles.iter().map(start).collect();
    for member in &mut members {
        member.tell("go");
    }
    members
}

fn turn(run: &Run, dir: &Path, roles: &[(&str, u64)]) -> Vec<Share> {
    let mut members = begin(run, dir, roles);
    let share = |member: &mut Member| {
        let [acquired, seconds, handed, p50_us, longest_ms, between_p50, between_most] = member.numbers();
        Share { acquired, seconds, handed, p50_us, longest_ms, between_p50, between_most }
    };
    members.iter_mut().map(share).collect()
}

/// How many hand-overs a second has room for, each from the call of the release to the other's hold: what a turn of tasks
/// without a hold lasts.
#[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
fn hand_overs(run: &Run, dir: &Path) -> f64 {
    let mut members = begin(run, dir, &[("in-turns", 1), ("in-turns", 1)]);
    let holds = members.iter_mut().zip(0..).flat_map(|(member, owner)| {
        let line = member.hear();
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
        numbers.chunks_exact(3).map(|hold| (hold[0], owner, hold[1], hold[2])).collect::<Vec<_>>()
    });
    let mut holds: Vec<(u64, usize, u64, u64)> = holds.collect();
    holds.sort_unstable();
    let handed = |pair: &[(u64, usize, u64, u64)]| {
        let [(token, from, _, releasing), (next, to, acquired, _)] = pair else { return None };
        (token + 1 == *next && from != to).then(|| acquired.saturating_sub(*releasing))
    };
    let times: Vec<_> = holds.windows(2).filter_map(handed).collect();
    assert!(!times.is_empty(), "no hand-over in {} holds", holds.len());
    times.len() as f64 / Duration::from_nanos(times.iter().sum()).as_secs_f64()
}

/// Holds long enough for the other process to wait in the kernel, and then leaves it the lock. Tells the token, and when it
/// had acquired and was going to release, for each hold.
pub(crate) fn in_turns(told_of: &[String]) {
    let (locks, _, time) = arguments(told_of);
    ready();
    told();
    let (began, mut holds) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let guard = locks.lock(SESSION).blocking().expect("free in the end");
        let acquired = clock_ns();
        std::thread::sleep(HOLD);
        let token = guard.token();
        let releasing = clock_ns();
        guard.release().expect("released");
        holds.push(format!("{token} {acquired} {releasing}"));
        std::thread::sleep(THINK);
    }
    println!("{}", holds.join(" "));
}

/// The same clock in all processes.
fn clock_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("it is always there");
    u64::try_from(Duration::from(now).as_nanos()).expect("five hundred years")
}

fn arguments(arguments: &[String]) -> (LockDir, u64, Duration) {
    let [dir, count, millis] = arguments else { panic!("{arguments:?}") };
    let locks = LockDir::open(dir).expect("a directory for locks");
    (locks, count.parse().expect("a number"), Duration::from_millis(millis.parse().expect("a number")))
}

/// That many tasks, each of which acquires again and again.
pub(crate) fn tasks(told_of: &[String]) {
    let (locks, count, time) = arguments(told_of);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    ready();
    told();
    let began = Instant::now();
    let tasks: Vec<_> = (0..count).map(|_| runtime.spawn(acquire_until(locks.clone(), began + time))).collect();
    let acquired: u64 = runtime.block_on(async {
        let mut sum = 0;
        for task in tasks {
            sum += task.await.expect("no panic");
        }
        sum
    });
    println!("{acquired} {} 0 0 0 0 0", began.elapsed().as_secs_f64());
}

async fn acquire_until(locks: LockDir, end: Instant) -> u64 {
    let mut acquired = 0;
    while Instant::now() < end {
        locks.lock(SESSION).await.expect("free in the end").release().expect("released");
        acquired += 1;
    }
    acquired
}

/// One thread that acquires again and again, and looks at its waits and tokens. A token is one more than the one before.
pub(crate) fn alone(told_of: &[String]) {
    let (locks, _, time) = arguments(told_of);
    ready();
    told();
    let (began, mut waits, mut tokens) = (Instant::now(), Vec::new(), Vec::new());
    while began.elapsed() < time {
        let asked = Instant::now();
        let guard = locks.lock(SESSION).blocking().expect("free in the end");
        waits.push(asked.elapsed());
        tokens.push(guard.token());
        guard.release().expect("released");
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut between: Vec<_> = tokens.windows(2).map(|pair| pair[1] - pair[0] - 1).collect();
    between.sort_unstable();
    let handed = between.iter().filter(|between| **between > 0).count();
    let (p50, longest) = (percentile(&mut waits, 50), percentile(&mut waits, 100));
    let (middle, most) = (between.get(between.len() / 2).unwrap_or(&0), between.last().unwrap_or(&0));
    println!("{} {seconds} {handed} {} {} {middle} {most}", waits.len(), us(p50), ms(longest));
}
