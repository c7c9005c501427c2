//! The freezer: a cgroup that stands still and goes on as one, of the first version or the second.
//!
//! Of the first version, a signal to a frozen process waits until it is thawed, also SIGKILL: thaw before a kill.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A cgroup of one group of workers.
#[derive(Debug)]
pub(crate) struct Freezer(PathBuf);

impl Freezer {
    /// The place where a cgroup of this name would be made, below this process's own.
    pub(crate) fn place(name: &str) -> anyhow::Result<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        Ok(hierarchies(&mounts, &own)
            .into_iter()
            .next()
            .context("there is no cgroup freezer here; leave out the fault freeze, or mount a cgroup hierarchy")?
            .join(name))
    }

    pub(crate) fn make(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir(path).with_context(|| {
            format!("cannot make the cgroup {}: leave out the fault freeze, or run as root", path.display())
        })?;
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn freeze(&self) -> anyhow::Result<()> {
        set(&self.0, State::Frozen).with_context(|| format!("cannot freeze {}", self.0.display()))
    }

    pub(crate) fn thaw(&self) -> anyhow::Result<()> {
        set(&self.0, State::Thawed).with_context(|| format!("cannot thaw {}", self.0.display()))
    }
}

/// Moves this process there, and with it all that it will start.
pub(crate) fn join(path: &Path) -> anyhow::Result<()> {
    fs::write(path.join("cgroup.procs"), "0").with_context(|| format!("cannot join the cgroup {}", path.display()))
}

/// Thaws it and removes it as soon as its processes are gone. One that is not there is fine.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    const BOUND: Duration = Duration::from_secs(20);
    let began = Instant::now();
    loop {
        if !path.exists() {
            return Ok(());
        }
        set(path, State::Thawed).ok();
        match fs::remove_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if began.elapsed() > BOUND => {
                return Err(error).with_context(|| format!("cannot remove the cgroup {}", path.display()));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
            Ok(()) => return Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Frozen,
    Thawed,
}

fn set(cgroup: &Path, state: State) -> io::Result<()> {
    let (first, second) = if state == State::Frozen { ("FROZEN", "1") } else { ("THAWED", "0") };
    let file = cgroup.join("freezer.state");
    if file.exists() { fs::write(file, first) } else { fs::write(cgroup.join("cgroup.freeze"), second) }
}

/// The directories of this process's own cgroup in the hierarchies that can freeze: the first version's freezer, then the
/// second version's.
fn hierarchies(mounts: &str, own: &str) -> Vec<PathBuf> {
    let v1 = mounted(mounts, |kind, options| kind == "cgroup" && options.split(',').any(|word| word == "freezer"));
    let v2 = mounted(mounts, |kind, _| kind == "cgroup2");
    let in_v1 =
        |line: &&str| line.split(':').nth(1).is_some_and(|names| names.split(',').any(|name| name == "freezer"));
    let below = |(root, point): (&str, &str), line: Option<&str>| {
        let path = line?.splitn(3, ':').nth(2)?;
        let rest = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        Some(Path::new(point).join(rest))
    };
    let v1 = v1.and_then(|mount| below(mount, own.lines().find(in_v1)));
    let v2 = v2.and_then(|mount| below(mount, own.lines().find(|line| line.starts_with("0::"))));
    v1.into_iter().chain(v2).collect()
}

/// Root and mount point of the first mount like this.
fn mounted(mounts: &str, like: impl Fn(&str, &str) -> bool) -> Option<(&str, &str)> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1)?);
        let mut place = place.split(' ').skip(3);
        let found = (place.next()?, place.next()?);
        like(kind, options).then_some(found)
    })
}

/// Fails where no cgroup can be frozen, before anything is started.
pub(crate) fn check() -> anyhow::Result<()> {
    let path = Freezer::place(&format!("session-lock-stress-try-{}", std::process::id()))?;
    let made = Freezer::make(&path)?;
    let frozen = made.thaw();
    remove(made.path())?;
    if let Err(error) = frozen {
        bail!("the cgroup freezer cannot be used: {error:#}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
36 30 0:32 / /sys/fs/cgroup/freezer rw,nosuid - cgroup cgroup rw,freezer
40 30 0:36 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

    #[test]
    fn the_first_version_is_preferred_where_both_are_mounted() {
        let own = "8:freezer:/jobs/7\n1:cpu:/\n0::/user.slice";
        let both = ["/sys/fs/cgroup/freezer/jobs/7", "/sys/fs/cgroup/unified/user.slice"];
        assert_eq!(hierarchies(HYBRID, own), both.map(PathBuf::from));
    }

    #[test]
    fn the_second_version_is_taken_where_it_is_alone_and_from_its_root_on() {
        let mounts = "29 23 0:25 /machine/one /sys/fs/cgroup rw - cgroup2 cgroup rw";
        assert_eq!(hierarchies(mounts, "0::/machine/one/app"), [PathBuf::from("/sys/fs/cgroup/app")]);
        assert_eq!(hierarchies(mounts, "0::/"), [PathBuf::from("/sys/fs/cgroup")]);
    }

    #[test]
    fn none_is_none() {
        assert!(hierarchies("30 24 0:26 / /proc rw - proc proc rw", "0::/").is_empty());
    }

    /// In each version that there is here: a frozen process does not even die, of the first, and stands still, of both.
    #[test]
    fn what_is_frozen_stands_still_until_it_is_thawed_or_removed() {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let parents = hierarchies(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        let mut tried = 0;
        for parent in parents {
            let path = parent.join(format!("session-lock-stress-test-{}", std::process::id()));
            let Ok(freezer) = Freezer::make(&path) else { continue };
            let script =
                format!("echo 0 > {}/cgroup.procs; echo in; while read -r line; do echo $line; done", path.display());
            let mut shell = Command::new("sh");
            shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut shell = shell.spawn().expect("a shell");
            let mut answers =
                BufReader::new(shell.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
            assert_eq!(answers.next().as_deref(), Some("in"));
            freezer.freeze().expect("it freezes");
            let frozen = || {
                read(&path.join("freezer.state").display().to_string()).trim() == "FROZEN"
                    || read(&path.join("cgroup.events").display().to_string()).contains("frozen 1")
            };
            let began = Instant::now();
            while !frozen() {
                assert!(began.elapsed() < Duration::from_mins(1), "it never froze");
                thread::sleep(Duration::from_millis(1));
            }
            let mut input = shell.stdin.take().expect("piped");
            writeln!(input, "on").expect("a pipe takes a line");
            freezer.thaw().expect("it thaws");
            assert_eq!(answers.next().as_deref(), Some("on"), "it goes on");
            freezer.freeze().expect("it freezes");
            shell.kill().expect("it is our child");
            remove(&path).expect("thawed and removed");
            shell.wait().expect("it has died");
            assert!(!path.exists());
            remove(&path).expect("what is gone is fine");
            tried += 1;
        }
        if tried == 0 {
            eprintln!("skipped: no cgroup can be made here");
        }
    }
}
