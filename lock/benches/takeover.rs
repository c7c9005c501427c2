//! From SIGKILL of a holder to the next owner, who is waiting, beside a bare blocking OFD lock in the same run.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod support;

use nix::fcntl::{FcntlArg, fcntl};
use session_lock::LockDir;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{percentile, places, print_machine, us};

const ROUNDS: usize = 100;
/// Long enough for the waiter to be parked in the kernel.
const SETTLE: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
enum Kind {
    SessionLock,
    Ofd,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::SessionLock => "session-lock",
            Self::Ofd => "ofd",
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, role, kind, path] = args.as_slice()
        && role == "hold"
    {
        return hold(kind, Path::new(path));
    }
    print_machine();
    println!("SIGKILL of the holder to the next owner, µs; {ROUNDS} interleaved rounds\n");
    println!("{:12} {:14} {:>10} {:>10} {:>10}", "file system", "lock", "p50", "p99", "max");
    for (file_system, dir) in places() {
        let mut samples = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            samples.0.push(takeover(Kind::SessionLock, dir.path()));
            samples.1.push(takeover(Kind::Ofd, dir.path()));
        }
        for (kind, samples) in [(Kind::SessionLock, &mut samples.0), (Kind::Ofd, &mut samples.1)] {
            println!(
                "{file_system:12} {:14} {:>10} {:>10} {:>10}",
                kind.name(),
                us(percentile(samples, 50)),
                us(percentile(samples, 99)),
                us(percentile(samples, 100)),
            );
        }
    }
}

fn takeover(kind: Kind, dir: &Path) -> Duration {
    let mut holder = start_holder(kind, dir);
    let path = dir.to_owned();
    let waiter = std::thread::spawn(move || acquire(kind, &path));
    std::thread::sleep(SETTLE);
    let killed = Instant::now();
    holder.kill().expect("our child");
    let acquired = waiter.join().expect("no panic");
    holder.wait().expect("our child");
    acquired.saturating_duration_since(killed)
}

fn acquire(kind: Kind, dir: &Path) -> Instant {
    match kind {
        Kind::SessionLock => {
            let guard = LockDir::open(dir).expect("open").lock("s").blocking().expect("free");
            let acquired = Instant::now();
            guard.release().expect("released");
            acquired
        }
        Kind::Ofd => {
            let file = ofd_file(dir);
            ofd_lock(&file);
            Instant::now()
        }
    }
}

fn start_holder(kind: Kind, dir: &Path) -> Child {
    let this = std::env::current_exe().expect("this program");
    let mut child =
        Command::new(this).args(["hold", kind.name()]).arg(dir).stdout(Stdio::piped()).spawn().expect("spawned");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("readable");
    assert_eq!(line, "holding\n");
    child
}

fn hold(kind: &str, dir: &Path) {
    let _held: (Option<session_lock::Guard>, Option<File>) = if kind == Kind::SessionLock.name() {
        (Some(LockDir::open(dir).expect("open").lock("s").blocking().expect("free")), None)
    } else {
        let file = ofd_file(dir);
        ofd_lock(&file);
        (None, Some(file))
    };
    println!("holding");
    std::thread::sleep(Duration::from_mins(1));
}

fn ofd_file(dir: &Path) -> File {
    let path: PathBuf = dir.join("ofd");
    File::options().create(true).truncate(false).read(true).write(true).open(path).expect("open")
}

fn ofd_lock(file: &File) {
    let kind = libc::c_short::try_from(libc::F_WRLCK).expect("a lock type is small");
    let lock = libc::flock { l_type: kind, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(file, FcntlArg::F_OFD_SETLKW(&lock)).expect("locked");
}
