//! Termination signals: a handler that only wakes a thread, and beside which other handlers go on working.
//!
//! | The signal's disposition before | What happens at a signal |
//! |---|---|
//! | default | the thread is woken, does its work, and [`end`] lets the signal do what it does by default |
//! | a handler | the thread is woken; that handler runs as before, and what becomes of the process is its affair |
//! | ignored | nothing: this handler is not installed |
//! | default, in PID 1 | nothing: the kernel keeps such signals from PID 1, and this handler is not installed |
//!
//! A handler that is installed later and calls the one before it works as well: [`end`] finds it there, and it stays on top,
//! because two handlers that call each other would not end. Everything in the handler is async-signal-safe
//! (signal-safety(7)).

use super::file::checked;
use super::fork::Generation;
use super::{Fd, Result, fork};
use rustix::event::EventfdFlags;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The signals that ask a process to end: signal(7).
const TERMINATION: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGHUP];

/// The process that the handler is for, and what it wakes there.
#[derive(Debug)]
pub(crate) struct Termination {
    generation: Generation,
    wake: Fd,
    /// The places of the signals that came, as bits.
    came: AtomicU32,
}

static CURRENT: AtomicPtr<Termination> = AtomicPtr::new(ptr::null_mut());
/// What each signal did before, by its place in `TERMINATION`.
static BEFORE: [AtomicPtr<libc::sigaction>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

/// A termination signal, by its place in `TERMINATION`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal(usize);

impl Termination {
    /// This process's. Lives as long as the process.
    pub(crate) fn current() -> Result<&'static Self> {
        let generation = fork::generation()?;
        let known = super::leaked(&CURRENT);
        if let Some(current) = known.filter(|known: &&Self| known.generation == generation) {
            return Ok(current);
        }
        let wake = Fd::open(|| rustix::event::eventfd(0, EventfdFlags::CLOEXEC))?;
        Ok(super::leak_unless_replaced(&CURRENT, known, Box::new(Self { generation, wake, came: AtomicU32::new(0) })))
    }

    /// Installs the handler, for those signals that end the process or have a handler already: sigaction(2).
    pub(crate) fn install(&self) -> Result<()> {
        debug_assert!(self.generation.is_current(), "installed by the process that it is for");
        for (place, signal) in TERMINATION.into_iter().enumerate() {
            let mut action = disposition(signal)?;
            let before = action.sa_sigaction;
            let is_kept_from_us = before == libc::SIG_DFL && super::process::own_pid() == 1;
            // One that came over ours may call ours, and must not be called by it.
            let is_over_ours = before != libc::SIG_DFL && self::before(place).is_some();
            if before == libc::SIG_IGN || before == our_handler() || is_over_ours || is_kept_from_us {
                continue;
            }
            // Leaked, because the handler may be running while it is replaced.
            BEFORE[place].store(Box::into_raw(Box::new(action)), Ordering::Release);
            action.sa_sigaction = our_handler();
            action.sa_flags |= libc::SA_SIGINFO;
            if before == libc::SIG_DFL {
                // A signal that nobody handles interrupts no system call.
                action.sa_flags |= libc::SA_RESTART;
            }
            // SAFETY: the handler has the signature that SA_SIGINFO asks for, and lives as long as the process.
            checked(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) })?;
        }
        Ok(())
    }

    /// Waits for the next signals.
    pub(crate) fn next(&self) -> Result<impl Iterator<Item = Signal>> {
        rustix::io::retry_on_intr(|| rustix::io::read(&self.wake, &mut [0_u8; 8]))?;
        let came = self.came.swap(0, Ordering::AcqRel);
        Ok((0..TERMINATION.len()).filter(move |place| came & 1 << place != 0).map(Signal))
    }
}

/// Lets a signal that came do what it does by default, if nobody else has a handler for it.
pub(crate) fn end(Signal(place): Signal) -> Result<()> {
    let is_ours_alone = disposition(TERMINATION[place])?.sa_sigaction == our_handler();
    if is_ours_alone && before(place).is_some_and(|action| action.sa_sigaction == libc::SIG_DFL) {
        default(TERMINATION[place]);
        // SAFETY: kill(2) of this process, so that whichever thread does not block the signal gets it.
        checked(unsafe { libc::kill(libc::getpid(), TERMINATION[place]) })?;
    }
    Ok(())
}

fn our_handler() -> libc::sighandler_t {
    handle as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) as libc::sighandler_t
}

pub(super) fn disposition(signal: libc::c_int) -> Result<libc::sigaction> {
    let mut action = MaybeUninit::zeroed();
    // SAFETY: with no new action the call only fills in `action`.
    checked(unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: filled in by the call, and all zeroes is valid as well.
    Ok(unsafe { action.assume_init() })
}

/// Gives a signal back its default action.
fn default(signal: libc::c_int) {
    // SAFETY: SIG_DFL needs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

fn before(place: usize) -> Option<&'static libc::sigaction> {
    // SAFETY: null, or leaked by `install`.
    unsafe { BEFORE[place].load(Ordering::Acquire).as_ref() }
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: errno is this thread's.
    let errno = unsafe { *libc::__errno_location() };
    let Some(place) = TERMINATION.iter().position(|known| *known == signal) else { return };
    let ours = super::leaked(&CURRENT).filter(|current| current.generation.is_current());
    if let Some(current) = ours {
        current.came.fetch_or(1 << place, Ordering::AcqRel);
        let one = 1_u64;
        // SAFETY: the descriptor is open as long as the process lives, and `one` has the 8 bytes of an eventfd's counter.
        unsafe { libc::write(current.wake.as_raw_fd(), (&raw const one).cast(), size_of_val(&one)) };
    }
    match before(place) {
        Some(action) if action.sa_sigaction != libc::SIG_DFL => call(action, signal, info, context),
        // A forked child has no thread to be woken, and nothing to release.
        Some(_) if ours.is_none() => {
            default(signal);
            // SAFETY: raise(3) is async-signal-safe; the signal comes when this handler returns.
            unsafe { libc::raise(signal) };
        }
        Some(_) | None => {}
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Calls the handler that was there before, as the kernel would.
pub(super) fn call(
    action: &libc::sigaction,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    if action.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: it was installed as a handler with this signature.
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(action.sa_sigaction) };
        handler(signal, info, context);
    } else {
        // SAFETY: as above.
        let handler: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(action.sa_sigaction) };
        handler(signal);
    }
}

/// Ignores a signal.
#[cfg(all(test, not(session_lock_shuttle)))]
pub(crate) fn ignore(signal: libc::c_int) {
    // SAFETY: SIG_IGN needs no handler.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}
