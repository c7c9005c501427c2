//! The signals that are passed on to the command.

use std::io;
use std::thread;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PASSED_ON: [(i32, Signal); 6] = [
    (SIGHUP, Signal::HUP),
    (SIGINT, Signal::INT),
    (SIGQUIT, Signal::QUIT),
    (SIGTERM, Signal::TERM),
    (SIGUSR1, Signal::USR1),
    (SIGUSR2, Signal::USR2),
];

/// Those that came, in turn.
pub(super) struct Signals {
    came: UnboundedReceiver<Signal>,
}

impl Signals {
    /// Catches them from now on, but for those that this process was started to ignore, as nohup(1) does: the command inherits
    /// that, which it does not inherit a handler.
    pub(super) fn catch() -> io::Result<Self> {
        let ignored = ignored()?;
        let caught = PASSED_ON.map(|(number, _)| number).into_iter().filter(|number| ignored >> (number - 1) & 1 == 0);
        let mut signals = SignalsInfo::<WithOrigin>::new(caught)?;
        let (sender, came) = unbounded_channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever().filter_map(|origin| passed_on(&origin)) {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { came })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        match self.came.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// What the kernel sends by itself, for a key or a closed terminal, goes to the whole group, and so to the command as well.
fn passed_on(origin: &Origin) -> Option<Signal> {
    let known = PASSED_ON.into_iter().find(|(number, _)| *number == origin.signal);
    known.filter(|_| origin.cause != Cause::Kernel).map(|(_, signal)| signal)
}

/// `SigIgn:` of `proc_pid_status(5)`: a bit for each signal that is ignored, the lowest for signal 1.
fn ignored() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/status does not say what is ignored"))
}
