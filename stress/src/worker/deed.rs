//! What a worker does to itself inside a hold, when it is asked to: a fork whose child outlives the hold, and an exec.
//!
//! | | What becomes of the hold |
//! |---|---|
//! | fork | the child has a copy of every descriptor and of the guard; it is none of its business, and the parent's release has to free the lock |
//! | exec | it ends: the kernel closes the lock's descriptors. The claim stays, as a dead owner's, though the pid and its start time are alive |

use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use fork::{Fork, fork};
use nix::libc::{STDIN_FILENO, STDOUT_FILENO};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, close, getpid, pause};

use super::section::Worker;
use crate::fault::Fault;
use crate::history::Event;

/// So long the child outlives the hold.
const OUTLIVES_BY: Duration = Duration::from_millis(100);

impl Worker {
    /// Forks a child that does nothing, until some time after the hold.
    pub(super) fn fork(&mut self, lock: u16, token: u64, lasting: Duration) -> anyhow::Result<()> {
        self.host.control.clear(self.place)?;
        self.children.retain(|&child| waitpid(child, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive));
        self.write(Event::Forked, Some(Fault::Fork), lock, token, 0)?;
        match fork().context("cannot fork")? {
            Fork::Parent(child) => self.children.push(Pid::from_raw(child)),
            Fork::Child => idle(lasting + OUTLIVES_BY),
        }
        Ok(())
    }

    /// Executes this program anew, with the same arguments: the same process and the same incarnation.
    ///
    /// # Errors
    ///
    /// Whenever it returns: there is no going on from a hold that was declared over.
    pub(super) fn exec(&self, lock: u16, token: u64) -> anyhow::Result<()> {
        self.write(Event::Exec, Some(Fault::Exec), lock, token, 0)?;
        let failed: Error = Command::new("/proc/self/exe").arg0("stress").args(std::env::args_os().skip(1)).exec();
        Err(failed).context("cannot execute this program anew")
    }
}

/// The life of a forked child: system calls only, since whatever its parent's other threads had locked stays locked.
///
/// It lets go of the parent's `alive` lock and of its pipe, so that nobody takes it for a worker. It ends by a signal,
/// because every other end would run what the parent has registered for its own.
fn idle(time: Duration) -> ! {
    close(STDOUT_FILENO).ok();
    close(STDIN_FILENO).ok();
    thread::sleep(time);
    kill(getpid(), Signal::SIGKILL).ok();
    loop {
        pause();
    }
}
