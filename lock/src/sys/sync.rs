//! Mutexes, atomics and threads: the standard library's, or those of a checker that chooses the order of the threads.
//!
//! With `--cfg session_lock_shuttle` they are the checker's ([shuttle](https://docs.rs/shuttle)), one thread runs at a time, and the
//! clock, inotify(7) and `F_OFD_SETLKW` are made of them, because a thread that sleeps in the kernel would stop the others.
//! Everything else is the real thing, system calls too. No timeout ever passes there, so a wake-up that is lost is a
//! deadlock, which the checker reports. The tests are in `tests/schedules`.

#[cfg(not(session_lock_shuttle))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock, atomic, mpsc};
#[cfg(not(session_lock_shuttle))]
pub(crate) use std::thread;

#[cfg(session_lock_shuttle)]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, RwLock, atomic, mpsc};
#[cfg(session_lock_shuttle)]
pub(crate) use shuttle::thread;

use std::time::Duration;

/// The next job, if there is one within this time.
#[cfg(not(session_lock_shuttle))]
pub(crate) fn receive<T>(from: &mpsc::Receiver<T>, within: Duration) -> Result<T, mpsc::RecvTimeoutError> {
    from.recv_timeout(within)
}

/// The same, and the one timeout that passes: after some steps of the others, or none.
#[cfg(session_lock_shuttle)]
pub(crate) fn receive<T>(from: &mpsc::Receiver<T>, _within: Duration) -> Result<T, mpsc::RecvTimeoutError> {
    const LOOKS: u32 = 3;
    for _ in 0..LOOKS {
        match from.try_recv() {
            Err(mpsc::TryRecvError::Empty) => thread::yield_now(),
            Err(mpsc::TryRecvError::Disconnected) => return Err(mpsc::RecvTimeoutError::Disconnected),
            Ok(received) => return Ok(received),
        }
    }
    Err(mpsc::RecvTimeoutError::Timeout)
}

/// Before a system call that others can see: the checker may let another thread run first.
#[inline]
pub(super) fn step() {
    #[cfg(session_lock_shuttle)]
    thread::sleep(Duration::ZERO);
}
