//! System calls of a part, by strace: their names, in order.

use crate::{Failure, most_frequent, output};
use session_lock_costs::Operation;
use std::path::Path;

/// For each part.
const ROUNDS: usize = 21;
/// Not the lock's: where the clock is no page of the kernel's, it is a system call.
const IGNORED: [&str; 2] = ["clock_gettime", "gettimeofday"];
const READS: [&str; 3] = ["read", "pread64", "getdents64"];

/// Of each part. Of all rounds the shortest counts: on a slow or busy machine more comes due, which only ever adds.
pub(crate) fn count(operation: &Operation, program: &Path, extra: &[&str]) -> Result<Vec<String>, Failure> {
    let dir = tempfile::tempdir()?;
    let trace = tempfile::NamedTempFile::new()?;
    let (rounds, locks) = ((ROUNDS * operation.parts.len()).to_string(), dir.path().to_string_lossy());
    let mut command = vec!["strace", "-f", "-qq", "-o"];
    let (trace_path, program) = (trace.path().to_string_lossy(), program.to_string_lossy());
    command.extend([&*trace_path, &*program, operation.name, &*rounds, &*locks]);
    command.extend(extra);
    output(&command)?;
    let rounds = parts(&std::fs::read_to_string(trace.path())?, operation.reads_the_machine);
    if rounds.len() != operation.parts.len() * ROUNDS {
        return Err(format!("{} parts of {} in the trace", rounds.len(), operation.name).into());
    }
    let parts = operation.parts.len();
    Ok((0..parts).map(|part| most_frequent(shortest(rounds.iter().skip(part).step_by(parts)))).collect())
}

fn shortest<'a>(rounds: impl Iterator<Item = &'a String> + Clone) -> impl Iterator<Item = String> {
    let calls = |round: &&String| round.split_whitespace().count();
    let fewest = rounds.clone().map(|round| calls(&round)).min();
    rounds.filter(move |round| Some(calls(round)) == fewest).cloned()
}

/// What the first thread called between two marks, for each pair of them.
fn parts(trace: &str, once: bool) -> Vec<String> {
    let mut parts = Vec::new();
    let mut calls: Option<Vec<&str>> = None;
    let first = trace.split_whitespace().next().unwrap_or_default();
    let of_first = |line: &'_ str| line.split_once(char::is_whitespace).is_some_and(|(thread, _)| thread == first);
    for line in trace.lines().filter(|line| of_first(line)) {
        let call = line[first.len()..].trim_start();
        if call.contains("\"/dev/null/costs/end\"") {
            parts.extend(calls.take().map(|calls| calls.join(" ")));
        } else if call.contains("\"/dev/null/costs/") {
            calls = Some(Vec::new());
        } else if let (Some(calls), Some(name)) = (&mut calls, name(call)) {
            let again = once && READS.contains(&name) && calls.last() == Some(&name);
            if !again && !IGNORED.contains(&name) {
                calls.push(name);
            }
        }
    }
    parts
}

/// Of a line that begins a call. Those of signals, and the second halves of calls that were cut in two, have none.
fn name(call: &str) -> Option<&str> {
    let (name, _) = call.split_once('(')?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{parts, shortest};

    const TRACE: &str = r#"10 execve("/x", ["x"], 0x7f /* 9 vars */) = 0
10    statx(AT_FDCWD, "/dev/null/costs/try", 0, STATX_ALL, 0x7f) = -1 ENOTDIR (Not a directory)
10    fcntl(6, F_OFD_SETLK, {l_type=F_WRLCK} <unfinished ...>
11    ppoll([{fd=4}], 1, NULL, NULL, 8) = 1
10    <... fcntl resumed>)              = 0
10    read(7, "a(b", 3)                  = 3
10    read(7, "", 3)                    = 0
10    clock_gettime(CLOCK_MONOTONIC, {}) = 0
10    --- SIGCHLD {si_signo=SIGCHLD} ---
10    statx(AT_FDCWD, "/dev/null/costs/end", 0, STATX_ALL, 0x7f) = -1 ENOTDIR (Not a directory)
10    close(7)                          = 0
"#;

    #[test]
    fn calls_of_the_first_thread_between_marks_count_in_order() {
        assert_eq!(parts(TRACE, false), ["fcntl read read"]);
        assert_eq!(parts(TRACE, true), ["fcntl read"]);
    }

    #[test]
    fn of_all_rounds_the_shortest_counts() {
        let rounds = ["write lseek prlimit64", "write lseek", "newfstatat fstatfs", "write lseek"].map(str::to_owned);
        assert!(shortest(rounds.iter()).eq(["write lseek", "newfstatat fstatfs", "write lseek"]));
    }

    #[test]
    fn a_part_without_an_end_is_none() {
        let cut = TRACE.split_once("10    close").expect("there").0;
        let cut = cut.rsplit_once("10    statx").expect("there").0;
        assert_eq!(parts(cut, false), [""; 0]);
    }
}
