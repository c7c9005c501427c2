//! How a run shows that it is under way: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::figures::Figures;
use crate::oracle::Findings;

/// Shows a run's progress on standard error.
pub(crate) enum Progress {
    Bar { bar: ProgressBar, due: Instant, mood: Mood },
    Lines { prefix: String, due: Instant },
}

/// What the colour of the bar says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Calm,
    /// A violation was found.
    Alarmed,
}

const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);

impl Mood {
    fn of(findings: &Findings) -> Self {
        if findings.violations > 0 { Self::Alarmed } else { Self::Calm }
    }

    /// The colours are left out where `NO_COLOR` asks for that.
    fn style(self) -> ProgressStyle {
        let template = match self {
            Self::Calm => "{elapsed} {bar:16.cyan/dim} {prefix}: {wide_msg}",
            Self::Alarmed => "{elapsed} {bar:16.red/dim} {prefix}: {wide_msg:.red.bold}",
        };
        ProgressStyle::with_template(template).expect("the template is well-formed")
    }
}

impl Progress {
    pub(crate) fn start(prefix: &str, duration: Duration) -> Self {
        if !stderr().is_terminal() {
            return Self::Lines { prefix: prefix.to_owned(), due: Instant::now() + LINE_EVERY };
        }
        let mood = Mood::Calm;
        let bar = ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).with_style(mood.style());
        Self::Bar { bar: bar.with_prefix(prefix.to_owned()), due: Instant::now(), mood }
    }

    /// Shows where the run is, if it is time to.
    pub(crate) fn show(&mut self, elapsed: Duration, findings: &Findings, figures: &Figures) {
        let now = Instant::now();
        match self {
            Self::Bar { bar, due, mood } if *due <= now => {
                *due = now + BAR_EVERY;
                if *mood != Mood::of(findings) {
                    *mood = Mood::of(findings);
                    bar.set_style(mood.style());
                }
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

/// The most important first: a narrow terminal cuts the line off.
fn line(elapsed: Duration, findings: &Findings, figures: &Figures) -> String {
    let Findings { acquired, kills, kills_inside, takeovers, violations, .. } = findings;
    let per_second = u128::from(*acquired) * 1000 / elapsed.as_millis().max(1);
    let faults: u64 = findings.faults.values().sum();
    let longest = Duration::from_millis(figures.latencies().longest_wait_us() / 1000);
    format!(
        "{violations} violations, {per_second}/s, {kills} kills ({kills_inside} inside), {takeovers} takeovers, {faults} \
         faults, {acquired} acquired, longest wait {longest:?}"
    )
}
