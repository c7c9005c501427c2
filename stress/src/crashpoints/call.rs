//! One system call of a victim, as it was seen, and how it is found again in another run.
//!
//! Threads interleave differently each time, so a call is named by its thread, by what it says, and by how often that thread
//! had said the same before. Numbers that differ from run to run are left out: addresses, descriptors, random names.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::registers::Registers;
use super::syscalls::{self, Argument, Failures};

/// A thread of the victim, in order of creation: 0 is the one that acquires and releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Role(pub(super) usize);

impl Role {
    pub(super) const MAIN: Self = Self(0);
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAIN { f.pad("main") } else { f.pad(&format!("thread {}", self.0)) }
    }
}

/// What a call says, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) role: Role,
    pub(super) call: String,
    /// How often this thread had said the same before.
    pub(super) before: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, call, before } = self;
        write!(f, "{role:<8} {call}")?;
        if *before > 0 { write!(f, ", time {}", before + 1) } else { Ok(()) }
    }
}

/// A call of the marked section.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) place: Place,
    pub(super) name: String,
    /// What can go wrong with it. `None`: the list does not know it.
    pub(super) failures: Option<Failures>,
    pub(super) result: Option<i64>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = ", self.place)?;
        match self.result {
            None => f.write_str("?"),
            Some(result) if (-4095..0).contains(&result) => {
                let errno = i32::try_from(-result).map_or(Errno::UnknownErrno, Errno::from_raw);
                write!(f, "-1 {errno:?}")
            }
            Some(result) => write!(f, "{result}"),
        }
    }
}

/// What a thread asks for at the entry of a call.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) arguments: [u64; 6],
    lock_type: Option<libc::c_int>,
}

impl Asked {
    /// Reads it out of a thread that stops at the entry.
    pub(super) fn read(thread: Pid, registers: &Registers, root: &str) -> Self {
        let (number, arguments) = (registers.number(), registers.arguments());
        let lock_type = lock_type(thread, number, &arguments);
        let Some(known) = syscalls::known(number) else {
            let name = format!("syscall_{number}");
            return Self { text: format!("{name}()"), name, arguments, lock_type };
        };
        let said = known.arguments.iter().zip(arguments).filter_map(|(argument, value)| match argument {
            Argument::Descriptor => Some(descriptor(thread, value, root)),
            Argument::Path => Some(path(thread, value, root)),
            Argument::Number => Some(format!("{:#x}", value & 0xffff_ffff)),
            Argument::OpenFlags => Some(open_flags(value)),
            Argument::FcntlCommand => Some(fcntl(value, lock_type)),
            Argument::FutexOperation => Some(futex(value).into()),
            Argument::Silent => None,
        });
        let text = format!("{}({})", known.name, said.collect::<Vec<_>>().join(", "));
        Self { name: known.name.into(), text, arguments, lock_type }
    }

    pub(super) fn failures(&self) -> Option<Failures> {
        syscalls::failures(&self.name, &self.arguments, self.lock_type)
    }

    /// Whether it goes to the kernel's queue for a range.
    pub(super) fn parks(&self) -> bool {
        self.text.contains("F_OFD_SETLKW")
    }

    /// Whether it may last for as long as nothing happens.
    pub(super) fn waits(&self) -> bool {
        self.parks() || ["poll", "ppoll", "clock_nanosleep"].contains(&&*self.name) || self.text == "futex(WAIT)"
    }
}

/// Bytes of the victim's memory, fewer if there are not so many.
pub(super) fn memory(thread: Pid, at: u64, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most];
    let read = File::open(format!("/proc/{thread}/mem")).and_then(|memory| memory.read_at(&mut bytes, at));
    bytes.truncate(read.unwrap_or(0));
    bytes
}

fn lock_type(thread: Pid, number: i64, arguments: &[u64; 6]) -> Option<libc::c_int> {
    let is = |command: libc::c_int| number == libc::SYS_fcntl && u64::try_from(command) == Ok(arguments[1]);
    if is(libc::F_SETLEASE) {
        return i32::try_from(arguments[2]).ok();
    }
    let is_lock = is(libc::F_OFD_SETLK) || is(libc::F_OFD_SETLKW) || is(libc::F_OFD_GETLK);
    let first: [u8; 2] = is_lock.then(|| memory(thread, arguments[2], 2))?.try_into().ok()?;
    Some(i16::from_ne_bytes(first).into())
}

fn descriptor(thread: Pid, value: u64, root: &str) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "descriptors are 32 bits wide")]
    let number = (value as u32).cast_signed();
    if number == libc::AT_FDCWD {
        return "cwd".into();
    }
    match fs::read_link(format!("/proc/{thread}/fd/{number}")) {
        Ok(target) => shown(&target.to_string_lossy(), root),
        Err(_) => "?".into(),
    }
}

