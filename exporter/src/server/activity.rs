//! What each connection is about, and since when: so that slow ones end, and idle ones make room.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::{Place, Places};

/// For a TLS handshake, and for a request's head from its first byte.
const HEAD: Duration = Duration::from_secs(5);
/// Between requests.
const IDLE: Duration = Duration::from_mins(2);
/// For an answer: longer than any scrape may take.
const ANSWER: Duration = Duration::from_mins(3);
/// How often a deadline that moved closer is noticed.
const TICK: Duration = Duration::from_secs(1);
/// How often a full table is looked at again.
const RETRY: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A handshake or a request's head is being read, or the first is awaited.
    Reading,
    /// That many requests are being answered.
    Busy(u32),
    /// No request since the last answer.
    Idle,
}

/// One connection's phase.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    evicted: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Whether bytes came while busy: the head of the next request may have begun.
    early: bool,
    /// Whether bytes between requests need not be the beginning of one (HTTP/2).
    multiplexed: bool,
}

impl Activity {
    fn new() -> Self {
        let state = State { phase: Phase::Reading, since: Instant::now(), early: false, multiplexed: false };
        Self { state: Mutex::new(state), evicted: Notify::new() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The handshake is over: the first request's head has its own time.
    pub(super) fn shaken(&self, multiplexed: bool) {
        self.with(|state| {
            state.since = Instant::now();
            state.multiplexed = multiplexed;
        });
    }

    /// A request is being answered until the result is dropped.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.with(|state| match &mut state.phase {
            Phase::Busy(count) => *count += 1,
            phase => {
                *phase = Phase::Busy(1);
                state.since = Instant::now();
            }
        });
        Answering(Arc::clone(self))
    }

    fn answered(&self) {
        self.with(|state| match &mut state.phase {
            Phase::Busy(count) if *count > 1 => *count -= 1,
            phase => {
                let begun = std::mem::take(&mut state.early) && !state.multiplexed;
                *phase = if begun { Phase::Reading } else { Phase::Idle };
                state.since = Instant::now();
            }
        });
    }

    fn received(&self) {
        self.with(|state| match state.phase {
            Phase::Idle if !state.multiplexed => (state.phase, state.since) = (Phase::Reading, Instant::now()),
            Phase::Busy(_) => state.early = true,
            Phase::Idle | Phase::Reading => {}
        });
    }

    /// An answer goes out: who reads it, however slowly, is not idle.
    fn sent(&self) {
        self.with(|state| {
            if state.phase == Phase::Idle {
                state.since = Instant::now();
            }
        });
    }

    fn deadline(&self) -> Instant {
        self.with(|state| {
            state.since
                + match state.phase {
                    Phase::Reading => HEAD,
                    Phase::Busy(_) => ANSWER,
                    Phase::Idle => IDLE,
                }
        })
    }

    /// Completes when the connection has used up its time, or has to make room.
    pub(super) async fn over(&self) {
        let late = async {
            loop {
                let (now, deadline) = (Instant::now(), self.deadline());
                if deadline <= now {
                    return;
                }
                tokio::time::sleep_until(deadline.min(now + TICK)).await;
            }
        };
        tokio::select! {
            () = late => {}
            () = self.evicted.notified() => {}
        }
    }
}

pub(super) struct Answering(Arc<Activity>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    most: u32,
    places: Places,
    open: Arc<Mutex<BTreeMap<u64, Arc<Activity>>>>,
}

/// A connection among the others, until it is dropped.
pub(super) struct Seat {
    pub(super) activity: Arc<Activity>,
    number: u64,
    open: Arc<Mutex<BTreeMap<u64, Arc<Activity>>>>,
    _place: Place,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        let places = Arc::new(Semaphore::new(most));
        Self { most: u32::try_from(most).unwrap_or(u32::MAX), places, open: Arc::default() }
    }

    /// A seat; where there is none, the connection that has been without a request the longest loses its own.
    pub(super) async fn seat(&self) -> Seat {
        let place = loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                break place;
            }
            self.evict();
            // All may be busy now and idle in a moment.
            let next = Arc::clone(&self.places).acquire_owned();
            if let Ok(Ok(place)) = tokio::time::timeout(RETRY, next).await {
                break place;
            }
        };
        let activity = Arc::new(Activity::new());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.last_key_value().map_or(0, |(number, _)| number + 1);
        open.insert(number, Arc::clone(&activity));
        Seat { activity, number, open: Arc::clone(&self.open), _place: place }
    }

    /// Ends the connection that has been without a request the longest, if there is one.
    pub(super) fn evict(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = open.values().filter_map(|activity| {
            let since = activity.with(|state| (!matches!(state.phase, Phase::Busy(_))).then_some(state.since));
            since.map(|since| (since, activity))
        });
        if let Some((_, activity)) = idle.min_by_key(|(since, _)| *since) {
            activity.evicted.notify_one();
        }
    }

    /// Completes when every connection has ended.
    pub(super) async fn none_left(&self) {
        // Never closed, so it cannot fail.
        self.places.acquire_many(self.most).await.ok();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// A stream that tells its connection's activity of what goes through it.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.received();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if matches!(polled, Poll::Ready(Ok(_))) {
            self.activity.sent();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_longest_idle_makes_room_and_a_busy_one_does_not() {
        let connections = Connections::new(2);
        let busy = connections.seat().await;
        let _answering = busy.activity.answering();
        let idle = connections.seat().await;
        connections.evict();
        idle.activity.over().await;
        drop(idle);
        // The seat is free again.
        connections.seat().await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn half_a_request_behind_another_is_reading() {
        let connections = Connections::new(1);
        let seat = connections.seat().await;
        let phase = || seat.activity.with(|state| state.phase);
        let (first, second) = (seat.activity.answering(), seat.activity.answering());
        seat.activity.received();
        drop(first);
        assert_eq!(phase(), Phase::Busy(1));
        drop(second);
        assert_eq!(phase(), Phase::Reading);
        drop(seat.activity.answering());
        assert_eq!(phase(), Phase::Idle);
        seat.activity.received();
        assert_eq!(phase(), Phase::Reading);
    }

    /// The body of a stream goes out long after its answer was made.
    #[tokio::test(start_paused = true)]
    async fn who_is_sent_something_now_and_then_is_not_idle() {
        let connections = Connections::new(1);
        let seat = connections.seat().await;
        drop(seat.activity.answering());
        let over = tokio::spawn({
            let activity = Arc::clone(&seat.activity);
            async move { activity.over().await }
        });
        for _ in 0..40 {
            tokio::time::sleep(crate::live::HEARTBEAT).await;
            assert!(!over.is_finished());
            seat.activity.sent();
        }
        let silent = Instant::now();
        over.await.expect("no panic");
        assert!(silent.elapsed() >= IDLE);
    }
}
