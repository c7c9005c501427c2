//! Compares what operations of the lock cost with what is recorded: instructions, system calls, allocations. Never a time.
//!
//! `costs PROGRAM WITHOUT_SPANS RECORD [--record]`: the program `operation`, the same without spans, and the file. `.ci/costs`
//! builds them and starts this. Exit codes: 0 as recorded, 1 something differs, 255 it could not be measured.

#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]
#![expect(clippy::print_stdout, reason = "a program prints")]

mod allocations;
mod instructions;
mod record;
mod system_calls;

use instructions::Instructions;
use record::{Costs, Record, percent, shown};
use session_lock_costs::{OPERATIONS, Operation};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::hash::Hash;
use std::path::Path;
use std::process::{Command, ExitCode};

type Failure = Box<dyn Error>;

/// The operation that the controls are done on, and what there is without spans.
const UNCONTENDED: &str = "uncontended";
/// What spans may cost that nobody listens to.
const SPANS_PERCENT: f64 = 2.0;

/// The tools that there are.
struct Tools {
    strace: bool,
    valgrind: bool,
}

/// What was measured, in the order of the operations.
struct Row {
    operation: &'static str,
    part: &'static str,
    costs: Costs,
    libraries: Option<u64>,
}

impl Row {
    fn key(&self) -> String {
        format!("{}: {}", self.operation, self.part)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = match args.as_slice() {
        [program, without_spans, file] => check(Path::new(program), Path::new(without_spans), Path::new(file)),
        [program, _, file, "--record"] => record(Path::new(program), Path::new(file)),
        _ => {
            eprintln!("usage: costs PROGRAM WITHOUT_SPANS RECORD [--record]");
            return ExitCode::from(254);
        }
    };
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("costs: {failure}");
            ExitCode::from(255)
        }
    }
}

/// Whether all is as recorded, and would be noticed if it were not.
fn check(program: &Path, without_spans: &Path, file: &Path) -> Result<bool, Failure> {
    let recorded: Record = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let mut tools = Tools::find();
    let (compiler, architecture) = (compiler()?, std::env::consts::ARCH);
    if tools.valgrind && (recorded.compiler != compiler || recorded.architecture != architecture) {
        println!(
            "SKIPPED: instructions: recorded for {} on {}, this is {compiler} on {architecture}",
            recorded.compiler, recorded.architecture
        );
        tools.valgrind = false;
    }
    let measured = measure(program, &tools)?;
    print_table(&measured, &recorded);
    let mut faults = differences(&measured, &recorded);
    if !faults.is_empty() {
        faults.push("If that is what the change is for: .ci/costs --record, and commit the file.".to_owned());
    }
    if tools.valgrind {
        faults.extend(spans(&measured, without_spans)?);
    }
    faults.extend(controls(&measured, program, &tools)?);
    for fault in &faults {
        println!("{fault}");
    }
    Ok(faults.is_empty())
}

fn record(program: &Path, file: &Path) -> Result<bool, Failure> {
    let tools = Tools::find();
    if !tools.strace || !tools.valgrind {
        return Err("a record is made of all figures, or not at all".into());
    }
    let measured = measure(program, &tools)?;
    let costs = measured.iter().map(|row| (row.key(), row.costs.clone())).collect();
    let record = Record { compiler: compiler()?, architecture: std::env::consts::ARCH.to_owned(), costs };
    print_table(&measured, &record);
    std::fs::write(file, serde_json::to_string_pretty(&record)? + "\n")?;
    Ok(true)
}

impl Tools {
    fn find() -> Self {
        let find = |tool: &str, counts: &str| {
            let found = output(&[tool, "--version"]);
            match &found {
                Ok(version) => println!("{}", version.lines().next().unwrap_or_default()),
                Err(_) => println!("SKIPPED: {counts}: {tool} cannot be run"),
            }
            found.is_ok()
        };
        Self { strace: find("strace", "system calls"), valgrind: find("valgrind", "instructions") }
    }
}

fn measure(program: &Path, tools: &Tools) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for operation in &OPERATIONS {
        rows.append(&mut measure_one(operation, program, tools)?);
    }
    Ok(rows)
}

fn measure_one(operation: &Operation, program: &Path, tools: &Tools) -> Result<Vec<Row>, Failure> {
    let calls = tools.strace.then(|| system_calls::count(operation, program, &[])).transpose()?;
    let compared = !operation.reads_the_machine;
    let counted = compared && tools.valgrind;
    let instructions = counted.then(|| instructions::count(operation, program, &[])).transpose()?;
    let allocations = allocations::count(operation, program, false);
    let row = |(index, part): (usize, &&'static str)| {
        let Instructions { own, libraries } = instructions.as_ref().map(|of| of[index]).unwrap_or_default();
        let (allocations, bytes) = allocations[index];
        let costs = Costs {
            instructions: counted.then_some(own),
            allocations: compared.then_some(allocations),
            bytes: compared.then_some(bytes),
            system_calls: calls.as_ref().map(|of| of[index].clone()),
        };
        Row { operation: operation.name, part, costs, libraries: counted.then_some(libraries) }
    };
    Ok(operation.parts.iter().enumerate().map(row).collect())
}