fn path(thread: Pid, at: u64, root: &str) -> String {
    if at == 0 {
        return "NULL".into();
    }
    // A path near the end of its page is shorter than that.
    let page_end = 4096 - usize::try_from(at % 4096).unwrap_or(0);
    let mut bytes = memory(thread, at, 256);
    if bytes.is_empty() {
        bytes = memory(thread, at, page_end.min(256));
    }
    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    format!("\"{}\"", shown(&String::from_utf8_lossy(&bytes[..len]), root))
}

/// Without the run's directory, and without what is random.
fn shown(text: &str, root: &str) -> String {
    let text = match text.strip_prefix(root) {
        Some("" | "/") => ".",
        Some(below) => below.trim_start_matches('/'),
        None => text,
    };
    let mut shown = String::new();
    let mut run = String::new();
    for character in text.chars().chain(['\0']) {
        if character.is_ascii_hexdigit() && !character.is_ascii_uppercase() {
            run.push(character);
            continue;
        }
        let is_number = ["#", "/proc/", "/fd/", "/task/"].iter().any(|before| shown.ends_with(before))
            && run.bytes().all(|byte| byte.is_ascii_digit());
        shown.push_str(if !run.is_empty() && (run.len() >= 16 || is_number) { "*" } else { &run });
        run.clear();
        if character != '\0' {
            shown.push(character);
        }
    }
    shown.replace("#* (deleted)", "unnamed")
}

fn fcntl(command: u64, lock_type: Option<libc::c_int>) -> String {
    const F_SETSIG: libc::c_int = 10;
    let command = i32::try_from(command).unwrap_or(-1);
    let name = match command {
        libc::F_OFD_SETLK => "F_OFD_SETLK",
        libc::F_OFD_SETLKW => "F_OFD_SETLKW",
        libc::F_OFD_GETLK => "F_OFD_GETLK",
        libc::F_SETLEASE => "F_SETLEASE",
        libc::F_DUPFD_CLOEXEC => "F_DUPFD_CLOEXEC",
        libc::F_GETFD => "F_GETFD",
        libc::F_GETFL => "F_GETFL",
        F_SETSIG => "F_SETSIG",
        other => return other.to_string(),
    };
    match lock_type {
        Some(libc::F_WRLCK) => format!("{name}, F_WRLCK"),
        Some(libc::F_RDLCK) => format!("{name}, F_RDLCK"),
        Some(libc::F_UNLCK) => format!("{name}, F_UNLCK"),
        _ => name.into(),
    }
}

/// What a file is opened for; how its descriptor behaves is left out.
fn open_flags(value: u64) -> String {
    // O_TMPFILE has the bits of O_DIRECTORY.
    const NAMES: [(libc::c_int, &str); 6] = [
        (libc::O_TMPFILE, "O_TMPFILE"),
        (libc::O_DIRECTORY, "O_DIRECTORY"),
        (libc::O_PATH, "O_PATH"),
        (libc::O_CREAT, "O_CREAT"),
        (libc::O_EXCL, "O_EXCL"),
        (libc::O_APPEND, "O_APPEND"),
    ];
    let value = i32::try_from(value & 0x7fff_ffff).unwrap_or(0);
    let mut left = value;
    let mut names = vec![match value & libc::O_ACCMODE {
        libc::O_WRONLY => "O_WRONLY",
        libc::O_RDWR => "O_RDWR",
        _ => "O_RDONLY",
    }];
    for (bits, name) in NAMES {
        if left & bits == bits {
            left &= !bits;
            names.push(name);
        }
    }
    names.join("|")
}

fn futex(operation: u64) -> &'static str {
    match operation & 0x7f {
        0 | 9 => "WAIT",
        1 | 10 => "WAKE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_is_random_is_not_shown() {
        let nonce = "0123456789abcdef0123456789abcdef";
        for (text, expected) in [
            ("/run/a/.session-lock/arbiter-2a".into(), ".session-lock/arbiter-2a"),
            (format!("/run/a/.session-lock/spare-{nonce}"), ".session-lock/spare-*"),
            ("/run/a/#12345 (deleted)".into(), "unnamed"),
            ("/proc/self/fd/17".into(), "/proc/self/fd/*"),
            ("/proc/self/fd/17/0.jsonl.lock".into(), "/proc/self/fd/*/0.jsonl.lock"),
            ("/run/a".into(), "."),
        ] {
            assert_eq!(shown(&text, "/run/a"), expected, "{text}");
        }
    }
}
