//! What `fork` does to this crate: a child inherits every descriptor, and with it the locks, but owns none of them.
//!
//! - A generation number lies in a page that the kernel empties in every child, also after a raw `clone`
//!   (`MADV_WIPEONFORK`, madvise(2)). Whatever was made under another generation is inert.
//! - A `pthread_atfork(3)` handler closes the inherited descriptors in the child, so that a child that lives on does
//!   not keep its dead parent's locks. It runs on a bitmap of descriptor numbers: no allocation, no lock to wait for.
//! - Opening and registering a descriptor, and forgetting and closing it, happen under a shared lock that the handler
//!   takes before the fork, so no descriptor slips through between the two.
//!
//! A child made by raw `clone` runs no handler: it keeps the descriptors, and so the locks, until it ends or calls
//! exec. Not here: what a guard or a directory does when it finds itself in a child.

use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Once, PoisonError, RwLock, RwLockWriteGuard};
use std::{cell::UnsafeCell, os::fd::RawFd, ptr};

/// Names one process between two forks. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
static NEXT: AtomicU64 = AtomicU64::new(1);
static INIT: Once = Once::new();

/// The generation of this process; a child has a new one from its first call on.
///
/// # Errors
///
/// The kernel has no page left, or no `MADV_WIPEONFORK` (Linux 4.14).
pub(crate) fn generation() -> super::Result<Generation> {
    let mut result = Ok(());
    INIT.call_once(|| result = init());
    result?;
    let page = page().ok_or(super::Errno::NOMEM)?;
    if let current @ 1.. = page.load(Ordering::Acquire) {
        return Ok(Generation(current));
    }
    let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
    match page.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(Generation(fresh)),
        Err(current) => Ok(Generation(current)),
    }
}

impl Generation {
    /// Whether this process is still the one that this generation names. No system call.
    pub(crate) fn is_current(self) -> bool {
        page().is_some_and(|page| page.load(Ordering::Acquire) == self.0)
    }
}

fn page() -> Option<&'static AtomicU64> {
    // SAFETY: the pointer is null or names the page that `init` mapped for the life of the process; an emptied page
    // is a valid `AtomicU64` of 0.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

fn init() -> super::Result<()> {
    use rustix::mm;
    let len = rustix::param::page_size();
    // SAFETY: a new private anonymous mapping overlaps nothing.
    let page = unsafe {
        mm::mmap_anonymous(ptr::null_mut(), len, mm::ProtFlags::READ | mm::ProtFlags::WRITE, mm::MapFlags::PRIVATE)
    }?;
    // SAFETY: the range is the mapping made above, which nobody else knows yet.
    unsafe { mm::madvise(page, len, mm::Advice::LinuxWipeOnFork) }?;
    PAGE.store(page.cast(), Ordering::Release);
    // SAFETY: the handlers are functions of this crate that live as long as the process.
    let errno = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    if errno == 0 { Ok(()) } else { Err(super::Errno::from_raw_os_error(errno)) }
}

/// Descriptor numbers below this are closed in a child: the kernel's default `fs.nr_open`.
const NUMBERS: usize = 1 << 20;
static OPEN: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];
/// One past the highest word of `OPEN` ever used.
static USED_WORDS: AtomicUsize = AtomicUsize::new(0);
static OPENING: RwLock<()> = RwLock::new(());

fn bit(fd: RawFd) -> Option<(&'static AtomicU64, usize, u64)> {
    let number = usize::try_from(fd).ok()?;
    let word = number / 64;
    Some((OPEN.get(word)?, word, 1 << (number % 64)))
}

/// Runs `open`, which returns a new descriptor, and registers it; a fork sees both or neither.
pub(super) fn opening<T>(open: impl FnOnce() -> super::Result<T>, number: impl Fn(&T) -> RawFd) -> super::Result<T> {
    let _no_fork = OPENING.read().unwrap_or_else(PoisonError::into_inner);
    let opened = open()?;
    if let Some((bits, word, mask)) = bit(number(&opened)) {
        bits.fetch_or(mask, Ordering::Relaxed);
        USED_WORDS.fetch_max(word + 1, Ordering::Relaxed);
    }
    Ok(opened)
}

/// Forgets a descriptor and runs `close`, which closes it; a fork sees both or neither.
pub(super) fn closing(fd: RawFd, close: impl FnOnce()) {
    let _no_fork = OPENING.read().unwrap_or_else(PoisonError::into_inner);
    if let Some((bits, _, mask)) = bit(fd) {
        bits.fetch_and(!mask, Ordering::Relaxed);
    }
    close();
}

