//! Mixes, as many at a time as there are threads. Each search is on one thread, so its result does not depend on their number;
//! only a bound on memory, of which each gets its part, can end one earlier.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::model::{Outcome, Progress, Scenario, Watched, search_watched};

/// What became of one mix.
pub(super) struct Searched {
    pub(super) scenario: Scenario,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// How often a search says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Searches all of them. In the order in which they were given, whatever ended first.
pub(super) fn all(scenarios: &[Scenario], threads: usize, memory: usize, interrupted: &AtomicBool) -> Vec<Searched> {
    let threads = threads.clamp(1, scenarios.len().max(1));
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let searched = one(scenario, memory / threads, interrupted);
                    results.lock().expect("no search panics").push(searched);
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no search panics");
    let place = |searched: &Searched| scenarios.iter().position(|scenario| *scenario == searched.scenario);
    results.sort_by_key(place);
    results
}

fn one(scenario: &Scenario, memory: usize, interrupted: &AtomicBool) -> Searched {
    let begun = Instant::now();
    let mut said = begun;
    let outcome = search_watched(scenario, memory, &mut |progress| {
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            say(scenario, &progress, begun.elapsed());
        }
        if interrupted.load(Ordering::Relaxed) { Watched::Stop } else { Watched::GoOn }
    });
    Searched { scenario: *scenario, outcome, took: begun.elapsed() }
}

fn say(scenario: &Scenario, progress: &Progress, took: Duration) {
    let Progress { depth, states, ahead, memory } = progress;
    let rate = rate(*states, took);
    let (name, mebibytes) = (scenario.name, memory >> 20);
    // Nobody has to read it.
    writeln!(std::io::stderr(), "{name}: {states} states, {ahead} ahead, depth {depth}, {rate:.0}/s, {mebibytes} MiB")
        .ok();
}

/// States a second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
pub(super) fn rate(states: usize, took: Duration) -> f64 {
    states as f64 / took.as_secs_f64().max(1e-6)
}
