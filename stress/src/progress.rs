//! How a run shows that it is under way: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::figures::Figures;
use crate::oracle::Findings;

/// Shows a run's progress on standard error.
pub(crate) enum Progress {
    Bar { bar: ProgressBar, due: Instant },
    Lines { prefix: String, due: Instant },
}

const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    pub(crate) fn start(prefix: &str, duration: Duration) -> Self {
        if !stderr().is_terminal() {
            return Self::Lines { prefix: prefix.to_owned(), due: Instant::now() + LINE_EVERY };
        }
        let style = ProgressStyle::with_template("{elapsed} {bar:16.cyan/dim} {prefix}: {wide_msg}")
            .expect("the template is well-formed");
        let bar = ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).with_style(style);
        Self::Bar { bar: bar.with_prefix(prefix.to_owned()), due: Instant::now() }
    }

    /// Shows where the run is, if it is time to.
    pub(crate) fn show(&mut self, elapsed: Duration, findings: &Findings, figures: &Figures) {
        let now = Instant::now();
        match self {
            Self::Bar { bar, due } if *due <= now => {
                *due = now + BAR_EVERY;
                bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
                bar.set_message(line(elapsed, findings, figures));
            }
            Self::Lines { prefix, due } if *due <= now => {
                *due = now + LINE_EVERY;
                eprintln!("{prefix} {:>3} s: {}", elapsed.as_secs(), line(elapsed, findings, figures));
            }
            _ => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

fn line(elapsed: Duration, findings: &Findings, figures: &Figures) -> String {
    let Findings { acquired, kills, kills_inside, takeovers, violations, .. } = findings;
    let per_second = u128::from(*acquired) * 1000 / elapsed.as_millis().max(1);
    let longest = Duration::from_millis(figures.longest_wait_us() / 1000);
    format!(
        "{acquired} acquired ({per_second}/s), {violations} violations, {kills} kills ({kills_inside} inside), \
         {takeovers} takeovers, longest wait {longest:?}"
    )
}