/// Where the forking thread keeps `OPENING` locked over the fork.
struct Held(UnsafeCell<Option<RwLockWriteGuard<'static, ()>>>);

// SAFETY: only the handlers touch it, and only while the forking thread holds `OPENING` exclusively.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

/// Runs while no test makes a child: a claim that is open for writing would be open in the child as well, for a moment at
/// least, and whoever probes it then finds a living writer.
#[cfg(all(test, not(session_lock_shuttle)))]
pub(crate) fn between_forks<T>(run: impl FnOnce() -> T) -> T {
    // In the child it is locked by the copy of the thread that forked, which unlocks it.
    static FORKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _forking = FORKING.lock().unwrap_or_else(PoisonError::into_inner);
    run()
}

/// Writes a file that no child of this process has open.
#[cfg(all(test, not(session_lock_shuttle)))]
#[expect(clippy::disallowed_methods, reason = "a test's own file")]
pub(crate) fn write_between_forks(path: impl AsRef<std::path::Path>, content: impl AsRef<[u8]>) {
    between_forks(|| std::fs::write(path, content)).expect("written");
}

/// Runs `run` in a forked child and returns the child's pid; the child ends with the code that `run` returns. It closes
/// what other tests have open: a claim that it kept open for writing would have a living writer.
#[cfg(all(test, not(session_lock_shuttle)))]
pub(crate) fn in_child(run: impl FnOnce() -> i32) -> u32 {
    in_child_as_it_is(|| {
        // SAFETY: what this crate had open is closed already, and `run` opens what it uses.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
        run()
    })
}

/// The same, but the child has the descriptors that the fork handlers leave it.
#[cfg(all(test, not(session_lock_shuttle)))]
pub(crate) fn in_child_as_it_is(run: impl FnOnce() -> i32) -> u32 {
    // SAFETY: the child has one thread, the copy of this one. glibc's own fork handlers keep its allocator usable, and
    // `_exit` runs no destructor of the parent's.
    match between_forks(|| unsafe { libc::fork() }) {
        0 => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or(101);
            // SAFETY: ends this process.
            unsafe { libc::_exit(code) }
        }
        pid => u32::try_from(pid).expect("fork works in tests"),
    }
}

/// As [`in_child`], by a raw clone(2): no fork handlers run, so the child keeps the descriptors. `run` must not allocate.
#[cfg(all(test, not(session_lock_shuttle)))]
pub(crate) fn in_raw_child(run: impl FnOnce()) -> u32 {
    // SAFETY: without a stack of its own the child goes on with a copy of this one, as after fork(2).
    match between_forks(|| unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) }) {
        0 => {
            run();
            // SAFETY: ends this process.
            unsafe { libc::_exit(0) }
        }
        pid => u32::try_from(pid).expect("clone works in tests"),
    }
}

/// unshare(2), `CLONE_NEWPID`: the next child is the first process of a PID namespace of its own.
#[cfg(all(test, not(session_lock_shuttle)))]
pub(crate) fn children_in_own_pid_namespace() -> std::io::Result<()> {
    // SAFETY: changes only where children of this process go.
    super::file::checked(unsafe { libc::unshare(libc::CLONE_NEWPID) }).map(drop).map_err(Into::into)
}

extern "C" fn prepare() {
    let guard = OPENING.write().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: `OPENING` is held exclusively.
    unsafe { *HELD.0.get() = Some(guard) };
}

extern "C" fn parent() {
    // SAFETY: this thread took `OPENING` in `prepare` and holds it still.
    drop(unsafe { (*HELD.0.get()).take() });
}

extern "C" fn child() {
    for (word, bits) in OPEN.iter().take(USED_WORDS.load(Ordering::Relaxed)).enumerate() {
        let mut open = bits.swap(0, Ordering::Relaxed);
        while open != 0 {
            let number = word * 64 + open.trailing_zeros() as usize;
            open &= open - 1;
            if let Ok(fd) = RawFd::try_from(number) {
                // SAFETY: the number was registered by this crate, and every owner of it is inert in this process.
                unsafe { libc::close(fd) };
            }
        }
    }
    // SAFETY: as in `parent`; this thread is the copy of the one that took it.
    drop(unsafe { (*HELD.0.get()).take() });
}
