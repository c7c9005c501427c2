//! The gate: where groups come in that somebody else starts, such as the containers of a compose file. None of them has the
//! engine's socket, and neither has the supervisor.
//!
//! For each group a *porter*, a process of the supervisor's, waits at a socket in the run directory, `gate/<group>`. Whoever
//! [joins](join) is told the command line of a group process, starts it, and leaves the connection to it: what the porter hears
//! from the supervisor goes through to the group's input, and its output comes back. The end of either is the end of both.
//!
//! Who joins sees the run directory at the same path.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// What the supervisor tells a porter that it starts.
#[derive(Debug, Args)]
pub(crate) struct PorterOptions {
    /// The socket to wait at
    #[arg(long)]
    at: PathBuf,
    /// The command line of the group process
    #[arg(last = true, required = true)]
    words: Vec<String>,
}

/// Whose groups to be.
#[derive(Debug, Args)]
pub(crate) struct JoinOptions {
    /// The run directory, at the path that the run knows it by; it need not be there yet
    dir: PathBuf,
}

/// The gates of a run.
pub(crate) fn gates(dir: &Path) -> PathBuf {
    dir.join("gate")
}

/// The command line of a porter.
pub(crate) fn porter(gate: &Path, words: &[String]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("stress").arg("porter").arg("--at").arg(gate).arg("--").args(words);
    command
}

/// The whole life of a porter.
pub(crate) fn wait_for_group(options: &PorterOptions) -> anyhow::Result<()> {
    set_name(c"stress-porter")?;
    set_pdeathsig(Signal::SIGKILL)?;
    let place = options.at.display();
    let listener = UnixListener::bind(&options.at).with_context(|| format!("cannot wait for a group at {place}"))?;
    // Whoever started this may give up before anybody comes.
    let stdin = io::stdin();
    let mut either = [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::empty())];
    poll(&mut either, PollTimeout::NONE)?;
    if either[0].any() != Some(true) {
        return Ok(());
    }
    let (mut group, _) = listener.accept().with_context(|| format!("no group can come in at {place}"))?;
    // One only: another that has knocked hears the end, and tries the next gate.
    drop(listener);
    fs::remove_file(&options.at).with_context(|| format!("cannot close the gate {place}"))?;
    serde_json::to_writer(&group, &options.words)?;
    group.write_all(b"\n")?;
    let mut orders = group.try_clone()?;
    thread::spawn(move || {
        // Whichever end is gone, the group hears no more.
        io::copy(&mut io::stdin(), &mut orders).ok();
        orders.shutdown(Shutdown::Write).ok();
    });
    io::copy(&mut group, &mut io::stdout())?;
    Ok(())
}

/// How often a gate is looked for, and the dead are reaped.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Is a group of one run after another, until it is interrupted. The first process of a PID namespace may live so: it reaps
/// whom others leave behind.
pub(crate) fn join(options: &JoinOptions, interrupted: &AtomicBool) -> anyhow::Result<()> {
    set_name(c"stress-join")?;
    let gates = gates(&options.dir);
    writeln!(io::stderr(), "waiting for runs in {}", options.dir.display()).ok();
    let mut group = None;
    while !interrupted.load(Ordering::Relaxed) {
        if group.is_none()
            && let Some((gate, words)) = knock(&gates)
        {
            group = Some(lead(gate, &words)?);
        }
        while let Some(gone) = reaped()? {
            if group == Some(gone) {
                writeln!(io::stderr(), "a run has ended").ok();
                group = None;
            }
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// The first gate that lets us in, and what we are told there.
fn knock(gates: &Path) -> Option<(UnixStream, Vec<String>)> {
    let mut found: Vec<_> = fs::read_dir(gates).ok()?.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found.iter().find_map(|gate| {
        let stream = UnixStream::connect(gate).ok()?;
        let words = serde_json::from_slice(&line(&stream).ok()?).ok()?;
        Some((stream, words))
    })
}

/// The first line, and nothing of what follows it: that is the group's.
fn line(mut stream: &UnixStream) -> io::Result<Vec<u8>> {
    const LONGEST: usize = 64 * 1024;
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < LONGEST {
        stream.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return Ok(line);
        }
        line.extend(byte);
    }
    Err(io::Error::other("a line without an end"))
}

fn lead(gate: UnixStream, words: &[String]) -> anyhow::Result<Pid> {
    ensure!(
        words.first().is_some_and(|word| word == "group"),
        "a gate asked for something else than a group: {words:?}"
    );
    writeln!(io::stderr(), "joined a run").ok();
    let input = OwnedFd::from(gate.try_clone()?);
    let mut command = Command::new("/proc/self/exe");
    command.arg0("stress").args(words).stdin(input).stdout(OwnedFd::from(gate)).process_group(0);
    let group = command.spawn().context("cannot start a group")?;
    Ok(Pid::from_raw(i32::try_from(group.id())?))
}

/// A child that was gone, if there was one.
fn reaped() -> anyhow::Result<Option<Pid>> {
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Ok(status) => Ok(status.pid()),
        Err(Errno::ECHILD | Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno).context("cannot reap"),
    }
}
