//! An exhaustive search over the real protocol.
//!
//! The machines of [`session_lock::protocol`] run here as they run in production; only the kernel under them is
//! simulated. A [`Scenario`] says who takes part and what may go wrong, [`search()`] visits every state that can come
//! of it, breadth first, and the [`Outcome`] is that every [`Property`] holds, the shortest [`Counterexample`], or
//! that the bound was hit, which proves nothing.
//!
//! | Part | What it is |
//! |---|---|
//! | `scenario`, `mix` | who takes part and which faults; the catalogue |
//! | `ablation` | what can be left out, and where that shows |
//! | `property` | what must hold, with the exceptions that are inherent |
//! | `kernel` | the claim's path, inodes with reused numbers, arbiters |
//! | `process` | a task of a process of this crate around its machines |
//! | `peer` | older peers and known-broken locks, as programs |
//! | `control` | the known-broken locks, each in the scenario that shows what is broken |
//! | `thief` | what holds beside older peers that judge by pid |
//! | `world`, `homes`, `moves`, `effect` | one state, what can happen next, and what that does |
//! | `search` | the breadth-first search; `canonical`, `fingerprint` and `visited` are how it recognises a state |
//! | `finish` | whether everybody can finish |
//! | [`script`] | any acts in any order, for the test that holds the simulated kernel to the real one |
//! | `schedule` | one order of moves, chosen by bytes |
//! | `trace`, `replay` | a counterexample as text, one system call a line; saved and played again |
//!
//! # The simulated kernel
//!
//! - A file is its inode number. The lowest number that is free is given out, and a number is free once nothing
//!   links, opens or pins it: a machine that remembers a number without a pin is fooled as soon as possible.
//! - A process keeps its first claim as a spare, which is a file with a second name: it stays open and locked between two
//!   holds, its number is not free, and it comes back at the path. Killed, its owner leaves it unlocked until it is taken
//!   over where it is the claim, and until it is swept, which may happen at any moment.
//! - Several tasks of one process take turns, in any order. They share the arbiter's description, which does not exclude
//!   itself, the spare and their death; an unlock by one is an unlock for all.
//! - An acquire that is cancelled or fails closes what it has open between any two of its operations.
//! - A sweeper is a process that releases what it acquires at once, and gives up where it would have to wait for somebody.
//! - A reader keeps an inode's number from reuse and disturbs nobody else: a read lease is granted beside it.
//! - A system call and its caller's learning of the result are two moves, and anybody may act between them; see
//!   [`Learning`] for when the two are done as one.
//! - A wait may end early at any moment. A grace ends only when every older peer that had closed its claim when the
//!   grace began has unlinked it or died: that is all that is asked of the grace's length.
//! - SIGKILL closes everything a process has open at once. In which order makes no difference to the properties:
//!   a dead process holds nothing, and what is still locked only delays others.
//!
//! # What is not here
//!
//! Time, except for the grace. Pids: this crate trusts none, so a process that starts in a killed one's place may have its
//! pid or not. First come first served: any task may be next, which is more than the queue allows.
//!
//! What a process holds is kept with the process and not with the file, so that two processes of this crate that
//! swapped places make the same state and are visited once.

mod ablation;
mod canonical;
mod control;
mod effect;
mod fingerprint;
mod finish;
mod homes;
mod kernel;
mod mix;
mod moves;
mod peer;
mod process;
mod property;
mod replay;
mod scenario;
mod schedule;
pub mod script;
mod search;
mod thief;
mod trace;
mod visited;
mod world;

pub use ablation::Ablation;
pub use control::Control;
pub use mix::{Mix, Suite};
pub use peer::{Identity, Part, Position, Program};
pub use property::Property;
pub use replay::{Replayed, replay};
pub use scenario::{Learning, Leftover, Scenario};
pub use schedule::Schedule;
pub use search::{Outcome, Progress, Verdict, Watched, search, search_watched};
pub use trace::{Counterexample, Line};