fn differences(measured: &[Row], recorded: &Record) -> Vec<String> {
    let mut left: BTreeMap<&String, &Costs> = recorded.costs.iter().collect();
    let mut faults = Vec::new();
    for row in measured {
        let key = row.key();
        let recorded = left.remove(&key).cloned().unwrap_or_default();
        faults.extend(row.costs.differences(&recorded).into_iter().map(|difference| format!("{key}: {difference}")));
    }
    faults.extend(left.keys().map(|key| format!("{key}: recorded, and not measured any more")));
    faults
}

/// What the spans cost that nobody listens to, in the whole of an acquire and a release.
fn spans(measured: &[Row], without_spans: &Path) -> Result<Option<String>, Failure> {
    let without: u64 = instructions::count(uncontended(), without_spans, &[])?.iter().map(|part| part.own).sum();
    let with =
        measured.iter().filter(|row| row.operation == UNCONTENDED).filter_map(|row| row.costs.instructions).sum();
    let more = percent(with, without);
    println!(
        "spans without a subscriber: {with} instructions of an acquire and a release, {without} without: {more:+.1} %"
    );
    Ok((more > SPANS_PERCENT).then(|| format!("spans without a subscriber: more than {SPANS_PERCENT} %")))
}

/// Adds something to each part of an operation, and demands that this differs from what was measured without.
fn controls(measured: &[Row], program: &Path, tools: &Tools) -> Result<Vec<String>, Failure> {
    let operation = uncontended();
    let measured: Vec<&Costs> =
        measured.iter().filter(|row| row.operation == operation.name).map(|row| &row.costs).collect();
    let mut faults = Vec::new();
    let mut control = |name: &str, costs: Vec<Costs>| {
        let noticed = costs.iter().zip(&measured).all(|(with, without)| !with.differences(without).is_empty());
        println!("control, {name}: {}", if noticed { "noticed" } else { "NOT NOTICED" });
        if !noticed {
            faults.push(format!("the control, {name}, must differ and does not"));
        }
    };
    let allocations = allocations::count(operation, program, true).into_iter();
    let costs = |(allocations, _)| Costs { allocations: Some(allocations), ..Costs::default() };
    control("one more allocation", allocations.map(costs).collect());
    if tools.strace {
        let calls = system_calls::count(operation, program, &["system-call"])?.into_iter();
        let costs = |calls| Costs { system_calls: Some(calls), ..Costs::default() };
        control("one more system call", calls.map(costs).collect());
    }
    if tools.valgrind {
        // A turn has at least three instructions, so this is more than 5 % of the longest part.
        let turns = measured.iter().filter_map(|costs| costs.instructions).max().unwrap_or(0) / 50;
        let instructions = instructions::count(operation, program, &[&turns.to_string()])?.into_iter();
        let costs = |counted: Instructions| Costs { instructions: Some(counted.own), ..Costs::default() };
        control("5 % more instructions", instructions.map(costs).collect());
    }
    Ok(faults)
}

fn uncontended() -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.name == UNCONTENDED).expect("it is one of them")
}

fn print_table(measured: &[Row], recorded: &Record) {
    let none = Costs::default();
    println!(
        "\n{:24} {:>12} {:>9} {:>9} {:>9} {:>12} {:>9} {:>7}",
        "", "instructions", "recorded", "", "libraries", "allocations", "recorded", "bytes"
    );
    for row in measured {
        let (costs, recorded) = (&row.costs, recorded.costs.get(&row.key()).unwrap_or(&none));
        let more = costs.instructions.zip(recorded.instructions);
        println!(
            "{:24} {:>12} {:>9} {:>9} {:>9} {:>12} {:>9} {:>7}",
            row.key(),
            shown(costs.instructions),
            shown(recorded.instructions),
            more.map_or_else(String::new, |(measured, recorded)| format!("{:+.1} %", percent(measured, recorded))),
            shown(row.libraries),
            shown(costs.allocations),
            shown(recorded.allocations),
            shown(costs.bytes),
        );
        let calls = costs.system_calls.as_deref().unwrap_or("-");
        println!("    {}", if calls.is_empty() { "no system call" } else { calls });
    }
    println!();
    for operation in &OPERATIONS {
        println!("{:14} {}", operation.name, operation.what);
    }
    println!();
}

fn compiler() -> Result<String, Failure> {
    // "rustc 1.95.0 (59807616e 2026-04-14)": a distribution's own build says so behind the date.
    Ok(output(&["rustc", "--version"])?.trim().to_owned())
}

/// The output of a command, which has to end well, and soon.
fn output(command: &[&str]) -> Result<String, Failure> {
    let output = Command::new("timeout").args(["--kill-after=5s", "60s"]).args(command).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(10).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!("{}: {}\n{}", command.join(" "), output.status, last.join("\n")).into())
}

/// Of several, the first.
fn most_frequent<T: Eq + Hash + Clone>(all: impl Iterator<Item = T>) -> T {
    let mut counts: HashMap<T, (usize, usize)> = HashMap::new();
    for (index, value) in all.enumerate() {
        counts.entry(value).or_insert((0, usize::MAX - index)).0 += 1;
    }
    counts.into_iter().max_by_key(|(_, counted)| *counted).expect("there are rounds").0
}
