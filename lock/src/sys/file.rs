//! Opening, naming, comparing and removing files.

use super::{Errno, Fd, Result};
use crate::protocol::Inode;
use rustix::fs::{self, AtFlags, Mode, OFlags, StatxFlags};
use rustix::path::DecInt;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What statx(2) says of a file, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) inode: Inode,
    pub(crate) kind: Kind,
    pub(crate) permissions: u32,
    pub(crate) links: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
}

/// The type of a file, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    Directory,
    Symlink,
    Fifo,
    Socket,
    Device,
}

const PIN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const READ_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory for `*at` calls only: openat(2), `O_PATH`. Follows symbolic links.
pub(crate) fn open_directory(path: &Path) -> Result<Fd> {
    Fd::open(|| fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()))
}

/// Opens a directory in `dir`, which must not be a symbolic link.
pub(crate) fn open_subdirectory(dir: impl AsFd, name: &CStr) -> Result<Fd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Fd::open(|| fs::openat(dir, name, flags, Mode::empty()))
}

/// A new directory with this group and these permissions, whatever this process's group and umask are. It gets them before it
/// gets its name: in between it would keep the others out.
///
/// # Errors
///
/// `EEXIST` if the name is taken.
pub(crate) fn make_directory(dir: impl AsFd, name: &CStr, permissions: u32, gid: u32) -> Result<()> {
    let random = u128::from_ne_bytes(random()?);
    let unnamed = format!("{}-{random:032x}", name.to_string_lossy());
    fs::mkdirat(&dir, &*unnamed, Mode::RWXU)?;
    // Through a descriptor, because chmod(2) would follow a link that somebody put there.
    let open = || fs::openat(&dir, &*unnamed, READ_DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
    open()
        .or_else(|errno| match errno {
            // The umask keeps even the owner out.
            Errno::ACCESS => {
                let pinned = Fd::open(|| fs::openat(&dir, &*unnamed, PIN, Mode::empty()))?;
                fs::chmod(format!("/proc/self/fd/{}", pinned.as_raw_fd()), Mode::RWXU)?;
                open()
            }
            errno => Err(errno),
        })
        .and_then(|made| {
            allowed(fs::fchown(&made, None, Some(fs::Gid::from_raw(gid))))?;
            fs::fchmod(made, Mode::from_raw_mode(permissions))
        })
        .and_then(|()| match fs::renameat_with(&dir, &*unnamed, &dir, name, fs::RenameFlags::NOREPLACE) {
            // Not known to the file system. Without the flag only an empty directory is replaced, and whoever has that open
            // notices.
            Err(Errno::INVAL) => fs::renameat(&dir, &*unnamed, &dir, name),
            renamed => renamed,
        })
        .inspect_err(|_| {
            // Best effort: the first failure is the one to tell.
            fs::unlinkat(&dir, &*unnamed, AtFlags::REMOVEDIR).ok();
        })
}

/// A process that is no member of the group may not give a file to it, and is not kept from having the file.
fn allowed(chown: Result<()>) -> Result<()> {
    match chown {
        Err(Errno::PERM) => Ok(()),
        result => result,
    }
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// Reading, and writing at the end, wherever a write is told to go.
    Append,
}

/// Opens a file so that its inode is not reused, and nothing else: openat(2), `O_PATH`. Follows no symbolic link, needs no
/// permission on the file, and is not noticed by anybody.
pub(crate) fn pin(dir: impl AsFd, name: &CStr) -> Result<Fd> {
    Fd::open(|| fs::openat(dir, name, PIN, Mode::empty()))
}

/// Pins the file at a path, and what that file is while the path names it: if it has one link then, that is its only name.
/// Asked of the pin alone, a link that is removed at the right moment would pass somebody's file off as one without another
/// name.
///
/// # Errors
///
/// `ENOENT` also if the path names another file by now.
pub(crate) fn pin_named(dir: impl AsFd, name: &CStr) -> Result<(Fd, Stat)> {
    let pinned = pin(&dir, name)?;
    let named = stat_at(dir, name)?;
    if stat(&pinned)?.inode == named.inode { Ok((pinned, named)) } else { Err(Errno::NOENT) }
}

/// Opens an existing regular file. Never blocks, follows or creates, and never opens anything else: opening a FIFO wakes
/// whoever waits for its other end, and opening a device may do anything.
///
/// # Errors
///
/// `ELOOP` for a symbolic link, `EISDIR` for a directory, `ENXIO` for a FIFO, a socket or a device, `EAGAIN` while somebody
/// has a lease.
pub(crate) fn open_regular(dir: impl AsFd, name: &CStr, access: Access) -> Result<Fd> {
    let pinned = pin(&dir, name)?;
    let stat = stat(&pinned)?;
    match stat.kind {
        Kind::Regular => open_pinned(&pinned, &stat, dir, name, access),
        Kind::Symlink => Err(Errno::LOOP),
        Kind::Directory => Err(Errno::ISDIR),
        Kind::Fifo | Kind::Socket | Kind::Device => Err(Errno::NXIO),
    }
}

/// Opens a regular file that is pinned, whatever its path names by now.
///
/// # Errors
///
/// `EAGAIN` while somebody has a lease; without /proc also `ENOENT` if the path names another file by now.
pub(crate) fn open_pinned(pinned: &Fd, found: &Stat, dir: impl AsFd, name: &CStr, access: Access) -> Result<Fd> {
    let flags = OFlags::NONBLOCK
        | OFlags::CLOEXEC
        | OFlags::NOCTTY
        | match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::Append => OFlags::RDWR | OFlags::APPEND,
        };
    let path = format!("/proc/self/fd/{}", pinned.as_raw_fd());
    match Fd::open(|| fs::open(&path, flags, Mode::empty())) {
        // The link leads to the file even if that has no name any more, so /proc is missing or shows another namespace.
        Err(Errno::NOENT) => {
            let fd = Fd::open(|| fs::openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty()))?;
            if stat(&fd)?.inode == found.inode { Ok(fd) } else { Err(Errno::NOENT) }
        }
        opened => opened,
    }
}

