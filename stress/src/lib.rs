//! Many processes, one lock, faults, and a judge who does not know the lock.
//!
//! `stress run` starts worker processes that acquire and release session locks in one directory, kills and stops them
//! inside and outside of their holds, and says at the end whether two owners were ever in one lock. `stress selftest`
//! runs locks that are known to be broken through the same supervisor and the same oracle: a tool that cannot catch
//! them proves nothing.
//!
//! | Part | What it is |
//! |---|---|
//! | [`history`] | the shared record of what happened, in one total order |
//! | [`fault`] | the faults by name |
//! | [`oracle`] | reads a history once and finds two owners, lost updates and repeated tokens |
//! | [`verdict`] | what follows from the oracle's findings: valid, violation or inconclusive |
//! | [`model`] | an exhaustive search over the lock's own state machines on a simulated kernel |
//! | [`cli`] | the commands, their options and their exit codes |
//! | `supervisor`, `crew`, `nemesis` | one run: the loop, its worker processes, and the faults |
//! | `groups` | where the workers live: processes, namespaces, containers; and the janitor |
//! | `sabotage` | the faults that are done to the directory, the disk and the clock |
//! | `worker`, `peers` | one worker process, and the locks that it can use |
//! | `crashpoints` | a kill and a failure at every system call of an acquire and a release |
//! | `check` | the search over the protocol as a command: a catalogue of mixes, what happens without each step |
//! | `telemetry` | spans of supervisor and workers, where the environment asks for them |
//! | `judge`, `listing` | a kept history judged again, or printed |
//! | `figures`, `timeline` | numbers and pictures of a run, collected while its history is read |
//! | `report`, `progress` | how people and build servers see them |
//! | `outlet` | standard output for verdicts |
//! | `replay` | the plan of an earlier run, to be run again |
//! | `selftest` | whether this tool catches what it is there to catch |
//!
//! The feature `tool`, on by default, is everything but [`model`], which is code alone and builds in seconds: a fuzz target needs
//! no more.
//!
//! Not here: anything that trusts the lock under test. Only `peers` and `model` import it, and only `telemetry` its exporter.

#[cfg(feature = "tool")]
pub mod cli;
#[cfg(feature = "tool")]
pub mod fault;
#[cfg(feature = "tool")]
pub mod history;
pub mod model;
#[cfg(feature = "tool")]
pub mod oracle;
#[cfg(feature = "tool")]
pub mod verdict;

#[cfg(feature = "tool")]
mod check;
#[cfg(feature = "tool")]
mod clock;
#[cfg(feature = "tool")]
mod crashpoints;
#[cfg(feature = "tool")]
mod crew;
#[cfg(feature = "tool")]
mod figures;
#[cfg(feature = "tool")]
mod groups;
#[cfg(feature = "tool")]
mod judge;
#[cfg(feature = "tool")]
mod listing;
#[cfg(feature = "tool")]
mod nemesis;
#[cfg(feature = "tool")]
mod options;
#[cfg(feature = "tool")]
mod outlet;
#[cfg(feature = "tool")]
mod peers;
#[cfg(feature = "tool")]
mod progress;
#[cfg(feature = "tool")]
mod replay;
#[cfg(feature = "tool")]
mod report;
#[cfg(feature = "tool")]
mod run_dir;
#[cfg(feature = "tool")]
mod sabotage;
#[cfg(feature = "tool")]
mod selftest;
#[cfg(feature = "tool")]
mod supervisor;
#[cfg(feature = "tool")]
mod telemetry;
#[cfg(feature = "tool")]
mod timeline;
#[cfg(feature = "tool")]
mod topology;
#[cfg(feature = "tool")]
mod worker;
