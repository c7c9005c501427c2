//! A turn: some workers on one lock at the same time, and what their stamps come to.

use crate::peers::Subject;
use crate::run::Run;
use crate::worker::{Stamps, now};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// For how long a worker may go on after the end of its turn.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Turn<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) dir: &'a Path,
    pub(crate) processes: u64,
    pub(crate) hold_us: u64,
    pub(crate) think_max_us: u64,
}

/// Until when.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    After(Duration),
    /// That many operations of each worker.
    Count(u64),
}

/// What one worker wrote.
struct Written {
    ready: u64,
    cpu_ns: u64,
    allocations: Option<u64>,
    stamps: Vec<Stamps>,
}

impl Written {
    fn read(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let words: Vec<_> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let [ready, cpu_ns, allocations, stamps @ ..] = words.as_slice() else { return None };
        let allocations = (*allocations != u64::MAX).then_some(*allocations);
        Some(Self { ready: *ready, cpu_ns: *cpu_ns, allocations, stamps: stamps.as_chunks().0.to_vec() })
    }
}

/// What a turn without contention came to.
pub(crate) struct Alone {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Of one operation.
    pub(crate) allocations: Option<f64>,
}

/// What a turn of several came to.
pub(crate) struct Together {
    pub(crate) per_second: f64,
    /// From the beginning of a release to the acquisition of the next, who had asked before; `None` if there was none.
    pub(crate) handover_us: Option<[f64; 2]>,
    pub(crate) longest_wait_ms: f64,
    /// 1: all acquired equally often; 1/n: one of n acquired alone.
    pub(crate) jain: f64,
    /// Acquisitions of the process that had the fewest.
    pub(crate) least: f64,
    pub(crate) cpu_us: f64,
    /// Acquisitions while another one held.
    pub(crate) overlaps: usize,
}

impl Turn<'_> {
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    pub(crate) fn alone(&self, run: &Run, operations: u64) -> Result<Alone, String> {
        let written = self.written(run, Until::Count(operations))?;
        let mut took: Vec<_> = written.iter().flat_map(|one| &one.stamps).map(|stamps| stamps[3] - stamps[0]).collect();
        let allocations = written[0].allocations.map(|count| count as f64 / operations as f64);
        Ok(Alone { p50_us: micros(percentile(&mut took, 50)), p99_us: micros(percentile(&mut took, 99)), allocations })
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    pub(crate) fn together(&self, run: &Run, length: Duration) -> Result<Together, String> {
        let written = self.written(run, Until::After(length))?;
        let counts: Vec<_> = written.iter().map(|one| one.stamps.len() as f64).collect();
        let mut all: Vec<_> = written.iter().flat_map(|one| one.stamps.iter().copied()).collect();
        if all.is_empty() {
            return Err("nobody acquired".into());
        }
        all.sort_unstable_by_key(|[_, acquired, ..]| *acquired);
        let (mut handovers, mut overlaps, mut held_until) = (Vec::new(), 0, 0);
        for pair in all.windows(2) {
            let [[_, _, releasing, _], [asked, acquired, ..]] = [pair[0], pair[1]];
            held_until = releasing.max(held_until);
            if acquired < held_until {
                overlaps += 1;
            } else if asked < releasing {
                handovers.push(acquired - releasing);
            }
        }
        let handover_us = (!handovers.is_empty()).then(|| [50, 99].map(|p| micros(percentile(&mut handovers, p))));
        let longest = all.iter().map(|[asked, acquired, ..]| acquired - asked).max().unwrap_or_default();
        let (sum, squares) = (counts.iter().sum::<f64>(), counts.iter().map(|count| count * count).sum::<f64>());
        // Its last acquisitions may come after the end, and count with the time that they took.
        let first = all.iter().map(|stamps| stamps[0]).min().unwrap_or_default();
        let last = all.iter().map(|stamps| stamps[3]).max().unwrap_or_default();
        Ok(Together {
            per_second: sum / ((last - first) as f64 / 1e9),
            handover_us,
            longest_wait_ms: longest as f64 / 1e6,
            jain: sum * sum / (counts.len() as f64 * squares),
            least: counts.iter().copied().fold(f64::INFINITY, f64::min),
            cpu_us: written.iter().map(|one| one.cpu_ns as f64 / 1e3).sum::<f64>() / sum,
            overlaps,
        })
    }

    /// Starts the workers with more and more time to begin with, until each was ready in time.
    fn written(&self, run: &Run, until: Until) -> Result<Vec<Written>, String> {
        let leads: &[u64] = match until {
            // Nobody has to begin with somebody else.
            Until::Count(_) => &[0],
            Until::After(_) if self.subject.is_rust() => &[60, 250, 1_000],
            Until::After(_) => &[400, 1_000, 3_000],
        };
        for lead in leads {
            let start = now() + lead * 1_000_000;
            let written = self.started_at(run, start, until)?;
            if *lead == 0 || written.iter().all(|one| one.ready <= start) {
                return Ok(written);
            }
        }
        Err("its processes did not start in time; try again on a quiet machine".into())
    }

    fn started_at(&self, run: &Run, start: u64, until: Until) -> Result<Vec<Written>, String> {
        let (until, end) = match until {
            Until::Count(operations) => (format!("x{operations}"), start),
            Until::After(length) => {
                let end = start + u64::try_from(length.as_nanos()).expect("seconds");
                (end.to_string(), end)
            }
        };
        let out = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory");
        let path = |number: u64| out.path().join(number.to_string());
        let spawn = |number: u64| {
            let mut command = self.subject.command(run, "worker");
            command.arg(self.dir).arg("s");
            command.args([self.hold_us, self.think_max_us, start].map(|number| number.to_string()));
            command.arg(&until).arg(number.to_string()).arg(path(number)).stdin(Stdio::null());
            command.spawn().expect("a worker starts")
        };
        let workers: Vec<_> = (0..self.processes).map(spawn).collect();
        let bound = end + u64::try_from(PATIENCE.as_nanos()).expect("seconds");
        let ended = workers.into_iter().map(|child| ends_well(child, bound));
        // Each is waited for, whatever became of the others.
        if ended.filter(|well| !well).count() > 0 {
            return Err(format!("a worker failed, or had not ended {} s after its turn", PATIENCE.as_secs()));
        }
        let written = (0..self.processes).map(|number| Written::read(&path(number)));
        written.collect::<Option<_>>().ok_or_else(|| "a worker wrote nothing".into())
    }
}

/// Waits until this time at most; then ends it.
pub(crate) fn ends_well(mut child: Child, bound: u64) -> bool {
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status.success();
        }
        if now() > bound {
            child.kill().expect("our child");
            child.wait().expect("our child");
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Of unsorted samples, at least one.
pub(crate) fn percentile(samples: &mut [u64], percent: usize) -> u64 {
    samples.sort_unstable();
    samples[(samples.len() - 1) * percent / 100]
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
pub(crate) fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
