//! Instructions of a part, by callgrind.
//!
//! Those of the program itself are compared. Those of the C library are only shown: they are another machine's as soon as the
//! library is another one, and most are malloc's, where they depend on what was freed before; allocations are counted for that.
//!
//! Callgrind counts exactly, but a table's probes depend on random keys, so there are several processes, each of which has its
//! own keys; and on a slow or busy machine more comes due, which only ever adds. So the lower quartile of all rounds counts.

use crate::{Failure, output};
use session_lock_costs::Operation;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const PROCESSES: u32 = 2;
/// For each part.
const ROUNDS: usize = 15;
const COUNTED: &str = "operation::counted";

/// Of the program, and of its libraries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Instructions {
    pub(crate) own: u64,
    pub(crate) libraries: u64,
}

/// Of each part.
pub(crate) fn count(operation: &Operation, program: &Path, extra: &[&str]) -> Result<Vec<Instructions>, Failure> {
    let mut rounds = Vec::new();
    for _ in 0..PROCESSES {
        rounds.append(&mut process(operation, program, extra)?);
    }
    let parts = operation.parts.len();
    let usual = |part, which: fn(&Instructions) -> u64| {
        lower_quartile(rounds.iter().skip(part).step_by(parts).map(which).collect())
    };
    Ok((0..parts)
        .map(|part| Instructions { own: usual(part, |it| it.own), libraries: usual(part, |it| it.libraries) })
        .collect())
}

/// Of the parts in turn.
fn process(operation: &Operation, program: &Path, extra: &[&str]) -> Result<Vec<Instructions>, Failure> {
    let (dir, locks) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let dumps = dir.path().join("dump");
    let to = [("toggle-collect", COUNTED), ("dump-after", COUNTED), ("callgrind-out-file", &dumps.to_string_lossy())]
        .map(|(option, value)| format!("--{option}={value}"));
    let count = operation.parts.len() * ROUNDS;
    // As the dump names it.
    let program = program.canonicalize()?;
    let (rounds, locks, program) = (count.to_string(), locks.path().to_string_lossy(), program.to_string_lossy());
    let mut command = vec!["valgrind", "--tool=callgrind"];
    command.extend(to.iter().map(String::as_str));
    command.extend([&*program, operation.name, &*rounds, &*locks]);
    command.extend(extra);
    output(&command)?;
    // It numbers them from 1, in order. The one without a number is of the end.
    let dump = |number| PathBuf::from(format!("{}.{number}", dumps.display()));
    (1..=count).map(|number| Ok(costs(&std::fs::read_to_string(dump(number))?, &program))).collect()
}

/// Sums a dump: <https://valgrind.org/docs/manual/cl-format.html>. What a call costs is in there twice, under who calls and
/// under who is called.
fn costs(dump: &str, program: &str) -> Instructions {
    let mut costs = Instructions::default();
    let mut names = HashMap::new();
    let (mut own, mut of_call) = (false, false);
    for line in dump.lines() {
        if let Some((which @ ("" | "c"), object)) = line.split_once("ob=") {
            let (number, name) = object.split_once(' ').unwrap_or((object, ""));
            let known = names.entry(number).or_insert(name);
            // "cob=" is the object of who is called.
            if which.is_empty() {
                own = *known == program;
            }
        } else if line.starts_with("calls=") {
            of_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or(0);
            match (std::mem::take(&mut of_call), own) {
                (true, _) => {}
                (false, true) => costs.own += cost,
                (false, false) => costs.libraries += cost,
            }
        }
    }
    costs
}

fn lower_quartile(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 4]
}

#[cfg(test)]
mod tests {
    use super::{Instructions, costs, lower_quartile};

    #[test]
    fn a_dump_is_what_its_lines_cost_without_those_of_calls() {
        let dump = "version: 1\nevents: Ir\n\nob=(1) /x/operation\nfl=(1) a.rs\nfn=(1) counted\n10 5\ncob=(2) /lib/libc.so\n\
            cfn=(2) malloc\ncalls=1 0\n+2 70\n* 3\n\nob=(2)\nfn=(2)\n0 70\n\nob=(1)\nfn=(3) run\n-4 9\ntotals: 87\n";
        assert_eq!(costs(dump, "/x/operation"), Instructions { own: 17, libraries: 70 });
    }

    #[test]
    fn what_happens_in_most_rounds_but_not_in_all_is_not_counted() {
        assert_eq!(lower_quartile(vec![900, 10, 12, 40, 9, 50, 40, 60]), 12);
    }
}
