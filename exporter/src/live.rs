//! What the page is made of, kept fresh for all who look at it, and only while somebody does.
//!
//! Looking at every claim of a large directory costs a tenth of a second and more. So pages and streams share what was
//! seen last, for a moment ([`FRESH`]). While streams are open, one task looks once a second; a look that comes to
//! something else raises the version, and the streams tell their pages, which fetch themselves anew. Without streams nothing
//! looks. What a stream sends is a number, so a client costs next to nothing while nothing happens.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::response::sse::Event;
use futures_util::future::join_all;
use futures_util::stream::{Stream, unfold};
use session_lock::Inspection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::exporter::{Exporter, Looked};
use crate::flight::Flight;
use crate::source::Survey;

/// How old what is shown may be. A little less than [`PERIOD`], so that each round of the task is a look.
const FRESH: Duration = Duration::from_millis(900);

/// How often the task looks, and a stream says something, at most.
const PERIOD: Duration = Duration::from_secs(1);

/// Of its time, the task spends at most one part in this many on looking.
const SHARE: u32 = 5;

/// How long a page waits for a directory before it shows what was seen of it last.
const PATIENCE: Duration = Duration::from_secs(2);

/// A page is fetched anew after this long even if nothing happened, so that its curves go on.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often a stream with nothing to say shows that it is alive: less than proxies and this crate's server allow.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream lasts. Its page connects again, and is asked again who it is.
const LIFETIME: Duration = Duration::from_mins(10);

/// How soon a page whose stream ended connects again.
const RETRY: Duration = Duration::from_secs(1);

/// Most streams at a time.
pub(crate) const MOST_STREAMS: usize = 64;

/// The streams, and the task behind them.
#[derive(Debug)]
pub(crate) struct Live {
    version: watch::Sender<u64>,
    places: Arc<Semaphore>,
    ended: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Of one directory, what was seen last.
#[derive(Debug, Default)]
pub(crate) struct Surveys {
    flight: Flight<()>,
    last: Arc<Mutex<Surveyed>>,
}

/// What was seen of a directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surveyed {
    /// The version that it is of.
    pub(crate) version: u64,
    pub(crate) survey: Arc<Survey>,
    /// When it was seen; `None` if it never was.
    pub(crate) at: Option<SystemTime>,
    /// Why it was not seen again when it should have been.
    pub(crate) silent: Option<String>,
    tried: Option<Instant>,
    raised: Option<Instant>,
}

impl Live {
    pub(crate) fn new() -> Self {
        // Versions of one process are never those of the one before it: a page that outlived a restart fetches itself anew.
        let begin = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            version: watch::Sender::new(u64::try_from(begin.as_micros()).unwrap_or_default()),
            places: Arc::new(Semaphore::new(MOST_STREAMS)),
            ended: watch::Sender::new(false),
            task: Mutex::default(),
        }
    }

    /// Ends all streams, and lets no new one begin.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The versions from now on, with a task behind them.
    fn follow(&self, exporter: &Exporter) -> watch::Receiver<u64> {
        let mut task = self.task();
        let mut versions = self.version.subscribe();
        // The page may be older than the stream.
        versions.mark_changed();
        // One that has finished was cut off by the end of its runtime.
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(look_while_followed(exporter.clone())));
        }
        versions
    }
}

/// A stream of events, each with a version; `None` where there are too many, or the end has begun.
pub(crate) fn stream(exporter: &Exporter) -> Option<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let live = &exporter.shared.live;
    let place = Arc::clone(&live.places).try_acquire_owned().ok()?;
    let ended = live.ended.subscribe();
    if *ended.borrow() {
        return None;
    }
    let following = Following::new(live.follow(exporter), ended, place);
    Some(unfold(following, |mut following| async move {
        let told = following.told().await?;
        Some((Ok(told.event()), following))
    }))
}

/// What a stream has to say.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Version(u64),
    Alive,
}

