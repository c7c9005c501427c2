//! The only door to the kernel: system calls, clocks, process ids and `unsafe` live here and nowhere else.
//!
//! One function per call, with its man page; what a call means for the lock is not decided here.

#![expect(unsafe_code, reason = "fcntl leases, OFD locks, MADV_WIPEONFORK and pthread_atfork have no safe wrapper")]

pub(crate) mod clock;
pub(crate) mod fd;
pub(crate) mod file;
pub(crate) mod fork;
#[cfg_attr(session_lock_shuttle, path = "inotify_checked.rs")]
pub(crate) mod inotify;
#[cfg_attr(session_lock_shuttle, path = "interrupt_checked.rs")]
pub(crate) mod interrupt;
pub(crate) mod lease;
pub(crate) mod locks;
pub(crate) mod mount;
pub(crate) mod ofd;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod sync;

pub(crate) use fd::Fd;
pub(crate) use rustix::io::{Errno, Result};

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What a pointer to a leaked value points to.
pub(crate) fn leaked<T>(pointer: &AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: the pointer is null or was stored by `leak_unless_replaced`.
    unsafe { pointer.load(Ordering::Acquire).as_ref() }
}

/// Leaks `fresh` and points to it in place of `known`. If somebody else was first, the pointer is theirs, and so is the
/// result.
pub(crate) fn leak_unless_replaced<T>(pointer: &AtomicPtr<T>, known: Option<&'static T>, fresh: Box<T>) -> &'static T {
    let known = known.map_or(ptr::null_mut(), |known| ptr::from_ref(known).cast_mut());
    let fresh = Box::into_raw(fresh);
    match pointer.compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: it comes from a box that nobody frees any more.
        Ok(_) => unsafe { &*fresh },
        Err(theirs) => {
            // SAFETY: it comes from a box, and nobody else has seen it.
            drop(unsafe { Box::from_raw(fresh) });
            // SAFETY: the pointer never becomes null again, and was stored here.
            unsafe { &*theirs }
        }
    }
}
