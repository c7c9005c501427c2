//! A cross-process lock for session files.
//!
//! Programs that keep one file per session share a directory between many processes and containers. The lock file
//! beside each session, its *claim*, says who may write. Here the kernel decides who holds: never a pid, never an age.
//!
//! ```
//! use session_lock::LockDir;
//! use std::time::Duration;
//!
//! # let sessions = tempfile::tempdir()?;
//! # let sessions = sessions.path();
//! let locks = LockDir::open(sessions)?;
//! let guard = locks.lock("42.jsonl").label("run 17").timeout(Duration::from_secs(10)).blocking()?;
//! // Write to 42.jsonl; guard.token() fences storage that can refuse writers that were overtaken.
//! guard.release()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a tokio runtime the same acquire is awaited: `locks.lock("42.jsonl").await?`.
//!
//! # Promises
//!
//! 1. On one kernel there is at most one holder per session among the processes that use this crate, in any PID, mount,
//!    user or time namespace, under `SIGKILL`, `SIGSTOP`, PID reuse, clock steps and a full disk, and when somebody deletes
//!    the claim.
//! 2. A dead owner's lock is free at once; a living owner is never robbed, however old its lock.
//! 3. A peer that creates its claim with `O_EXCL` and keeps the file open (an older lock, Python's `SoftFileLock`) is never
//!    robbed while it lives, and its dead claim is taken over after the grace ([`Options::grace`]).
//! 4. A holder learns when its claim is deleted or replaced: a deleted one is put back, a replaced one is lost
//!    ([`Guard::lost`]).
//! 5. Every hold has a fencing token that is larger than those of the session's earlier holds ([`Guard::token`]).
//! 6. No wait outlasts its deadline, except for a system call that is running, and a failure leaves no file behind. (A
//!    `SIGKILL` leaves the dead owner's claim until the next acquire, a spare in the state directory until another process
//!    makes one, and within the first acquire of all an empty `.session-lock-<hex digits>`, until another process makes the
//!    state directory or sweeps.)
//! 7. A file that is not a claim is never touched, whatever its name.
//!
//! # Not promised
//!
//! - Exclusion between machines: a directory on NFS, CIFS, FUSE, 9p or virtiofs is refused ([`OpenError::FileSystem`]).
//! - Protection from a peer that deletes living claims. It is noticed; holders of this crate stay exclusive among
//!   themselves.
//! - Exclusion when the claim *and* the state directory `.session-lock` are deleted within one hold.
//! - An older peer that is stopped between closing and unlinking for longer than the grace.
//!
//! # Looking and cleaning up
//!
//! [`LockDir::inspect`] and [`LockDir::inspect_all`] say what state a lock is in, who holds it and who waits, without changing
//! anything. [`LockDir::sweep`] removes what dead owners left; it is never needed, because an acquire takes a dead owner's
//! claim over by itself.
//!
//! ```
//! # use session_lock::{LockDir, State};
//! # let sessions = tempfile::tempdir()?;
//! # let locks = LockDir::open(sessions.path())?;
//! # let _guard = locks.lock("42.jsonl").blocking()?;
//! for lock in locks.inspect_all()? {
//!     println!("{lock}"); // 42.jsonl is held by this process, pid 4711 on …
//!     assert_eq!(lock.state, State::Held);
//! }
//! for claim in locks.sweep().blocking()?.claims {
//!     println!("{claim}"); // 42.jsonl: kept: somebody holds it, or is acquiring it
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Processes
//!
//! A `SIGKILL` frees every lock of the process at once. A stopped process keeps its locks. A forked child holds nothing:
//! its guards are inert, its directories say [`LockError::Forked`], and it opens the directory again. Descriptors are
//! closed on exec. Needs Linux 5.8 (6.1 on overlayfs), /proc, and system call filters that let statx(2) through.
//!
//! # Mixed fleets
//!
//! Older programs can share the directory, if their lock creates `<session>.lock` with `O_EXCL` and keeps it open while it
//! holds: the JSON locks of older agents, Python's `SoftFileLock`. What the two sides see of each other:
//!
//! | They | We |
//! |---|---|
//! | hold, with whatever payload | wait: the kernel says that the file is open |
//! | release: close, then unlink | go on as soon as the file is gone |
//! | died | wait the grace ([`Options::grace`]), then take the claim over |
//! | were stopped between close and unlink, for longer than the grace | take the claim over, and their unlink removes ours: it is put back |
//! | delete a living claim, as stale locks do that judge by pid or age | put it back, or say that it is lost ([`Guard::lost`]) |
//!
//! They see a file that exists, with a pid, a start time and a date as they write them. A lock that keeps no file open (Node's
//! proper-lockfile, a shell script) is not seen to live and must not share a directory with this one.
//!
//! # Spans
//!
//! Each acquire and each hold is a span of the [`tracing`](https://docs.rs/tracing) subscriber that the caller has when the
//! acquire begins, under the target `session_lock`, at the level INFO. Without a subscriber they cost a few comparisons.
//!
//! | Span | Parent | Lasts |
//! |---|---|---|
//! | `session_lock.acquire` | the caller's span | from the first poll to the end of the acquire; entered while it is polled |
//! | `session_lock.hold` | the same; follows from the acquire | from the acquire to the release |
//! | `session_lock.release` | the hold | as long as the release takes |
//!
//! | Attribute | On | Value |
//! |---|---|---|
//! | `file.path`, `file.lock.mechanism`, `process.pid` | all | the claim's path; `ofd`; this process |
//! | `session_lock.session`, `session_lock.label` | all | the session's name; the label, if there is one |
//! | `session_lock.outcome` | all | acquire: `acquired`, `busy`, `timeout`, `cancelled`, `error`; hold and release: `released`, `lost`, `error` |
//! | `error.type`, `error.message`, `otel.status_code` | all | what went wrong, if something did: `timeout`, `lost`, `not_a_claim`, `state`, `restarted`, `system`; in words; `ERROR` |
//! | `session_lock.token` | acquire, hold | the fencing token |
//! | `session_lock.wait_seconds` | acquire | from the call to its end |
//! | `session_lock.by`, `session_lock.reason` | acquire | what kind of holder was in the way; why a claim could be taken over |
//! | `session_lock.hold_seconds` | hold | from acquire to release |
//!
//! | Event | On | Level | Attributes |
//! |---|---|---|---|
//! | `session_lock.contended` | acquire | INFO | `session_lock.by`, `session_lock.holder.*` |
//! | `session_lock.reclaim_refused` | acquire | INFO | `session_lock.why`: `writer_alive`, `grace`, `unknown`, `foreign_arbiter` |
//! | `session_lock.reclaimed` | acquire | INFO | `session_lock.reason`, `session_lock.holder.*`: the dead owner |
//! | `session_lock.reentered` | hold | DEBUG | |
//! | `session_lock.claim_restored` | hold | WARN | `session_lock.session` |
//! | `session_lock.lost` | hold | WARN | `session_lock.session`, `session_lock.cause`: `deleted`, `replaced` |
//! | `session_lock.hold_exceeded` | hold | WARN | `session_lock.session`, `session_lock.action`: `reported`, `released` |
//!
//! `session_lock.holder.*` is what the claim says, as far as it does: `pid`, `pid_ns`, `host`, `label`, `token`. Names,
//! labels and paths have their control characters escaped. Warnings also reach a subscriber that takes nothing below
//! WARN. A subscriber is called as an [`event::Sink`] is, with the same duties. In a forked child the parent's spans do
//! not end. A `SIGKILL` takes the spans that are open with it.
//!
//! With the feature `otel` and a [`tracing-opentelemetry`](https://docs.rs/tracing-opentelemetry) layer a claim names
//! its holder's span ([`payload::TraceParent`]), and an acquire that waits for that holder, or takes over what it left,
//! has a link to that span, also from another process or container. What a claim says may be anybody's invention: it is
//! linked to if it is well formed, and never becomes a parent. There is no link between holders and waiters of one
//! process. The span that a claim names is the holder's acquire, to which its hold links; in a claim that was put back
//! it is the hold. The example `traced` shows it.
//!
//! # How to choose
//!
//! | Ask for | When |
//! |---|---|
//! | [`Lock::timeout`], [`Lock::deadline`] | nearly always: the error names who is in the way, since when, and why |
//! | [`LockDir::try_lock`] | there is other work to do meanwhile |
//! | [`Lock::label`] | people will ask whose lock it is |
//! | [`Guard::token`] | the storage can refuse a writer with a smaller one: the only protection from a holder that was overtaken |
//! | [`Lock::max_hold`] with [`HoldExceeded::Report`] | a hold should end, and somebody reads metrics |
//! | [`Lock::max_hold`] with [`HoldExceeded::Release`] | a hold must end, and the holder watches [`Guard::lost`] |
//! | [`Guard::handle`] | a holder calls itself; acquiring again would wait for itself |
//! | [`release_all`] | a server restarts in place |
//! | [`release_on_termination`] | no claims should be left by an ordinary end |
//! | [`Options::grace`], longer | older peers are stopped for longer than a second between close and unlink |
//! | [`Options::tenure`], longer or shorter | tasks of one process compete with other processes, and one side gets too little |
//! | [`LockDir::inspect`], [`LockDir::sweep`] | people ask what is held, or what dead owners left |
//!
//! # Map
//!
//! | Module | What |
//! |---|---|
//! | [`event`] | what happened, for metrics; the spans say the same |
//! | [`payload`] | what a claim says |
//! | [`verdict`] | what follows from it |
//! | [`protocol`] | the state machines, for the model checker |
//! | [`error`] | what went wrong and what to do |

