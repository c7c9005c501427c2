//! Threads that wait in the kernel, and how a restart gets them back: tgkill(2) with `SIGURG`.
//!
//! A system call that waits ends early only for a signal that has a handler. One is there for as long as a restart has somebody
//! to wake: it does nothing but call the handler that was there before. `SIGURG` is ignored by default, so one that comes
//! late does no harm. A thread that blocks the signal, as few do, is not woken: it finds the restart when its turn comes.

use super::file::checked;
use super::signal::{call, disposition};
use super::sync::Mutex;
use rustix::thread::{Pid, gettid};
use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

/// A thread that is about to wait when the signal comes does not notice, so it is sent again, for no longer than this.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// Those that wait in the kernel now.
#[derive(Debug, Default)]
pub(crate) struct Interruptible {
    /// Each with the instance of the process that it waits for.
    threads: Mutex<Vec<(Pid, u64)>>,
}

/// This thread, among those that wait, until it is dropped.
pub(crate) struct Waiting<'a>(&'a Interruptible, Pid);

impl Interruptible {
    pub(crate) fn enter(&self, instance: u64) -> Waiting<'_> {
        let thread = gettid();
        self.threads().push((thread, instance));
        Waiting(self, thread)
    }

    /// Interrupts the threads that wait for an earlier instance than this, until they have left.
    pub(crate) fn interrupt_before(&self, instance: u64) {
        let waiting = || -> Vec<_> {
            let threads = self.threads();
            threads.iter().filter(|(_, theirs)| *theirs < instance).map(|(thread, _)| *thread).collect()
        };
        if waiting().is_empty() {
            return;
        }
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(_handler) = Handler::install() else { return };
        for _ in 0..TRIES {
            let threads = waiting();
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                // SAFETY: tgkill(2); a thread that has ended meanwhile makes it fail.
                unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.as_raw_nonzero().get(), libc::SIGURG) };
            }
            super::clock::pause(PAUSE);
        }
    }

    fn threads(&self) -> super::sync::MutexGuard<'_, Vec<(Pid, u64)>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut threads = self.0.threads();
        if let Some(at) = threads.iter().position(|(thread, _)| *thread == self.1) {
            threads.swap_remove(at);
        }
    }
}

/// What the signal did before. Leaked, because our handler may be running while it is replaced.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

static ALONE: Mutex<()> = Mutex::new(());

/// Our handler, until it is dropped; one at a time.
struct Handler(libc::sigaction);

impl Handler {
    fn install() -> super::Result<Self> {
        let before = disposition(libc::SIGURG)?;
        if before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN {
            BEFORE.store(Box::into_raw(Box::new(before)), Ordering::Release);
        }
        let mut ours = before;
        ours.sa_sigaction = our_handler();
        ours.sa_flags = (before.sa_flags | libc::SA_SIGINFO) & !libc::SA_RESTART;
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and lives as long as the process.
        checked(unsafe { libc::sigaction(libc::SIGURG, &raw const ours, ptr::null_mut()) })?;
        Ok(Self(before))
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // One that came over ours stays.
        if disposition(libc::SIGURG).is_ok_and(|action| action.sa_sigaction == our_handler()) {
            // SAFETY: what was there before.
            unsafe { libc::sigaction(libc::SIGURG, &raw const self.0, ptr::null_mut()) };
        }
    }
}

fn our_handler() -> libc::sighandler_t {
    handle as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) as libc::sighandler_t
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if let Some(before) = super::leaked(&BEFORE) {
        call(before, signal, info, context);
    }
}
