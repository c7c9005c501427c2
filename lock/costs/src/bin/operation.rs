//! Does an operation some times, so that others can count what its parts cost: `operation NAME ROUNDS DIR [EXTRA]`.
//!
//! One part of each round is counted, in turn: what is due every few milliseconds must not come due because counting another
//! part took its time. It runs within [`counted`], which callgrind is told to count, and between two system calls that name
//! it, which strace shows. `operation hold DIR` holds the lock for another process to meet.
//!
//! The counting allocator is not in here, because its instructions would be counted.

use session_lock_costs::{Meter, OPERATIONS, Place, hold};
use std::hint::black_box;
use std::path::Path;

/// What a control adds to each part, to be noticed.
#[derive(Clone, Copy)]
enum Extra {
    Nothing,
    /// One that the lock does not make.
    SystemCall,
    /// So many turns of a loop.
    Turns(u32),
}

impl Extra {
    fn new(argument: &str) -> Self {
        match argument {
            "system-call" => Self::SystemCall,
            turns => Self::Turns(turns.parse().expect("system-call, or a number")),
        }
    }

    fn add(self) {
        match self {
            Self::Nothing => {}
            Self::SystemCall => assert!(black_box(std::fs::metadata("/")).is_ok()),
            Self::Turns(turns) => (0..turns).for_each(|turn| {
                black_box(turn);
            }),
        }
    }
}

/// Callgrind knows it by its name.
#[inline(never)]
fn counted(extra: Extra, run: &mut dyn FnMut()) {
    run();
    extra.add();
}

struct Marks {
    extra: Extra,
    /// Parts of a round.
    parts: usize,
    /// Parts that have been, counted or not.
    done: usize,
}

impl Meter for Marks {
    fn part(&mut self, name: &'static str, run: &mut dyn FnMut()) {
        let (round, part) = (self.done / self.parts, self.done % self.parts);
        self.done += 1;
        if round % self.parts == part {
            mark(name);
            counted(self.extra, run);
            mark("end");
        } else {
            run();
        }
    }
}

/// Looks at a path that no file has: a system call that shows its argument, and changes nothing.
fn mark(name: &str) {
    assert!(std::fs::metadata(format!("/dev/null/costs/{name}")).is_err());
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["hold", dir] => hold(Path::new(dir)),
        [name, rounds, dir, extra @ ..] => {
            let operation = OPERATIONS.iter().find(|operation| operation.name == *name).expect("an operation's name");
            let rounds = rounds.parse().expect("a number");
            let extra = extra.first().map_or(Extra::Nothing, |extra| Extra::new(extra));
            let place = Place::new(Path::new(dir), std::env::current_exe().expect("this program"));
            place.run(operation, rounds, &mut Marks { extra, parts: operation.parts.len(), done: 0 });
        }
        _ => panic!("usage: operation NAME ROUNDS DIR [EXTRA]"),
    }
}
