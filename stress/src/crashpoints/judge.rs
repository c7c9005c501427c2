//! One victim, from its empty directory to the last look at what it left, and what was wrong with it.
//!
//! The judge does not believe the victim: who holds it asks by trying to acquire, from another process. The rules:
//!
//! | When | Rule |
//! |---|---|
//! | the victim says that it holds | a try is busy, and whoever held before has let go |
//! | its section is over and it lives, whatever failed | the next acquire succeeds while it lives, then the victim's own |
//! | it was killed | at most one claim is left, and the next acquire succeeds |
//! | the next acquire was released | no claim is left |
//! | another process has held eight times | nothing is left but the permanent files |
//! | always | tokens grow; no panic, no abort, no hang; a kill is the only signal that ends it |

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout};
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use super::call::Call;
use super::holder::Holder;
use super::litter::Litter;
use super::scenario::{InTheWay, OLDER, Scenario, WITH_SPARE};
use super::setting::Setting;
use super::tracer::{Killed, Point, Progress, Traced, trace};
use super::victim::{HUNG, asked, released};
use crate::peers::{Held, Peer};

/// How the victim's section ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Killed,
    Held,
    Failed,
    TimedOut,
}

/// What became of one victim.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) calls: Vec<Call>,
    pub(super) reached: bool,
    pub(super) ending: Ending,
    /// From the kill to the next acquire's return.
    pub(super) recovery: Option<Duration>,
    /// Spares and unfinished state directories after the next acquire.
    pub(super) left: usize,
    pub(super) wrong: Vec<String>,
}

/// When to let a waiting victim go on that does not go to the kernel's queue.
const UNPARKED: Duration = Duration::from_millis(300);
/// When a victim that waits for an older peer does so.
const WATCHING: Duration = Duration::from_millis(40);
/// From the entry of a wait to its being a wait, usually.
const PARKED: Duration = Duration::from_millis(2);
/// How long a deleted claim may be gone.
const HEALED: Duration = Duration::from_secs(5);
/// The watcher looks once more after it has put a claim back.
const SETTLED: Duration = Duration::from_millis(40);
/// How long the judge's own peer may take to go.
const GONE: Duration = Duration::from_secs(2);
/// The lock writes counters and watches claims of holds that last.
const LINGER: Duration = Duration::from_millis(40);

struct Judge<'a> {
    setting: &'a Setting,
    scenario: Scenario,
    sessions: PathBuf,
    progress: Receiver<Progress>,
    killed: Killed,
    holder: Holder,
    last_token: u64,
    spares_before: usize,
    ending: Ending,
    recovery: Option<Duration>,
    left: usize,
    is_over: bool,
    wrong: Vec<String>,
}

/// Runs one victim, and judges it.
pub(super) fn judge(setting: &Setting, scenario: Scenario, point: Option<&Point>) -> anyhow::Result<Judged> {
    let dir = tempfile::Builder::new().prefix("victim-").tempdir_in(&setting.parent)?;
    let sessions = dir.path().join("sessions");
    fs::DirBuilder::new().mode(0o700).create(&sessions)?;
    let errors = dir.path().join("stderr");
    let (teller, progress) = channel();
    let mut judge = Judge {
        setting,
        scenario,
        sessions,
        progress,
        killed: Killed::default(),
        holder: Holder::Nobody,
        last_token: 0,
        spares_before: 0,
        ending: Ending::Killed,
        recovery: None,
        left: 0,
        is_over: false,
        wrong: Vec::new(),
    };
    let kept = judge.prepare()?;
    let root = judge.sessions.to_string_lossy().into_owned();
    let mut command = setting.victim(scenario, &judge.sessions);
    command.stderr(File::create(&errors)?);
    let killed = Killed::clone(&judge.killed);
    let (hand_over, streams) = channel();
    let traced = thread::scope(|scope| {
        let spawn = || {
            let mut child = setting.spawn(&mut command)?;
            hand_over.send((child.stdin.take(), child.stdout.take())).ok();
            drop(hand_over);
            Ok(child)
        };
        let tracer = scope.spawn(|| trace(spawn, &root, point, &teller, &killed));
        if let Ok((Some(input), Some(output))) = streams.recv() {
            judge.listen(&*kept, input, output);
        }
        tracer.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the tracer has panicked")))
    })?;
    judge.let_go();
    drop(kept);
    let errors = fs::read_to_string(errors)?;
    judge.look_at_end(&traced, point, &errors);
    if !traced.began && !matches!(traced.end, WaitStatus::Exited(_, HUNG)) {
        anyhow::bail!("a victim cannot be traced here: {:?}, {}", traced.end, errors.trim());
    }
    judge.look_at_leftovers()?;
    let Judge { ending, recovery, left, wrong, .. } = judge;
    Ok(Judged { calls: traced.calls, reached: traced.reached, ending, recovery, left, wrong })
}

