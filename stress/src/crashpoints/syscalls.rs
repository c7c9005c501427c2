//! The system calls that a lock makes: their names, which arguments say something, and with what each can fail.
//!
//! The errnos are those that the man pages name and that a disk, a quota, a limit, a permission or a mount can bring about
//! on a local file system, at that call with those arguments. What is never failed stands here too, with the reason; such
//! a call is still killed before and after. A call that is not in the table is a doubt about the whole walk.

use nix::errno::Errno;
use nix::libc;

use Errno::{
    EACCES, EAGAIN, EBUSY, EDQUOT, EEXIST, EFBIG, EINTR, EINVAL, EIO, EMFILE, EMLINK, ENFILE, ENOENT, ENOLCK, ENOMEM,
    ENOSPC, ENOSYS, EOPNOTSUPP, EOVERFLOW, EPERM, EROFS,
};

/// What an argument is, as far as people and points need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    Descriptor,
    Path,
    /// A number, in hex.
    Number,
    /// The flags of open(2).
    OpenFlags,
    /// The second argument of fcntl(2), and with it the type of a lock.
    FcntlCommand,
    FutexOperation,
    /// An address, a length, anything that differs from run to run.
    Silent,
}

/// What is done to a call besides kills.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failures {
    /// It fails with each of these and is not done.
    Skipped(&'static [Errno]),
    /// It is done and seems to fail with each of these.
    Done(&'static [Errno]),
    /// It never fails, and why.
    Never(&'static str),
}

/// For which arguments a row is.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Always,
    /// The argument has all of these bits.
    Bits(usize, i32),
    /// The argument is this.
    Is(usize, i32),
    /// fcntl(2) with this type of lock.
    Lock(libc::c_int),
}

/// A system call with a name.
pub(super) struct Known {
    pub(super) number: i64,
    pub(super) name: &'static str,
    pub(super) arguments: &'static [Argument],
}

/// What can go wrong with a call. The first row that fits counts.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) when: When,
    pub(super) failures: Failures,
}

#[cfg(target_arch = "x86_64")]
macro_rules! known {
    ($($number:ident $name:literal [$($argument:ident)*])*) => {
        &[$(Known { number: libc::$number, name: $name, arguments: &[$(Argument::$argument),*] }),*]
    };
}

/// Names and arguments. Not in here: a call that no lock has made yet; it is shown by its number.
#[cfg(target_arch = "x86_64")]
pub(super) const KNOWN: &[Known] = known! {
    SYS_access "access" [Path Number]
    SYS_brk "brk" []
    SYS_clock_nanosleep "clock_nanosleep" []
    SYS_clone "clone" []
    SYS_clone3 "clone3" []
    SYS_close "close" [Descriptor]
    SYS_exit "exit" []
    SYS_faccessat2 "faccessat2" [Descriptor Path Number Number]
    SYS_fallocate "fallocate" [Descriptor]
    SYS_fchmod "fchmod" [Descriptor Number]
    SYS_fchown "fchown" [Descriptor]
    SYS_fcntl "fcntl" [Descriptor FcntlCommand]
    SYS_fdatasync "fdatasync" [Descriptor]
    SYS_flock "flock" [Descriptor Number]
    SYS_fstat "fstat" [Descriptor]
    SYS_fstatfs "fstatfs" [Descriptor]
    SYS_fsync "fsync" [Descriptor]
    SYS_futex "futex" [Silent FutexOperation]
    SYS_getdents64 "getdents64" [Descriptor]
    SYS_geteuid "geteuid" []
    SYS_getpid "getpid" []
    SYS_getrandom "getrandom" []
    SYS_gettid "gettid" []
    SYS_inotify_add_watch "inotify_add_watch" [Descriptor Path]
    SYS_inotify_rm_watch "inotify_rm_watch" [Descriptor]
    SYS_ioctl "ioctl" [Descriptor Number]
    SYS_kill "kill" [Silent Number]
    SYS_linkat "linkat" [Descriptor Path Descriptor Path Number]
    SYS_lseek "lseek" [Descriptor]
    SYS_madvise "madvise" []
    SYS_mkdirat "mkdirat" [Descriptor Path]
    SYS_mmap "mmap" [Silent Silent Number Number]
    SYS_mprotect "mprotect" []
    SYS_mremap "mremap" []
    SYS_munmap "munmap" []
    SYS_newfstatat "newfstatat" [Descriptor Path]
    SYS_open "open" [Path OpenFlags]
    SYS_openat "openat" [Descriptor Path OpenFlags]
    SYS_poll "poll" []
    SYS_ppoll "ppoll" []
    SYS_prctl "prctl" []
    SYS_pread64 "pread64" [Descriptor]
    SYS_prlimit64 "prlimit64" []
    SYS_pwrite64 "pwrite64" [Descriptor]
    SYS_read "read" [Descriptor]
    SYS_readlink "readlink" [Path]
    SYS_readlinkat "readlinkat" [Descriptor Path]
    SYS_renameat2 "renameat2" [Descriptor Path Descriptor Path Number]
    SYS_restart_syscall "restart_syscall" []
    SYS_rseq "rseq" []
    SYS_rt_sigprocmask "rt_sigprocmask" []
    SYS_sched_getaffinity "sched_getaffinity" []
    SYS_sched_yield "sched_yield" []
    SYS_set_robust_list "set_robust_list" []
    SYS_sigaltstack "sigaltstack" []
    SYS_statx "statx" [Descriptor Path]
    SYS_unlink "unlink" [Path]
    SYS_unlinkat "unlinkat" [Descriptor Path Number]
    SYS_write "write" [Descriptor]
};
#[cfg(not(target_arch = "x86_64"))]
pub(super) const KNOWN: &[Known] = &[];

