//! The only door to the kernel: system calls, clocks, process ids and `unsafe` live here and nowhere else.
//!
//! One function per call, with its man page; what a call means for the lock is not decided here.

#![expect(unsafe_code, reason = "fcntl leases, OFD locks, MADV_WIPEONFORK and pthread_atfork have no safe wrapper")]

pub(crate) mod clock;
pub(crate) mod fd;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod inotify;
pub(crate) mod lease;
pub(crate) mod mount;
pub(crate) mod ofd;
pub(crate) mod process;

pub(crate) use fd::Fd;
pub(crate) use rustix::io::{Errno, Result};

/// What a pointer to a leaked value points to.
pub(crate) fn leaked<T>(pointer: &std::sync::atomic::AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: the pointer is null or was stored from a `&'static T`.
    unsafe { pointer.load(std::sync::atomic::Ordering::Acquire).as_ref() }
}
