//! The kernel's queues for locks: `proc_locks(5)`.
//!
//! A line of somebody who waits has `->` as its second field, and OFD locks show in every PID namespace. The kernel writes
//! the file in pieces, so a line may be missed, or said twice, while others come and go: a count of them is for people.

/// A request that waits for an OFD lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    /// Major and minor number of the file system's device.
    pub(crate) device: (u32, u32),
    pub(crate) ino: u64,
    /// The first byte of the range.
    pub(crate) start: u64,
}

/// All requests that wait for an OFD lock.
///
/// # Errors
///
/// /proc/locks cannot be read.
pub(crate) fn parked() -> std::io::Result<Vec<Parked>> {
    Ok(std::fs::read_to_string("/proc/locks")?.lines().filter_map(parked_in).collect())
}

/// `1: -> OFDLCK ADVISORY  WRITE -1 fe:00:42 7 7`, the device in hex digits, the inode number not.
fn parked_in(line: &str) -> Option<Parked> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if fields.next()? != "->" || fields.next()? != "OFDLCK" {
        return None;
    }
    let mut file = fields.nth(3)?.split(':');
    let mut hex = || u32::from_str_radix(file.next()?, 16).ok();
    let device = (hex()?, hex()?);
    Some(Parked { device, ino: file.next()?.parse().ok()?, start: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Parked, parked_in};

    #[test]
    fn only_waiting_ofd_requests_count_however_deep() {
        let parked = Parked { device: (254, 16), ino: 10_010_645, start: 4_048_956_320_070_343_569 };
        let line =
            |head: &str| format!("{head} ADVISORY  WRITE -1 fe:10:10010645 4048956320070343569 4048956320070343569");
        assert_eq!(parked_in(&line("1: -> OFDLCK")), Some(parked));
        assert_eq!(parked_in(&line("1:   -> OFDLCK")), Some(parked));
        assert_eq!(parked_in(&line("1: OFDLCK")), None);
        assert_eq!(parked_in(&line("1: -> POSIX ")), None);
        assert_eq!(parked_in(""), None);
    }
}
