//! Releasing on termination signals, for those who ask for it.

use crate::process::{Process, lock};
use crate::restart::release_all;
use crate::sys;
use crate::waiters::STACK;
use std::io;
use std::panic;
use std::thread;

/// Releases every lock of this process, as [`release_all`] does, when `SIGINT`, `SIGTERM`, `SIGQUIT` or `SIGHUP` comes, and
/// then lets the signal end the process as it would have done.
///
/// Without this the lock installs no handler: a process that dies leaves its claims, its locks are free at once, and the next
/// acquire reclaims them. It is for those who want no claims left over by an ordinary end.
///
/// - A handler that was there before runs as before, and one installed later may call this one, as those of tokio and
///   signal-hook do. Then the locks are released, and what becomes of the process is that handler's affair.
/// - A signal that is ignored (`nohup`) stays ignored, and so does one that the kernel keeps from PID 1, which only gets
///   signals that it has a handler for. A PID 1 installs its own handlers first.
/// - Guards are told ([`crate::Loss::Restarted`]) before their claims go; the release happens on a thread of its own while
///   the others run on.
/// - A forked child gets the signals' default action back with the first signal: it has nothing to release. After exec there
///   are no handlers.
///
/// Calling it again changes nothing, except for signals that got their default action back since then.
///
/// # Errors
///
/// The process has no descriptor or no thread left. No handler is installed then.
pub fn release_on_termination() -> io::Result<()> {
    let process = Process::current()?;
    let termination = sys::signal::Termination::current()?;
    let mut releasing = lock(&process.releasing);
    if !*releasing {
        let thread = thread::Builder::new().name("session-lock-end".into()).stack_size(STACK);
        thread.spawn(|| release_at_signals(termination))?;
        *releasing = true;
    }
    Ok(termination.install()?)
}

fn release_at_signals(termination: &sys::signal::Termination) {
    while let Ok(signals) = termination.next() {
        // What failed is in the events, and the claims that are left are reclaimed. A sink that panics must not keep the
        // process from ending.
        drop(panic::catch_unwind(release_all));
        for signal in signals {
            sys::signal::end(signal).ok();
        }
    }
}
