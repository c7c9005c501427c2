//! Does an operation some times, so that another program can count what its parts cost: `operation NAME ROUNDS DIR`.
//!
//! Each part runs within [`counted`], which callgrind counts, and between two system calls that name it, which strace shows.
//! `operation hold DIR` holds the lock for another process to meet.

use session_lock_costs::{Meter, OPERATIONS, Place, hold};
use std::path::Path;

/// What callgrind is told to count. Its name is in `callgrind.rs`.
#[inline(never)]
fn counted(run: &mut dyn FnMut()) {
    run();
    std::hint::black_box(());
}

/// Counts nothing.
struct Idle;

impl Meter for Idle {
    fn part(&mut self, _: &'static str, run: &mut dyn FnMut()) {
        run();
    }
}

struct Marks;

impl Meter for Marks {
    fn part(&mut self, name: &'static str, run: &mut dyn FnMut()) {
        mark(name);
        counted(run);
        mark("end");
    }
}

/// A system call that the lock does not make, with a path that no file has.
fn mark(name: &str) {
    assert!(std::fs::metadata(format!("/dev/null/costs/{name}")).is_err());
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["hold", dir] => hold(Path::new(dir)),
        [name, rounds, dir] => {
            let operation = OPERATIONS.iter().find(|operation| operation.name == *name).expect("an operation's name");
            let rounds: u32 = rounds.parse().expect("a number");
            let place = Place::new(Path::new(dir), std::env::current_exe().expect("this program"));
            for _ in 0..operation.warm_up {
                place.run(operation, &mut Idle);
            }
            for _ in 0..rounds {
                place.run(operation, &mut Marks);
            }
        }
        _ => panic!("usage: operation NAME ROUNDS DIR"),
    }
}