impl Told {
    fn event(self) -> Event {
        match self {
            Self::Version(version) => Event::default().event("changed").data(version.to_string()).retry(RETRY),
            Self::Alive => Event::default().comment("alive"),
        }
    }
}

struct Following {
    versions: watch::Receiver<u64>,
    ended: watch::Receiver<bool>,
    /// Not before.
    next: tokio::time::Instant,
    until: tokio::time::Instant,
    _place: OwnedSemaphorePermit,
}

impl Following {
    fn new(versions: watch::Receiver<u64>, ended: watch::Receiver<bool>, place: OwnedSemaphorePermit) -> Self {
        let now = tokio::time::Instant::now();
        Self { versions, ended, next: now, until: now + LIFETIME, _place: place }
    }

    /// The next; `None` at the end.
    async fn told(&mut self) -> Option<Told> {
        let heartbeat = self.until.min(tokio::time::Instant::now() + HEARTBEAT);
        let next = self.next;
        let changed = async {
            sleep_until(next).await;
            self.versions.changed().await
        };
        let told = tokio::select! {
            _ = self.ended.wait_for(|ended| *ended) => return None,
            // Only where the exporter is gone.
            changed = changed => changed.ok().map(|()| Told::Version(*self.versions.borrow_and_update()))?,
            () = sleep_until(heartbeat) => Told::Alive,
        };
        let now = tokio::time::Instant::now();
        if now >= self.until {
            return None;
        }
        self.next = now + PERIOD;
        Some(told)
    }
}

async fn look_while_followed(exporter: Exporter) {
    let (directories, live) = (&exporter.shared.directories, &exporter.shared.live);
    loop {
        let begin = Instant::now();
        join_all(directories.iter().map(|directory| surveyed(live, directory))).await;
        tokio::time::sleep(PERIOD.max(begin.elapsed() * (SHARE - 1))).await;
        let mut task = live.task();
        if live.version.receiver_count() == 0 {
            *task = None;
            return;
        }
    }
}

/// What a directory looks like, fresh where that can be had.
pub(crate) async fn surveyed(live: &Live, directory: &Looked) -> Surveyed {
    let surveys = &directory.surveys;
    let last = surveys.last();
    if last.tried.is_some_and(|tried| tried.elapsed() < FRESH) {
        return last;
    }
    let deadline = Instant::now() + PATIENCE;
    let source = Arc::clone(&directory.source);
    let (kept, version) = (Arc::clone(&surveys.last), live.version.clone());
    let look = move || {
        let survey = source.survey(deadline);
        keep(&kept, &version, Ok(survey));
    };
    if let Err(no_answer) = surveys.flight.join(deadline, look).await {
        keep(&surveys.last, &live.version, Err(no_answer.to_string()));
    }
    surveys.last()
}

