//! Holds the simulated kernel of the model checker to the real one: the same scripts on both must come to the same.
//!
//! The real side is the crate's own driver, on the file systems of the target directory (ext4, if that is) and of /dev/shm
//! (tmpfs). Each process of a script has descriptions of its own, most of them inside this process, which is fast; the
//! scripts of `processes` are played both so and with processes of their own, which die by SIGKILL. Where the sides
//! part, the script is shrunk and printed with both answers. What was ever found stands in `found.txt` and is played first.
//!
//! `cargo test` plays some thousand scripts. The long run, meant for build servers, takes some four minutes of processor
//! time:
//!
//! ```sh
//! cargo test --release -p session-lock-stress --test conformance -- --scripts 100000
//! ```
//!
//! `--seed N` begins with the script of that number; `--scripts 1 --seed N` is that script alone. Without it the first number
//! is random, and printed.
#![expect(clippy::print_stdout, reason = "no libtest prints for it, and its processes talk by their output")]

mod compare;
mod coverage;
mod player;
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, TMPFS_MAGIC, statfs};
use session_lock_stress::model::Ablation;
use session_lock_stress::model::script::{Script, random};

use compare::{play, shrink};
use coverage::Coverage;
use player::Kind;
use stage::Stage;

type Check = fn(&Options) -> Result<()>;

const CHECKS: &[(&str, Check)] = &[
    ("what_was_found_stays_mended", what_was_found_stays_mended),
    ("random_scripts_agree", random_scripts_agree),
    ("processes_agree_as_descriptions_do", processes_agree_as_descriptions_do),
    ("a_kernel_that_lies_is_found_out", a_kernel_that_lies_is_found_out),
];

/// Scripts on each file system in `cargo test`.
const SCRIPTS: u64 = 3_000;
/// One script in so many is also played by processes of their own.
const PROCESSES_ONE_IN: u64 = 20;
/// A lie must show in one of so many scripts.
const LIE_BOUND: u64 = 50_000;

struct Options {
    scripts: u64,
    seed: u64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, dir] = args.as_slice()
        && word == player::WORD
    {
        return match player::run(dir) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.into()),
        };
    }
    if args.iter().any(|arg| arg == "--list") {
        for (name, _) in CHECKS {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    match Options::parse(&args) {
        Ok((options, filter)) => run(&options, filter.as_deref()),
        Err(error) => fail(&error),
    }
}

impl Options {
    /// With the filter that `cargo test` passes on. What else it passes on is libtest's.
    fn parse(args: &[String]) -> Result<(Self, Option<String>)> {
        let mut options = Self { scripts: SCRIPTS, seed: fastrand::u64(..1_000_000_000) };
        let mut filter = None;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut number = || args.next().context("a number is missing")?.parse().context(arg.clone());
            match arg.as_str() {
                "--scripts" => options.scripts = number()?,
                "--seed" => options.seed = number()?,
                name if !name.starts_with('-') => filter = Some(name.to_owned()),
                _ => {}
            }
        }
        Ok((options, filter))
    }
}

fn run(options: &Options, filter: Option<&str>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for (name, check) in CHECKS.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter))) {
        println!("{name}, from seed {}", options.seed);
        match check(options) {
            Ok(()) => println!("    ok"),
            Err(error) => code = fail(&error),
        }
    }
    code
}

fn fail(error: &anyhow::Error) -> ExitCode {
    println!("    FAILED: {error:#}");
    ExitCode::FAILURE
}

fn what_was_found_stays_mended(_: &Options) -> Result<()> {
    let mut count = 0;
    for (_, parent) in file_systems() {
        for kind in [Kind::Inside, Kind::Process] {
            let mut stage = Stage::new(&parent, kind)?;
            // The first paragraph says what the file is.
            for text in include_str!("found.txt").split("\n\n").skip(1) {
                let script: Script = text.parse().with_context(|| text.to_owned())?;
                let played = play(&script, None, &mut stage)?;
                ensure!(played.difference.is_none(), "{}, {kind:?}:\n{played}", parent.display());
                ensure!(played.script() == script, "not all of it is legal:\n{script}");
                count += 1;
            }
        }
    }
    ensure!(count > 0, "nothing was played");
    Ok(())
}

fn random_scripts_agree(options: &Options) -> Result<()> {
    for (file_system, parent) in file_systems() {
        let begun = Instant::now();
        let coverage = agree(options, options.scripts, &parent, Kind::Inside)?;
        println!("    {file_system}: {}\n{coverage}", figures(&coverage, begun));
        let missing = coverage.missing();
        ensure!(missing.is_empty() || options.scripts < SCRIPTS, "never happened: {}", missing.join(", "));
    }
    Ok(())
}

