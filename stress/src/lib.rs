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
//! | `telemetry` | spans of supervisor and workers, where the environment asks for them |
//! | `judge`, `listing` | a kept history judged again, or printed |
//! | `figures`, `timeline` | numbers and pictures of a run, collected while its history is read |
//! | `report`, `progress` | how people and build servers see them |
//! | `outlet` | standard output for verdicts |
//! | `replay` | the plan of an earlier run, to be run again |
//! | `selftest` | whether this tool catches what it is there to catch |
//!
//! Not here: anything that trusts the lock under test. Only `peers` and `model` import it, and only `telemetry` its exporter.

pub mod cli;
pub mod fault;
pub mod history;
pub mod model;
pub mod oracle;
pub mod verdict;

mod clock;
mod crashpoints;
mod crew;
mod figures;
mod groups;
mod judge;
mod listing;
mod nemesis;
mod options;
mod outlet;
mod peers;
mod progress;
mod replay;
mod report;
mod run_dir;
mod sabotage;
mod selftest;
mod supervisor;
mod telemetry;
mod timeline;
mod topology;
mod worker;
