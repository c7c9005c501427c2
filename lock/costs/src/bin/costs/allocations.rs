//! Allocations of a part: how many, and of how many bytes. Those of the thread that does it; a growth counts as one more.

use crate::most_frequent;
use session_lock_costs::{Meter, Operation, Place};
use std::path::Path;

const ROUNDS: u32 = 25;

/// How many, and of how many bytes.
pub(crate) type Allocations = (u64, u64);

struct Counter {
    /// What a control adds.
    extra: bool,
    counted: Vec<Allocations>,
}

impl Meter for Counter {
    fn part(&mut self, _: &'static str, run: &mut dyn FnMut()) {
        let counted = allocation_counter::measure(|| {
            run();
            if self.extra {
                drop(std::hint::black_box(Box::new(0)));
            }
        });
        self.counted.push((counted.count_total, counted.bytes_total));
    }
}

/// Of each part. What is seen most often counts: now and then a table grows.
pub(crate) fn count(operation: &Operation, program: &Path, extra: bool) -> Vec<Allocations> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut counter = Counter { extra, counted: Vec::new() };
    Place::new(dir.path(), program.to_owned()).run(operation, ROUNDS, &mut counter);
    let parts = operation.parts.len();
    (0..parts).map(|part| most_frequent(counter.counted.iter().skip(part).step_by(parts).copied())).collect()
}
