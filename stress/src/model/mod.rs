//! An exhaustive search over the real protocol.
//!
//! The machines of [`session_lock::protocol`] run here as they run in production; only the kernel under them is
//! simulated. A [`Scenario`] says who takes part and what may go wrong, [`search()`] visits every state that can come
//! of it, breadth first, and the [`Outcome`] is that every [`Property`] holds, the shortest [`Counterexample`], or
//! that the bound was hit, which proves nothing.
//!
//! | Part | What it is |
//! |---|---|
//! | `scenario` | who takes part, which faults, which [`Ablation`] |
//! | `property` | what must hold, with the exceptions that are inherent |
//! | `kernel` | the claim's path, inodes with reused numbers, arbiters |
//! | `process`, `older` | the actors: a process of this crate around its machines; an ideal older peer |
//! | `world`, `effect` | one state, its moves and what they do |
//! | `search` | the breadth-first search; `fingerprint` is how it recognises a state |
//! | `trace` | a counterexample as text, one system call a line |
//!
//! # The simulated kernel
//!
//! - A file is its inode number. The lowest number that is free is given out, and a number is free once nothing
//!   links, opens or pins it: a machine that remembers a number without a pin is fooled as soon as possible.
//! - A process keeps its first claim as a spare, which is a file with a second name: it stays open and locked between two
//!   holds, its number is not free, and it comes back at the path. Killed, its owner leaves it unlocked until it is taken
//!   over where it is the claim, and until it is swept, which may happen at any moment.
//! - A system call and its caller's learning of the result are two moves, and anybody may act between them.
//! - A wait may end early at any moment. A grace ends only when every older peer that had closed its claim when the
//!   grace began has unlinked it or died: that is all that is asked of the grace's length.
//! - SIGKILL closes everything a process has open at once. In which order makes no difference to the properties:
//!   a dead process holds nothing, and what is still locked only delays others.
//!
//! # What is not here
//!
//! Time, except for the grace. Answers that the kernel refuses (`Unknown`): they lead to a wait, which may end at any
//! moment anyway. The queue inside one process: it lets one machine at a time run for a session, as here.
//!
//! What a process holds is kept with the process and not with the file, so that two processes of this crate that
//! swapped places make the same state and are visited once.

mod effect;
mod fingerprint;
mod kernel;
mod older;
mod process;
mod property;
mod scenario;
mod search;
mod trace;
mod world;

pub use property::Property;
pub use scenario::{Ablation, Leftover, Scenario};
pub use search::{Outcome, Progress, Verdict, search, search_watched};
pub use trace::{Counterexample, Line};