/// The directory of this process's descriptors, to [`reopen`] pinned files in.
pub(crate) fn descriptors() -> Result<Fd> {
    open_directory(Path::new("/proc/self/fd"))
}

/// Opens a regular file that is pinned for reading, as [`open_pinned`], with a shorter walk where many are opened. `None`:
/// it is not found there.
pub(crate) fn reopen(descriptors: &Fd, pinned: &Fd) -> Option<Result<Fd>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match Fd::open(|| fs::openat(descriptors, DecInt::from_fd(pinned), flags, Mode::empty())) {
        Err(Errno::NOENT) => None,
        opened => Some(opened),
    }
}

/// A new file without a name: openat(2), `O_TMPFILE`. It is gone with its last descriptor unless it is [`link`]ed.
///
/// # Errors
///
/// `EOPNOTSUPP` where the file system cannot (overlayfs before Linux 6.1).
pub(crate) fn create_unnamed(dir: impl AsFd, permissions: u32, appending: bool) -> Result<Fd> {
    let append = if appending { OFlags::APPEND } else { OFlags::empty() };
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC | append;
    Fd::open(|| fs::openat(dir, c".", flags, Mode::from_raw_mode(permissions)))
}

/// Whether `AT_EMPTY_PATH` has been refused: before Linux 6.10 it needs `CAP_DAC_READ_SEARCH`.
static EMPTY_PATH_REFUSED: AtomicBool = AtomicBool::new(false);

