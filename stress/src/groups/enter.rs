//! The stage: a process that enters namespaces and starts a group process in them.
//!
//! A PID namespace is entered by one's children only, so somebody has to stay outside as their parent: this process, and
//! nothing else is its work. It is `unshare` and `setns`, one thread, then a plain start of a program, rather than `clone3`,
//! which would return twice in a process with threads and needs unsafe code to do it.
//!
//! Without root it makes a user namespace first, in which it is root.

use std::fs::{self, File, read_link};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use nix::libc::CLONE_NEWTIME;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};

use super::cgroup;
use super::protocol::Answer;

/// What the supervisor tells a stage that it starts.
#[derive(Debug, Args)]
pub(crate) struct EnterOptions {
    /// Join the PID namespace of this process instead of making one
    #[arg(long)]
    join: Option<i32>,
    /// The cgroup to join first
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// Make a time namespace too, whose monotonic clocks are so many seconds ahead
    #[arg(long, allow_negative_numbers = true)]
    ahead_s: Option<i64>,
    /// Only see whether it can be done
    #[arg(long)]
    probe: bool,
    /// The command line of the group process
    #[arg(last = true)]
    words: Vec<String>,
}

/// The whole life of a stage.
pub(crate) fn enter(options: &EnterOptions) -> anyhow::Result<u8> {
    set_name(c"stress-stage")?;
    if let Some(path) = &options.cgroup {
        cgroup::join(path)?;
    }
    namespaces(options)?;
    // Not before: a change of credentials clears it.
    set_pdeathsig(Signal::SIGKILL)?;
    if options.probe {
        return Ok(0);
    }
    let mut group = Command::new("/proc/self/exe");
    let mut group =
        group.arg0("stress").args(&options.words).process_group(0).spawn().context("cannot start a group")?;
    if options.ahead_s.is_some() {
        let outside = |link: &str| read_link(format!("/proc/{link}"));
        let (its, meant) = (outside(&format!("{}/ns/time", group.id()))?, outside("self/ns/time_for_children")?);
        if its != meant {
            group.kill().ok();
            bail!("this kernel does not take a started program into a time namespace (Linux 6.1 does)");
        }
    }
    let mut out = io::stdout();
    writeln!(out, "{}", Answer::Entered(i32::try_from(group.id())?))?;
    out.flush()?;
    let status = group.wait()?;
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

fn namespaces(options: &EnterOptions) -> anyhow::Result<()> {
    let in_vain = "PID namespaces are not possible here (it needs root, or CAP_SYS_ADMIN, or user namespaces)";
    let user = !geteuid().is_root();
    if let Some(anchor) = options.join {
        let namespace = |kind: &str| File::open(format!("/proc/{anchor}/ns/{kind}"));
        let pids = namespace("pid").context(in_vain)?;
        if user {
            setns(namespace("user").context(in_vain)?, CloneFlags::CLONE_NEWUSER).context(in_vain)?;
        }
        setns(pids, CloneFlags::CLONE_NEWPID).context(in_vain)?;
    } else {
        if user {
            become_root().context(in_vain)?;
        }
        unshare(CloneFlags::CLONE_NEWPID).context(in_vain)?;
    }
    if let Some(ahead_s) = options.ahead_s {
        // nix has no name for it.
        unshare(CloneFlags::from_bits_retain(CLONE_NEWTIME)).context("time namespaces are not possible here")?;
        fs::write("/proc/self/timens_offsets", format!("monotonic {ahead_s} 0\nboottime {ahead_s} 0\n"))
            .context("cannot set the clocks of a time namespace")?;
    }
    Ok(())
}

/// In a user namespace of its own, whose root is the user outside.
fn become_root() -> anyhow::Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    Ok(())
}
