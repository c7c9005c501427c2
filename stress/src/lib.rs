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
//! | [`oracle`] | reads a history once and finds two owners, lost updates and repeated tokens |
//! | [`verdict`] | what follows from the oracle's findings: valid, violation or inconclusive |
//! | [`model`] | an exhaustive search over the lock's own state machines on a simulated kernel |
//! | [`cli`] | the commands, their options and their exit codes |
//! | `supervisor`, `crew`, `nemesis` | one run: the loop, its worker processes, and the faults |
//! | `worker`, `peers` | one worker process, and the locks that it can use |
//! | `telemetry` | spans of supervisor and workers, where the environment asks for them |
//! | `figures`, `report`, `progress`, `selftest` | numbers, and how people see them |
//!
//! Not here: anything that trusts the lock under test. Only `peers` and `model` import it, and only `telemetry` its exporter.

pub mod cli;
pub mod history;
pub mod model;
pub mod oracle;
pub mod verdict;

mod clock;
mod crew;
mod figures;
mod nemesis;
mod options;
mod peers;
mod progress;
mod report;
mod run_dir;
mod selftest;
mod supervisor;
mod telemetry;
mod worker;