impl Judge<'_> {
    fn open(&self) -> anyhow::Result<Box<dyn Peer>> {
        self.setting.lock.open(&self.sessions, self.setting.grace, None)
    }

    fn claim(&self) -> PathBuf {
        self.sessions.join("0.jsonl.lock")
    }

    /// Makes the directory as the scenario has it. The peer that it returns is the judge's, for the victim's lifetime.
    fn prepare(&mut self) -> anyhow::Result<Box<dyn Peer>> {
        let peer = self.open()?;
        if self.scenario != Scenario::First {
            let held = self.acquire(&*peer)?;
            released(held)?;
        }
        let holder = match self.scenario.in_the_way() {
            InTheWay::Nothing => Holder::Nobody,
            InTheWay::Judge => Holder::Judge(self.acquire(&*peer)?),
            InTheWay::LivingProcess => self.other_process(0)?,
            InTheWay::DeadProcess(holds) => self.other_process(holds)?,
            InTheWay::OlderPeer => Holder::older_peer(&self.claim())?,
            InTheWay::File(content) => {
                fs::write(self.claim(), content)?;
                Holder::Nobody
            }
        };
        self.holder = holder;
        if matches!(self.scenario.in_the_way(), InTheWay::DeadProcess(_)) {
            self.let_go();
            self.spares_before = Litter::find(&self.sessions)?.spares;
        }
        Ok(peer)
    }

    fn acquire(&mut self, peer: &dyn Peer) -> anyhow::Result<Box<dyn Held>> {
        let within = self.setting.within;
        let held = peer.acquire(asked(within))?.with_context(|| format!("not acquired within {within:?}"))?;
        self.saw_token(held.token());
        Ok(held)
    }

    fn other_process(&mut self, holds: u32) -> anyhow::Result<Holder> {
        let (holder, token) = Holder::process(self.setting, holds, &self.sessions)?;
        self.saw_token(token);
        Ok(holder)
    }

    fn saw_token(&mut self, token: u64) {
        if token != 0 && token <= self.last_token {
            self.wrong.push(format!("token {token} after token {}", self.last_token));
        }
        self.last_token = self.last_token.max(token);
    }

    fn let_go(&mut self) {
        let holder = std::mem::replace(&mut self.holder, Holder::Nobody);
        if let Err(error) = holder.let_go(&self.claim()) {
            self.wrong.push(format!("the holder's release failed: {error:#}"));
        }
    }

    /// Hears all that the victim says, to its end.
    fn listen(&mut self, peer: &dyn Peer, mut input: ChildStdin, output: ChildStdout) {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let answers = match word {
                "begin" => self.begun(peer),
                "holding" | "acquired" => {
                    self.saw_token(rest.parse().unwrap_or(0));
                    self.ending = Ending::Held;
                    self.probe(peer);
                    if self.scenario.lingers() {
                        thread::sleep(LINGER);
                    }
                    true
                }
                "failed" | "release-failed" => self.ended(Ending::Failed),
                "timeout" => self.ended(Ending::TimedOut),
                "released" => {
                    if self.scenario == Scenario::Lost {
                        self.wrong.push("the release did not say that the claim was lost".into());
                    }
                    false
                }
                "end" => {
                    self.let_go();
                    self.next_acquire(peer);
                    true
                }
                "again" => {
                    self.saw_token(rest.parse().unwrap_or(0));
                    false
                }
                "again-failed" => {
                    self.wrong.push(format!("the victim's own next acquire failed: {rest}"));
                    false
                }
                "bye" => {
                    self.is_over = true;
                    false
                }
                _ => {
                    self.wrong.push(format!("the victim said {line:?}"));
                    false
                }
            };
            if answers {
                // A victim that was killed meanwhile hears nothing.
                input.write_all(b"\n").ok();
            }
        }
    }

    fn ended(&mut self, ending: Ending) -> bool {
        self.ending = ending;
        false
    }

    /// Does what the scenario has happen within the section. True if the victim waits for that.
    fn begun(&mut self, peer: &dyn Peer) -> bool {
        self.progress.recv_timeout(HEALED).ok();
        match self.scenario {
            Scenario::WaitRelease | Scenario::WaitKill => self.let_wait(UNPARKED),
            Scenario::WaitOlder => self.let_wait(WATCHING),
            Scenario::Heal => {
                fs::remove_file(self.claim()).ok();
                self.await_claim();
                self.probe(peer);
            }
            Scenario::Lost => {
                let other = self.sessions.join("other");
                fs::write(&other, OLDER).and_then(|()| fs::rename(&other, self.claim())).ok();
                thread::sleep(SETTLED);
                self.probe(peer);
            }
            _ => {}
        }
        self.scenario.disturbs()
    }

    /// Lets the victim wait, for at most so long if it does not go to the kernel's queue, and then the holder go.
    fn let_wait(&mut self, most: Duration) {
        let first = self.progress.recv_timeout(most).ok();
        thread::sleep(PARKED);
        if first.into_iter().chain(self.progress.try_iter()).any(|progress| progress == Progress::Acquires) {
            self.wrong.push("two owners: the victim says that it has acquired, and the holder has not let go".into());
        }
        self.let_go();
    }

    fn await_claim(&mut self) {
        let began = Instant::now();
        while !self.claim().exists() {
            if self.progress.try_recv() == Ok(Progress::Over) {
                return;
            }
            if began.elapsed() > HEALED {
                self.wrong.push(format!("the deleted claim was not put back within {HEALED:?}"));
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(SETTLED);
    }

    /// The victim says that it holds.
    fn probe(&mut self, peer: &dyn Peer) {
        match peer.try_acquire(asked(Duration::ZERO)) {
            Ok(None) => {}
            Ok(Some(held)) => {
                // A hold ends with the kill.
                if self.killed_at().is_none() {
                    self.wrong.push("two owners: the victim says it holds, and another process has acquired".into());
                }
                self.saw_token(held.token());
                drop(released(held));
            }
            Err(error) => self.wrong.push(format!("a try beside the holding victim failed: {error:#}")),
        }
    }

    fn killed_at(&self) -> Option<Instant> {
        *self.killed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_acquire(&mut self, peer: &dyn Peer) {
        if let Err(error) = self.acquire(peer).and_then(released) {
            self.wrong.push(format!("the next acquire, while the victim lives, failed: {error:#}"));
        } else if self.claim().exists() {
            self.wrong.push("the next acquire's release left its claim".into());
        }
    }

    fn look_at_end(&mut self, traced: &Traced, point: Option<&Point>, errors: &str) {
        let is_kill = point.is_some_and(|point| point.fault.is_kill());
        let errors = errors.trim();
        match traced.end {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) if is_kill && traced.reached => self.ending = Ending::Killed,
            WaitStatus::Exited(_, 0) if self.is_over => {}
            WaitStatus::Exited(_, HUNG) => self.wrong.push("the victim hung".into()),
            end => self.wrong.push(format!("the victim ended with {end:?}: {errors}")),
        }
        if errors.contains("panicked") {
            self.wrong.push(format!("a thread of the victim panicked: {errors}"));
        }
    }

    fn look_at_leftovers(&mut self) -> anyhow::Result<()> {
        let _nothing_is_inherited = self.setting.without_spawning();
        let before = Litter::find(&self.sessions)?;
        if before.claims > 1
            || before.spares > self.spares_before + 1
            || before.unfinished > 1
            || !before.strange.is_empty()
        {
            self.wrong.push(format!("the victim left {before:?}"));
        }
        let peer = self.open()?;
        match self.acquire(&*peer) {
            Ok(held) => {
                self.recovery = self.killed_at().map(|at| at.elapsed());
                released(held)?;
            }
            Err(error) => {
                self.wrong.push(format!("the next acquire failed: {error:#}; the victim left {before:?}"));
                return Ok(());
            }
        }
        let after = Litter::find(&self.sessions)?;
        self.left = after.left();
        if after.claims > 0 || !after.strange.is_empty() {
            self.wrong.push(format!("the next acquire and its release left {after:?}"));
        }
        for _ in 0..WITH_SPARE {
            released(self.acquire(&*peer)?)?;
        }
        drop(peer);
        // The peer's own spare goes with the last user of the directory, which may be a thread that is just looking at it.
        let began = Instant::now();
        let mut last = Litter::find(&self.sessions)?;
        while last != Litter::default() && began.elapsed() < GONE {
            thread::sleep(Duration::from_millis(1));
            last = Litter::find(&self.sessions)?;
        }
        if last != Litter::default() {
            self.wrong.push(format!("after {WITH_SPARE} new claims of another process there is still {last:?}"));
        }
        Ok(())
    }
}