const OPEN: Failures = Failures::Skipped(&[EACCES, EAGAIN, EINTR, EMFILE, ENFILE, ENOMEM, EIO, EROFS]);
const MAKE: Failures = Failures::Skipped(&[EACCES, EMFILE, ENFILE, ENOMEM, EIO, ENOSPC, EDQUOT, EROFS, EOPNOTSUPP]);
const REMOVE: Failures = Failures::Skipped(&[EACCES, EPERM, EBUSY, EIO, EROFS]);
const WRITE: Failures = Failures::Skipped(&[ENOSPC, EDQUOT, EIO, EFBIG, EINTR]);
const LOOK: Failures = Failures::Skipped(&[EACCES, EIO, ENOMEM]);
const SYNC: Failures = Failures::Skipped(&[EIO, ENOSPC, EDQUOT]);
const ALLOCATOR: Failures = Failures::Never("the allocator's: without memory std ends the process, whoever asks");
const THREAD_START: Failures =
    Failures::Never("libc and std call it when a thread begins or ends, and do not ask how it went");
const THREAD_STACK: Failures =
    Failures::Never("memory that libc's allocator or a beginning thread needs: std ends the process without it");
/// A thread's own stack is mapped without access at first.
const STACK_FOR_SIGNALS: i32 = libc::PROT_READ | libc::PROT_WRITE;
const CANNOT: Failures = Failures::Never("cannot fail with these arguments");
const SLEEP: Failures = Failures::Never("std begins it again, whatever it says");
const EXACT_UNLOCK: Failures =
    Failures::Never("the unlock of exactly what was locked splits no range, so the kernel needs nothing for it");

macro_rules! rows {
    ($($name:literal $when:expr => $failures:expr,)*) => {
        &[$(Row { name: $name, when: $when, failures: $failures }),*]
    };
}