impl Surveys {
    fn last(&self) -> Surveyed {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps what came of a look, as a new version if it is something else than before.
fn keep(kept: &Mutex<Surveyed>, version: &watch::Sender<u64>, came: Result<Survey, String>) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let silent = came.as_ref().err().cloned();
    let same = silent == kept.silent && came.as_ref().map_or(true, |survey| looks_like(survey, &kept.survey));
    if let Ok(survey) = came {
        kept.survey = Arc::new(survey);
        kept.at = Some(SystemTime::now());
    }
    kept.silent = silent;
    kept.tried = Some(now);
    if !same || kept.raised.is_none_or(|raised| now.saturating_duration_since(raised) >= LONGEST_PAUSE) {
        kept.raised = Some(now);
        version.send_modify(|version| {
            *version += 1;
            kept.version = *version;
        });
    }
}

/// Whether nothing has happened between two looks; that time has passed is nothing.
fn looks_like(one: &Survey, other: &Survey) -> bool {
    let counters = |survey: &Survey| {
        let metrics = survey.metrics.as_ref()?;
        Some((metrics.families().collect::<Vec<_>>(), metrics.waits.clone(), metrics.contentions.clone()))
    };
    one.error == other.error
        && one.locks.len() == other.locks.len()
        && one.locks.iter().zip(&other.locks).all(|(one, other)| stands_like(one, other))
        && counters(one) == counters(other)
}

fn stands_like(one: &Inspection, other: &Inspection) -> bool {
    let labels = |lock: &Inspection| lock.waiters.here.iter().map(|waiter| waiter.label.clone()).collect::<Vec<_>>();
    one.name == other.name
        && one.state == other.state
        && one.holder == other.holder
        && one.reason == other.reason
        && one.note == other.note
        && labels(one) == labels(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Directory, Source};
    use session_lock::LockDir;

    #[test]
    fn what_happens_looks_like_something_else_and_time_that_passes_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let locks = LockDir::open(directory.path()).expect("a directory for locks");
        let source = Directory::new("sessions", directory.path());
        let look = || source.survey(Instant::now());
        let empty = look();
        let guard = locks.lock("42.jsonl").blocking().expect("free");
        // So that what its process writes later is written.
        std::thread::sleep(Duration::from_millis(100));
        let held = look();
        assert!(!looks_like(&empty, &held), "a claim is there");
        std::thread::sleep(Duration::from_millis(20));
        assert!(looks_like(&held, &look()));
        guard.release().expect("ours");
        let released = look();
        assert!(!looks_like(&held, &released));
        drop(locks.lock("42.jsonl").blocking().expect("free"));
        assert!(!looks_like(&released, &look()), "it was counted");
    }

    #[test]
    fn a_version_is_raised_by_what_is_something_else() {
        let (kept, version) = (Mutex::default(), watch::Sender::new(0));
        let came = [(Ok("a"), 1), (Ok("a"), 1), (Ok("b"), 2), (Err("late"), 3), (Err("late"), 3), (Ok("b"), 4)];
        for (came, expected) in came {
            let survey = |error: &str| Survey { error: Some(error.to_owned()), ..Survey::default() };
            keep(&kept, &version, came.map(survey).map_err(str::to_owned));
            let kept: Surveyed = kept.lock().expect("no panic").clone();
            assert_eq!((*version.borrow(), kept.version), (expected, expected));
        }
        let error = kept.into_inner().expect("no panic").survey.error.clone();
        assert_eq!(error.as_deref(), Some("b"), "what was seen last stays");
    }

    /// A stream of versions that nothing raises by itself, and what keeps it open.
    fn following() -> (Following, watch::Sender<u64>, watch::Sender<bool>) {
        let (version, ended) = (watch::Sender::new(1), watch::Sender::new(false));
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("there is one");
        let mut versions = version.subscribe();
        versions.mark_changed();
        (Following::new(versions, ended.subscribe(), place), version, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_a_change_shows_that_it_is_alive_until_its_time_is_over() {
        let (mut following, _version, _ended) = following();
        assert_eq!(following.told().await, Some(Told::Version(1)));
        let begin = tokio::time::Instant::now();
        for nth in 1..LIFETIME.as_secs() / HEARTBEAT.as_secs() {
            assert_eq!(following.told().await, Some(Told::Alive), "{nth}");
            assert_eq!(begin.elapsed().as_secs(), nth * HEARTBEAT.as_secs());
        }
        assert_eq!(following.told().await, None);
        assert_eq!(begin.elapsed(), LIFETIME);
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_told_once_in_a_period_and_the_last_is_not_lost() {
        let (mut following, version, ended) = following();
        assert_eq!(following.told().await, Some(Told::Version(1)));
        let begin = tokio::time::Instant::now();
        for number in 2..100 {
            version.send_replace(number);
        }
        assert_eq!(following.told().await, Some(Told::Version(99)));
        assert_eq!(begin.elapsed(), PERIOD);
        version.send_replace(100);
        ended.send_replace(true);
        assert_eq!(following.told().await, None, "the end comes at once");
    }
}