/// Gives an unnamed file its name, if the name is free: linkat(2).
///
/// # Errors
///
/// `EEXIST` if it is not; `ENOENT` if the file had a name and has none any more.
pub(crate) fn link(file: impl AsFd, dir: impl AsFd, name: &CStr) -> Result<()> {
    super::sync::step();
    if !EMPTY_PATH_REFUSED.load(Ordering::Relaxed) {
        match fs::linkat(&file, c"", &dir, name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
    }
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let linked = fs::linkat(fs::CWD, path, dir, name, AtFlags::SYMLINK_FOLLOW);
    if linked.is_ok() {
        EMPTY_PATH_REFUSED.store(true, Ordering::Relaxed);
    }
    linked
}

/// The names in a directory that are `wanted`, at `most` so many: getdents64(2).
pub(crate) fn names(dir: impl AsFd, wanted: impl Fn(&CStr) -> bool, most: usize) -> Result<Vec<CString>> {
    let entries = fs::Dir::new(fs::openat(dir, c".", READ_DIRECTORY, Mode::empty())?)?;
    let name = |entry: fs::DirEntry| entry.file_name().to_owned();
    Ok(entries.filter_map(|entry| entry.ok().map(name)).filter(|name| wanted(name)).take(most).collect())
}

/// Whether a directory, which must not be a symbolic link, has nothing in it.
pub(crate) fn is_empty(dir: impl AsFd, name: &CStr) -> Result<bool> {
    let inside = names(open_subdirectory(dir, name)?, |name| name != c"." && name != c"..", 1)?;
    Ok(inside.is_empty())
}

/// All names in a directory that are UTF-8 and end in `suffix`, without it: getdents64(2).
pub(crate) fn stems(dir: impl AsFd, suffix: &str) -> Result<Vec<String>> {
    let entries = fs::Dir::new(fs::openat(dir, c".", READ_DIRECTORY, Mode::empty())?)?;
    let mut stems = Vec::new();
    for entry in entries {
        if let Some(stem) = entry?.file_name().to_str().ok().and_then(|name| name.strip_suffix(suffix)) {
            stems.push(stem.to_owned());
        }
    }
    Ok(stems)
}

/// Whether this process may open the file for reading and writing: faccessat2(2), `AT_EACCESS`.
pub(crate) fn may_take_over(dir: impl AsFd, name: &CStr) -> bool {
    fs::accessat(dir, name, fs::Access::READ_OK | fs::Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// unlinkat(2).
pub(crate) fn unlink(dir: impl AsFd, name: &CStr) -> Result<()> {
    super::sync::step();
    fs::unlinkat(dir, name, AtFlags::empty())
}

/// Removes an empty directory: unlinkat(2), `AT_REMOVEDIR`.
pub(crate) fn remove_directory(dir: impl AsFd, name: &CStr) -> Result<()> {
    fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// What a [`Stat`] has, and no time: the first write after somebody has asked for a file's times has to change them
/// (Linux 6.13), which costs almost as much as the write of a claim.
const LOOKED_AT: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::NLINK)
    .union(StatxFlags::UID)
    .union(StatxFlags::GID)
    .union(StatxFlags::INO)
    .union(StatxFlags::SIZE);

/// What an open file is: statx(2), `AT_EMPTY_PATH`.
pub(crate) fn stat(file: impl AsFd) -> Result<Stat> {
    fs::statx(file, c"", AtFlags::EMPTY_PATH, LOOKED_AT).map(Stat::from)
}

/// What is at a path, and nothing is mounted there for it: statx(2), `AT_SYMLINK_NOFOLLOW`, `AT_NO_AUTOMOUNT`.
pub(crate) fn stat_at(dir: impl AsFd, name: &CStr) -> Result<Stat> {
    super::sync::step();
    fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, LOOKED_AT).map(Stat::from)
}

/// fchown(2) and fchmod(2), where the file is not so already.
pub(crate) fn set_access(file: impl AsFd, stat: &Stat, permissions: u32, gid: u32) -> Result<()> {
    if stat.gid != gid {
        allowed(fs::fchown(&file, None, Some(fs::Gid::from_raw(gid))))?;
    }
    if stat.permissions == permissions {
        return Ok(());
    }
    fs::fchmod(file, Mode::from_raw_mode(permissions))
}

/// fdatasync(2).
pub(crate) fn sync(file: impl AsFd) -> Result<()> {
    fs::fdatasync(file)
}

/// fsync(2) of a directory: its names.
pub(crate) fn sync_names(dir: impl AsFd) -> Result<()> {
    fs::fsync(fs::openat(dir, c".", READ_DIRECTORY, Mode::empty())?)
}

/// Frees the blocks of a range and keeps the size: fallocate(2), `FALLOC_FL_PUNCH_HOLE`.
pub(crate) fn punch_hole(file: impl AsFd, offset: u64, len: u64) -> Result<()> {
    fs::fallocate(file, fs::FallocateFlags::PUNCH_HOLE | fs::FallocateFlags::KEEP_SIZE, offset, len)
}

/// Reads from the start: pread(2). A regular file gives all it has, up to the length of `buffer`, at once.
pub(crate) fn read_start(file: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    rustix::io::pread(file, buffer, 0)
}

/// Reads from `offset` on, up to the length of `buffer` or to the end of the file: pread(2).
pub(crate) fn read_at(file: impl AsFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    rustix::io::pread(file, buffer, offset)
}

/// One pwrite(2) of everything; regular files take it whole or the disk is full.
///
/// # Errors
///
/// `ENOSPC` also for a write that was cut short.
pub(crate) fn write_at(file: impl AsFd, bytes: &[u8], offset: u64) -> Result<()> {
    match rustix::io::pwrite(file, bytes, offset)? {
        written if written == bytes.len() => Ok(()),
        _ => Err(Errno::NOSPC),
    }
}

/// One write(2) at the end of a file that was opened for appending: how many of the bytes it took, at least one, and where
/// that end is now: lseek(2).
pub(crate) fn append(file: impl AsFd, bytes: &[u8]) -> Result<(u64, u64)> {
    match rustix::io::write(&file, bytes)? {
        0 => Err(Errno::NOSPC),
        written => Ok((written as u64, fs::tell(file)?)),
    }
}

/// The largest size a file may grow to before a write raises `SIGXFSZ`, which kills: getrlimit(2), `RLIMIT_FSIZE`.
pub(crate) fn size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// # Errors
///
/// `EFBIG` if a file may not grow to this size.
pub(crate) fn may_grow_to(size: u64) -> Result<()> {
    if size_limit().is_some_and(|limit| limit < size) { Err(Errno::FBIG) } else { Ok(()) }
}

/// 16 random bytes: getrandom(2).
pub(crate) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

/// The result of a libc call as a [`Result`].
pub(super) fn checked(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

impl From<fs::Statx> for Stat {
    fn from(stat: fs::Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        let kind = match fs::FileType::from_raw_mode(mode) {
            fs::FileType::RegularFile => Kind::Regular,
            fs::FileType::Directory => Kind::Directory,
            fs::FileType::Symlink => Kind::Symlink,
            fs::FileType::Fifo => Kind::Fifo,
            fs::FileType::Socket => Kind::Socket,
            _ => Kind::Device,
        };
        Self {
            // As st_dev, which stands in claims.
            inode: Inode { dev: fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
            kind,
            permissions: mode & 0o7777,
            links: u64::from(stat.stx_nlink),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
        }
    }
}
