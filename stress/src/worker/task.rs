//! Workers that are tasks of one runtime. About one in four of their acquires is cancelled if it still waits after a moment:
//! its future is dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::Host;
use super::section::{Entry, Request, SLICE, Worker};
use crate::clock::monotonic_us;
use crate::history::Event;
use crate::peers::Acquired;

/// One of so many acquires is cancelled.
const CANCELLED_OF: u8 = 4;
/// Within this time.
const CANCELLED_WITHIN: Duration = Duration::from_millis(2);

/// One task for each worker. The first failure ends them all, and is the process's.
pub(super) fn run(host: &Arc<Host>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    runtime.block_on(async {
        let live = |worker: Worker| {
            let host = Arc::clone(&worker.host);
            tokio::spawn(async move { live(worker).await.inspect_err(|_| host.end()) })
        };
        let tasks: Vec<_> = host.workers().map(live).collect();
        let mut ended = Ok(());
        for task in tasks {
            ended = ended.and(task.await?);
        }
        ended
    })
}

/// The whole life of a worker that is a task.
async fn live(mut worker: Worker) -> anyhow::Result<()> {
    let host = Arc::clone(&worker.host);
    worker.begin()?;
    while !host.is_ending() {
        section(&mut worker).await?;
        let think = host.options.think.draw(&mut worker.random);
        nap(&host, think).await;
    }
    worker.note(Event::Done, 0, 0, 0)
}

/// One acquisition from beginning to end, unless it is cancelled.
async fn section(worker: &mut Worker) -> anyhow::Result<()> {
    let request = worker.request();
    let (number, incarnation) = (worker.place, worker.incarnation);
    let span = tracing::info_span!("section", worker = number, incarnation, lock = request.asked.lock);
    async {
        let Some(acquired) = acquire(worker, request).await else {
            return worker.note(Event::Cancelled, request.asked.lock, 0, monotonic_us() - request.since_us);
        };
        let host = Arc::clone(&worker.host);
        let pause = match worker.enter(request, acquired)? {
            Entry::Outside(pause) => pause,
            Entry::Inside(inside) => {
                nap(&host, inside.lasting).await;
                worker.leave(inside)?
            }
        };
        nap(&host, pause).await;
        Ok(())
    }
    .instrument(span)
    .await
}

/// `None`: it was cancelled.
async fn acquire(worker: &mut Worker, request: Request) -> Option<Acquired> {
    let acquire = worker.host.peer.acquire_in_task(request.asked);
    if worker.random.u8(..CANCELLED_OF) != 0 {
        return Some(acquire.await);
    }
    timeout(CANCELLED_WITHIN.mul_f64(worker.random.f64()), acquire).await.ok()
}

/// Sleeps, in slices so that the end of the run is noticed.
async fn nap(host: &Host, time: Duration) {
    let until = Instant::now() + time;
    while !time.is_zero() && !host.is_ending() {
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => break,
            left => sleep(left.min(SLICE)).await,
        }
    }
    if time.is_zero() {
        // A task that never waits would keep its thread for itself.
        tokio::task::yield_now().await;
    }
}
