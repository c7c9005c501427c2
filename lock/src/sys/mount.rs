//! Which file system a directory is on: statx(2) names the mount (Linux 5.8), `proc_pid_mountinfo(5)` its type.

use rustix::fs::{AtFlags, StatxFlags};
use std::io;
use std::os::fd::AsFd;

/// The mount type of the file system that `dir` is on, such as `ext4`.
///
/// # Errors
///
/// /proc is not mounted, or does not show this process.
pub(crate) fn kind(dir: impl AsFd) -> io::Result<String> {
    let mount = rustix::fs::statx(dir, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id;
    kind_in(&std::fs::read_to_string("/proc/self/mountinfo")?, mount)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the mount is not in /proc/self/mountinfo"))
}

/// The type is the first field after the separator `-`; the mount id is the first field of the line.
fn kind_in(mountinfo: &str, mount: u64) -> Option<String> {
    let line = mountinfo.lines().find(|line| line.split(' ').next().is_some_and(|id| id.parse() == Ok(mount)))?;
    line.split(" - ").nth(1)?.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::kind_in;

    #[test]
    fn the_type_follows_the_optional_fields() {
        let mountinfo = "21 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n\
                         22 21 0:20 / /dev/shm rw - tmpfs tmpfs rw,size=1k\n";
        assert_eq!(kind_in(mountinfo, 21).as_deref(), Some("ext4"));
        assert_eq!(kind_in(mountinfo, 22).as_deref(), Some("tmpfs"));
        assert_eq!(kind_in(mountinfo, 2), None);
    }
}