#[cfg(not(target_os = "linux"))]
compile_error!(
    "session-lock needs Linux: it rests on open file description locks, file leases, O_TMPFILE and inotify, and no \
     other system has them"
);

mod arbiter;
mod attempt;
mod claim;
#[cfg(feature = "prometheus")]
mod collector;
mod dir;
mod directory;
pub mod error;
pub mod event;
mod evidence;
mod guard;
mod hold;
mod holder;
mod inspect;
mod inspection;
mod label;
mod lock;
mod look;
pub mod metrics;
mod name;
pub mod payload;
mod pending;
mod process;
pub mod protocol;
mod queue;
mod relay;
mod request;
mod restart;
#[cfg(all(test, session_lock_shuttle))]
#[path = "tests/schedules/mod.rs"]
mod schedules;
mod shown;
mod spans;
mod spare;
mod sweep;
mod sys;
mod tenure;
mod termination;
#[cfg(all(test, not(session_lock_shuttle)))]
mod tests;
mod traceparent;
pub mod verdict;
mod waiters;
mod watch;

#[doc(hidden)]
pub use attempt::actor::{Actor, Spares};
#[cfg(feature = "prometheus")]
pub use collector::Collector;
pub use dir::{DEFAULT_GRACE, DEFAULT_TENURE, LockDir, Options, TryAcquire};
pub use error::{InspectError, LockError, OpenError, ReentryError, ReleaseError, SweepError};
pub use event::{HoldExceeded, Loss};
pub use guard::{Guard, Handle, Lost};
pub use holder::{Holder, HolderKind};
pub use inspection::{Glance, Inspection, State, Waiters, Waiting};
pub use lock::{Acquire, Lock};
pub use name::{MAX_NAME_LEN, NameError};
pub use protocol::LossCause;
pub use restart::{Restart, release_all};
pub use shown::shown;
pub use sweep::{Kept, Sweep, SweepOutcome, Sweeping, Swept, SweptClaim};
pub use termination::release_on_termination;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
