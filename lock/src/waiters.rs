//! Threads that wait in the kernel for others: one for each session that is contended in this process, unless the thread that asked
//! waits itself, and for a sweep that is awaited.
//!
//! A thread is kept for a while, because the next wait usually follows soon. Their number is not bounded, because a wait
//! that is not begun would be a place in the kernel's queue that is not taken.

use crate::sys::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use crate::sys::sync::{Mutex, MutexGuard, receive, thread};
use std::fmt;
use std::io;
use std::sync::PoisonError;
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

const KEEP_IDLE: Duration = Duration::from_secs(10);
/// Of each thread of this crate. Enough for the protocol, and 1,000 of them reserve no more than a quarter of a gigabyte of addresses.
pub(crate) const STACK: usize = 256 * 1024;

#[derive(Default)]
pub(crate) struct Waiters {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    threads: Vec<(u64, Sender<Job>)>,
    started: u64,
}

impl Waiters {
    /// Runs `job` on a thread of its own.
    ///
    /// # Errors
    ///
    /// The thread cannot be started; the job is dropped.
    pub(crate) fn run(&'static self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut job: Job = Box::new(job);
        let id = {
            let mut idle = self.idle();
            while let Some((_, thread)) = idle.threads.pop() {
                match thread.send(job) {
                    Ok(()) => return Ok(()),
                    Err(ended) => job = ended.0,
                }
            }
            idle.started += 1;
            idle.started
        };
        let (sender, jobs) = channel();
        thread::Builder::new()
            .name("session-lock-wait".into())
            .stack_size(STACK)
            .spawn(move || {
                job();
                self.serve(id, &sender, &jobs);
            })
            .map(drop)
    }

    fn serve(&self, id: u64, sender: &Sender<Job>, jobs: &Receiver<Job>) {
        loop {
            self.idle().threads.push((id, sender.clone()));
            let job = match receive(jobs, KEEP_IDLE) {
                Ok(job) => job,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let mut idle = self.idle();
                    let before = idle.threads.len();
                    idle.threads.retain(|(other, _)| *other != id);
                    if idle.threads.len() < before {
                        return;
                    }
                    drop(idle);
                    // Somebody has taken this thread off the list, and has sent or is about to send.
                    match jobs.recv() {
                        Ok(job) => job,
                        Err(_) => return,
                    }
                }
            };
            job();
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters").finish_non_exhaustive()
    }
}
