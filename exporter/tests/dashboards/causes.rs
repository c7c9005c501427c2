//! What each alert is about, made to happen in a directory of its own, with the real lock.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use session_lock::LockDir;

use crate::live;

/// Lets it happen in this directory until the alert fires, which it asks again and again; each time takes a moment.
pub(crate) type Cause = fn(&Path, &dyn Fn() -> bool);

/// Those of the alerts that are about a directory.
pub(crate) const CAUSES: [(&str, Cause); 14] = [
    ("SessionLockTimeoutsFast", time_out),
    ("SessionLockTimeoutsSlow", time_out),
    ("SessionLockClaimReplaced", replace),
    ("SessionLockClaimDeleted", delete),
    ("SessionLockReclaimStorm", kill_holders),
    ("SessionLockReclaimRefused", remove_state_directory),
    ("SessionLockInherited", inherit),
    ("SessionLockCorrupt", |dir, fires| leave(dir, "s.lock", "{\"pid\":", fires)),
    ("SessionLockNotAClaim", |dir, fires| leave(dir, "yarn.lock", "# yarn lockfile v1\n", fires)),
    ("SessionLockWaitLong", wait),
    ("SessionLockHoldLong", hold),
    ("SessionLockDirectoryUnreadable", move_away),
    ("SessionLockSlotsExhausted", exhaust_slots),
    ("SessionLockSlotsDamaged", damage_slot),
];

/// What a slot of the counters takes, and how many there are.
const STRIDE: u64 = 80 * 1024;
const SLOTS: u64 = 1024;

/// A process that is killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it was waited for already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// `session-lock run`.
pub(crate) fn run(dir: &Path, session: &str, options: &[&str], command: &[&str]) -> Command {
    let mut run = Command::new(env!("CARGO_BIN_EXE_session-lock"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SESSION_LOCK_")) {
        run.env_remove(name);
    }
    run.arg("--dir").arg(dir).args(["run", session]).args(options).arg("--").args(command);
    run.stdin(Stdio::null()).stderr(Stdio::null());
    run
}

/// One hold by a process that ends well.
pub(crate) fn hold_once(dir: &Path) {
    assert!(run(dir, "s", &[], &["true"]).status().expect("it starts").success());
}

fn assert_times_out(dir: &Path) {
    let status = run(dir, "s", &["--timeout", "50ms"], &["true"]).status().expect("it starts");
    assert_eq!(status.code(), Some(1), "it does not get the lock");
}

/// A process that holds the lock by now, and ends in minutes if nobody ends it.
fn holder(dir: &Path) -> Process {
    let mut holder = run(dir, "s", &[], &["sh", "-c", "echo held && exec sleep 300"]);
    let mut holder = Process(holder.stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut said = String::new();
    BufReader::new(holder.0.stdout.take().expect("piped")).read_line(&mut said).expect("text");
    assert_eq!(said, "held\n");
    holder
}

fn locks(dir: &Path) -> LockDir {
    LockDir::open(dir).expect("a directory for locks")
}

fn until(fires: &dyn Fn() -> bool) {
    while !fires() {}
}

fn time_out(dir: &Path, fires: &dyn Fn() -> bool) {
    let locks = locks(dir);
    while !fires() {
        let _guard = locks.lock("s").blocking().expect("free");
        assert_times_out(dir);
        assert_times_out(dir);
    }
}

fn replace(dir: &Path, fires: &dyn Fn() -> bool) {
    let _lost = live::replace(dir, &locks(dir));
    until(fires);
}

fn delete(dir: &Path, fires: &dyn Fn() -> bool) {
    let _guard = locks(dir).lock("s").blocking().expect("free");
    // A hold is watched once it has lasted a moment.
    thread::sleep(Duration::from_millis(100));
    while !fires() {
        // Until it is put back there is none.
        fs::remove_file(dir.join("s.lock")).ok();
        thread::sleep(Duration::from_millis(200));
    }
}

/// Each of them lives for the moment that asking takes: what it took over is counted some milliseconds later.
fn kill_holders(dir: &Path, fires: &dyn Fn() -> bool) {
    loop {
        let _killed = holder(dir);
        if fires() {
            return;
        }
    }
}

/// The next ones have another arbiter than the holder. They are killed, because deadlines are another alert.
fn remove_state_directory(dir: &Path, fires: &dyn Fn() -> bool) {
    let _holder = holder(dir);
    // In one step: the holder may be about to write there.
    fs::rename(dir.join(".session-lock"), dir.join("aside")).expect("it is there");
    loop {
        let _waiter = Process(run(dir, "s", &[], &["true"]).spawn().expect("it starts"));
        if fires() {
            return;
        }
    }
}

/// What a child has that was forked while its parent held: the parent's open files.
fn inherit(dir: &Path, fires: &dyn Fn() -> bool) {
    let holder = holder(dir);
    let _files = open_files(&holder.0, dir);
    drop(holder);
    until(fires);
}

/// The files of a process in this directory, open here too.
fn open_files(process: &Child, dir: &Path) -> Vec<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_child(process), PidfdFlags::empty()).expect("it runs");
    let entries = fs::read_dir(format!("/proc/{}/fd", process.id())).expect("our child").flatten();
    let within = entries.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(dir)));
    let numbers = within.map(|entry| entry.file_name().to_string_lossy().parse().expect("a number"));
    let files: Vec<_> =
        numbers.map(|number| pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()).expect("our child")).collect();
    assert!(!files.is_empty(), "it has its claim open");
    files
}

fn leave(dir: &Path, name: &str, content: &str, fires: &dyn Fn() -> bool) {
    fs::write(dir.join(name), content).expect("written");
    until(fires);
}

fn wait(dir: &Path, fires: &dyn Fn() -> bool) {
    let _guard = locks(dir).lock("s").blocking().expect("free");
    let _waiter = Process(run(dir, "s", &[], &["true"]).spawn().expect("it starts"));
    until(fires);
}

fn hold(dir: &Path, fires: &dyn Fn() -> bool) {
    let _guard = locks(dir).lock("s").blocking().expect("free");
    until(fires);
}

fn move_away(dir: &Path, fires: &dyn Fn() -> bool) {
    fs::rename(dir, dir.with_extension("aside")).expect("renamed");
    until(fires);
}

fn counters(dir: &Path) -> File {
    File::options().read(true).write(true).open(dir.join(".session-lock/metrics-v1")).expect("something was counted")
}

/// A slot belongs to whoever has the lock on its first byte: a process each as a rule, and this one for all here.
fn exhaust_slots(dir: &Path, fires: &dyn Fn() -> bool) {
    let counters = counters(dir);
    counters.set_len(SLOTS * STRIDE).expect("holes take no room");
    for slot in 1..SLOTS {
        let byte = libc::flock {
            l_type: libc::F_WRLCK.try_into().expect("small"),
            l_whence: libc::SEEK_SET.try_into().expect("small"),
            l_start: (slot * STRIDE).try_into().expect("small"),
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&counters, FcntlArg::F_OFD_SETLK(&byte)).expect("free");
    }
    until(fires);
}

/// Its process has ended, so that nobody writes over the noise.
fn damage_slot(dir: &Path, fires: &dyn Fn() -> bool) {
    counters(dir).write_all_at(&[0x55; 8192], 0).expect("written");
    until(fires);
}