/// The written list.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = rows! {
    "access"            When::Always => LOOK,
    "brk"               When::Always => ALLOCATOR,
    "clock_nanosleep"   When::Always => SLEEP,
    "clone"             When::Always => Failures::Skipped(&[EAGAIN, ENOMEM]),
    "clone3"            When::Always => Failures::Skipped(&[EAGAIN, ENOMEM, ENOSYS]),
    "close"             When::Always => Failures::Done(&[EIO, EINTR, ENOSPC, EDQUOT]),
    "exit"              When::Always => CANNOT,
    "faccessat2"        When::Always => Failures::Skipped(&[EACCES, EIO, ENOMEM, ENOSYS]),
    "fallocate"         When::Always => Failures::Skipped(&[EIO, ENOSPC, EOPNOTSUPP]),
    "fchmod"            When::Always => Failures::Skipped(&[EPERM, EIO, EROFS]),
    "fchown"            When::Always => Failures::Skipped(&[EPERM, EIO, EROFS, EDQUOT]),
    "fcntl"             When::Is(1, libc::F_DUPFD_CLOEXEC) => Failures::Skipped(&[EMFILE, ENOMEM]),
    "fcntl"             When::Is(1, libc::F_SETLEASE) => Failures::Skipped(&[EACCES, EAGAIN, EINVAL, ENOMEM]),
    "fcntl"             When::Lock(libc::F_UNLCK) => EXACT_UNLOCK,
    "fcntl"             When::Is(1, libc::F_OFD_SETLK) => Failures::Skipped(&[ENOLCK, ENOMEM, EIO, EAGAIN]),
    "fcntl"             When::Is(1, libc::F_OFD_SETLKW) => Failures::Skipped(&[ENOLCK, ENOMEM, EIO, EINTR]),
    "fcntl"             When::Is(1, libc::F_OFD_GETLK) => Failures::Skipped(&[ENOMEM, EIO]),
    "fcntl"             When::Is(1, libc::F_GETFD) => CANNOT,
    "fcntl"             When::Always => Failures::Skipped(&[EINVAL]),
    "fdatasync"         When::Always => SYNC,
    "flock"             When::Always => Failures::Skipped(&[ENOLCK, EINTR, ENOMEM]),
    "fstat"             When::Always => Failures::Skipped(&[EIO, ENOMEM]),
    "fstatfs"           When::Always => Failures::Skipped(&[EIO, ENOSYS]),
    "fsync"             When::Always => SYNC,
    "futex"             When::Always => Failures::Never("std and libc stand or fall with it: an errno that it cannot give ends the process"),
    "getdents64"        When::Always => Failures::Skipped(&[EIO, ENOMEM, ENOENT]),
    "geteuid"           When::Always => CANNOT,
    "getpid"            When::Always => CANNOT,
    "getrandom"         When::Always => Failures::Skipped(&[ENOSYS, EPERM]),
    "gettid"            When::Always => CANNOT,
    "inotify_add_watch" When::Always => Failures::Skipped(&[ENOSPC, ENOMEM, EACCES]),
    "inotify_rm_watch"  When::Always => Failures::Skipped(&[EINVAL]),
    "ioctl"             When::Always => Failures::Skipped(&[EIO]),
    "kill"              When::Always => Failures::Skipped(&[EPERM]),
    "linkat"            When::Always => Failures::Skipped(&[EACCES, EPERM, ENOSPC, EDQUOT, EIO, EMLINK, ENOENT, EROFS, ENOMEM]),
    "lseek"             When::Always => Failures::Skipped(&[EOVERFLOW]),
    "madvise"           When::Always => ALLOCATOR,
    "mkdirat"           When::Always => Failures::Skipped(&[EACCES, ENOSPC, EDQUOT, EROFS, EIO, EMLINK, ENOMEM, EEXIST]),
    "mmap"              When::Is(2, STACK_FOR_SIGNALS) => THREAD_STACK,
    "mmap"              When::Bits(3, libc::MAP_STACK) => Failures::Skipped(&[ENOMEM, EAGAIN]),
    "mmap"              When::Always => ALLOCATOR,
    "mprotect"          When::Always => ALLOCATOR,
    "mremap"            When::Always => ALLOCATOR,
    "munmap"            When::Always => ALLOCATOR,
    "newfstatat"        When::Always => LOOK,
    "open"              When::Bits(1, libc::O_TMPFILE) => MAKE,
    "open"              When::Bits(1, libc::O_CREAT) => MAKE,
    "open"              When::Always => OPEN,
    "openat"            When::Bits(2, libc::O_TMPFILE) => MAKE,
    "openat"            When::Bits(2, libc::O_CREAT) => MAKE,
    "openat"            When::Always => OPEN,
    "poll"              When::Always => Failures::Skipped(&[EINTR, ENOMEM]),
    "ppoll"             When::Always => Failures::Skipped(&[EINTR, ENOMEM]),
    "prctl"             When::Always => THREAD_START,
    "pread64"           When::Always => Failures::Skipped(&[EIO, EINTR, ENOMEM]),
    "prlimit64"         When::Always => CANNOT,
    "pwrite64"          When::Always => WRITE,
    "read"              When::Always => Failures::Skipped(&[EIO, EINTR]),
    "readlink"          When::Always => Failures::Skipped(&[EACCES, EIO, ENOENT]),
    "readlinkat"        When::Always => Failures::Skipped(&[EACCES, EIO, ENOENT]),
    "renameat2"         When::Always => Failures::Skipped(&[EACCES, ENOSPC, EDQUOT, EIO, EINVAL, EROFS, ENOMEM]),
    "restart_syscall"   When::Always => SLEEP,
    "rseq"              When::Always => THREAD_START,
    "rt_sigprocmask"    When::Always => THREAD_START,
    "sched_getaffinity" When::Always => THREAD_START,
    "sched_yield"       When::Always => CANNOT,
    "set_robust_list"   When::Always => THREAD_START,
    "sigaltstack"       When::Always => THREAD_START,
    "statx"             When::Always => LOOK,
    "unlink"            When::Always => REMOVE,
    "unlinkat"          When::Always => REMOVE,
    "write"             When::Always => WRITE,
};

/// What can go wrong with a call of this name. `None`: the list does not say.
pub(super) fn failures(name: &str, arguments: &[u64; 6], lock_type: Option<libc::c_int>) -> Option<Failures> {
    let value = |nth: usize| arguments[nth] & 0xffff_ffff;
    let bits = |number: i32| u64::from(number.cast_unsigned());
    let fits = |when: When| match when {
        When::Always => true,
        When::Bits(nth, wanted) => value(nth) & bits(wanted) == bits(wanted),
        When::Is(nth, wanted) => value(nth) == bits(wanted),
        When::Lock(wanted) => lock_type == Some(wanted),
    };
    ROWS.iter().find(|row| row.name == name && fits(row.when)).map(|row| row.failures)
}

/// The name of a call; `None`: the table does not have it.
pub(super) fn known(number: i64) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.number == number)
}
