//! Which file system a directory is on: statx(2) names the mount (Linux 5.8), `proc_pid_mountinfo(5)` the rest.

use rustix::fs::{AtFlags, StatxFlags};
use std::io;
use std::os::fd::AsFd;

/// The mount type of the file system that `dir` is on, such as `ext4`.
///
/// # Errors
///
/// /proc is not mounted, or does not show this process.
pub(crate) fn kind(dir: impl AsFd) -> io::Result<String> {
    look_up(dir, kind_of)
}

/// Major and minor device number of the file system that `dir` is on, as /proc/locks names it. On btrfs and overlayfs
/// stat(2) gives another one.
///
/// # Errors
///
/// As [`kind`].
pub(crate) fn device(dir: impl AsFd) -> io::Result<(u32, u32)> {
    look_up(dir, device_of)
}

fn look_up<T>(dir: impl AsFd, field: impl FnOnce(&str) -> Option<T>) -> io::Result<T> {
    let mount = rustix::fs::statx(dir, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id;
    line_of(&std::fs::read_to_string("/proc/self/mountinfo")?, mount)
        .and_then(field)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the mount is not in /proc/self/mountinfo"))
}

/// The mount id is the first field of its line.
fn line_of(mountinfo: &str, mount: u64) -> Option<&str> {
    mountinfo.lines().find(|line| line.split(' ').next().is_some_and(|id| id.parse() == Ok(mount)))
}

/// The type is the first field after the separator `-`.
fn kind_of(line: &str) -> Option<String> {
    line.split(" - ").nth(1)?.split(' ').next().map(str::to_owned)
}

/// The device is the third field, `major:minor` in decimal digits.
fn device_of(line: &str) -> Option<(u32, u32)> {
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{device_of, kind_of, line_of};

    #[test]
    fn the_type_follows_the_optional_fields() {
        let mountinfo = "21 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n\
                         22 21 0:20 / /dev/shm rw - tmpfs tmpfs rw,size=1k\n";
        let kind = |mount| line_of(mountinfo, mount).and_then(kind_of);
        assert_eq!(kind(21).as_deref(), Some("ext4"));
        assert_eq!(kind(22).as_deref(), Some("tmpfs"));
        assert_eq!(kind(2), None);
        assert_eq!(line_of(mountinfo, 21).and_then(device_of), Some((254, 0)));
    }
}