/// The same scripts by descriptions of this process and by processes, with the same answers: descriptions may stand for
/// processes in all the others.
fn processes_agree_as_descriptions_do(options: &Options) -> Result<()> {
    let scripts = options.scripts.div_ceil(PROCESSES_ONE_IN);
    for (file_system, parent) in file_systems() {
        let begun = Instant::now();
        let coverage = agree(options, scripts, &parent, Kind::Process)?;
        println!("    {file_system}: {}\n{coverage}", figures(&coverage, begun));
        agree(options, scripts, &parent, Kind::Inside)?;
    }
    Ok(())
}

/// The ablations of the search are lies of the kernel, as far as they are about what it answers.
fn a_kernel_that_lies_is_found_out(options: &Options) -> Result<()> {
    let mut stage = Stage::new(&shared_memory(), Kind::Inside)?;
    for ablation in Ablation::ALL.iter().copied().filter(|ablation| ablation.changes_an_answer()) {
        let found = (0..LIE_BOUND).find_map(|number| {
            let script = numbered(options.seed + number);
            match play(&script, Some(ablation), &mut stage) {
                Ok(played) => played.difference.is_some().then_some(Ok((number, script))),
                Err(error) => Some(Err(error)),
            }
        });
        let (number, script) =
            found.transpose()?.with_context(|| format!("{ablation:?}: {LIE_BOUND} scripts agree"))?;
        let shrunk = shrink(script, Some(ablation), &mut stage)?;
        println!("    {ablation:?}: script {}, shrunk to {} acts", number + 1, shrunk.lines.len());
    }
    Ok(())
}

/// Plays random scripts on a file system, on all cores.
fn agree(options: &Options, scripts: u64, parent: &Path, kind: Kind) -> Result<Coverage> {
    let lanes = std::thread::available_parallelism()?.get() as u64;
    std::thread::scope(|scope| {
        let lane =
            |lane| move || agree_in_lane(options.seed, (lane..scripts).step_by(usize::try_from(lanes)?), parent, kind);
        let lanes: Vec<_> = (0..lanes).map(|number| scope.spawn(lane(number))).collect();
        let mut coverage = Coverage::default();
        for lane in lanes {
            coverage.merge(lane.join().expect("what panics has said so")?);
        }
        Ok(coverage)
    })
}

fn agree_in_lane(seed: u64, numbers: impl Iterator<Item = u64>, parent: &Path, kind: Kind) -> Result<Coverage> {
    let mut stage = Stage::new(parent, kind)?;
    let mut coverage = Coverage::default();
    for number in numbers {
        let script = numbered(seed + number);
        let played = play(&script, None, &mut stage).with_context(|| format!("seed {}:\n{script}", seed + number))?;
        if played.difference.is_some() {
            let shrunk = shrink(script, None, &mut stage)?;
            bail!("the sides part in {}, {kind:?}, seed {}:\n{shrunk}", parent.display(), seed + number);
        }
        coverage.add(&played);
    }
    Ok(coverage)
}

fn numbered(seed: u64) -> Script {
    random(&mut fastrand::Rng::with_seed(seed))
}

fn figures(coverage: &Coverage, begun: Instant) -> String {
    let Coverage { scripts, acts, operations, .. } = coverage;
    format!("{scripts} scripts, {acts} acts, {operations} operations in {:.1} s", begun.elapsed().as_secs_f32())
}

/// The directories to play in, and what file systems they are on. Says which one is not there.
fn file_systems() -> Vec<(&'static str, PathBuf)> {
    let wanted = [("ext4", PathBuf::from(env!("CARGO_TARGET_TMPDIR"))), ("tmpfs", shared_memory())];
    let found = wanted.into_iter().filter_map(|(wanted, path)| {
        let kind = match statfs(&path).map(|answer| answer.filesystem_type()) {
            Ok(EXT4_SUPER_MAGIC) => "ext4",
            Ok(TMPFS_MAGIC) => "tmpfs",
            Ok(_) => "another file system",
            Err(error) => {
                println!("    skipped: {wanted}: statfs({}): {error}", path.display());
                return None;
            }
        };
        if kind != wanted {
            println!("    skipped: {wanted}: {} is on {kind}, and played as that", path.display());
        }
        Some((kind, path))
    });
    found.collect()
}

fn shared_memory() -> PathBuf {
    PathBuf::from("/dev/shm")
}
