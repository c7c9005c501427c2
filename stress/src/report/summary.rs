//! What the terminal shows when a run is over: the verdict, the figures, what is missing, and where everything is.

use std::fmt;

use anstyle::{AnsiColor, Style};

use super::Results;
use crate::fault::Fault;
use crate::figures::Spread;
use crate::oracle::Findings;
use crate::verdict::{Verdict, sentence};

/// The styles of the summary.
#[derive(Debug, Clone, Copy, Default)]
struct Paint {
    verdict: Style,
    doubt: Style,
    faint: Style,
}

/// A summary in these styles.
struct Summary<'a>(&'a Results, Paint);

impl Results {
    /// The summary with colours. To be written to a stream that takes them out where they are not wanted.
    pub(crate) fn painted(&self) -> String {
        let colour = match self.verdict {
            Verdict::Valid => AnsiColor::Green,
            Verdict::Violation => AnsiColor::Red,
            Verdict::Inconclusive => AnsiColor::Yellow,
        };
        let doubt = AnsiColor::Yellow.on_default();
        Summary(self, Paint { verdict: colour.on_default().bold(), doubt, faint: Style::new().dimmed() }).to_string()
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Summary(self, Paint::default()).fmt(f)
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(results, Paint { verdict, doubt, .. }) = self;
        let said = sentence(results.verdict, &results.findings);
        writeln!(f, "{verdict}{said}{verdict:#}")?;
        for text in &results.doubts {
            writeln!(f, "  {doubt}{text}{doubt:#}")?;
        }
        for story in results.findings.stories.iter().take(1) {
            write!(f, "\n{story}")?;
        }
        writeln!(f)?;
        self.figures(f)?;
        self.whereabouts(f)
    }
}

impl Summary<'_> {
    fn figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(results, Paint { faint, .. }) = self;
        let findings = &results.findings;
        let Findings { acquired, kills, kills_inside, takeovers, stops, timeouts, errors, lost, explained, .. } =
            findings;
        let (fairness, latency) = (results.figures.fairness(), &results.latency);
        let kills = format!("{kills} kills ({kills_inside} inside holds), {takeovers} takeovers, {stops} stops");
        let told = explained.timeouts + explained.errors + explained.lost;
        let failures = match timeouts + errors + lost {
            0 => "none".to_owned(),
            _ => format!("{timeouts} timeouts, {errors} errors, {lost} claims lost; {told} of them by a fault"),
        };
        let rows = [
            ("acquisitions", format!("{acquired} ({} per second)", results.acquisitions_per_second)),
            ("per worker", format!("{} to {}, Jain index {:.3}", fairness.least, fairness.most, fairness.jain)),
            ("faults", kills),
            ("failures", failures),
            ("acquire", latency.acquire.to_string()),
            ("hand-over", latency.hand_over.to_string()),
            ("takeover", latency.takeover.to_string()),
            ("after a kill", latency.recovery.to_string()),
        ];
        let others =
            findings.faults.iter().filter(|(fault, _)| !matches!(fault, Fault::Kill | Fault::KillInside | Fault::Stop));
        let others: Vec<_> = others.map(|(fault, count)| format!("{count} {}", fault.name())).collect();
        let others = (!others.is_empty()).then(|| ("and", others.join(", ")));
        let reasons = results.takeovers_by_reason.iter();
        let reasons: Vec<_> = reasons.map(|(reason, count)| format!("{count} {}", reason.replace('_', "-"))).collect();
        let reasons = (!reasons.is_empty()).then(|| ("taken over", reasons.join(", ")));
        let inherent = findings
            .inherent
            .iter()
            .map(|known| ("inherent", format!("{} overlaps of {}", known.count, known.overlap)));
        for (what, figure) in rows.into_iter().chain(others).chain(reasons).chain(inherent) {
            writeln!(f, "  {faint}{what:<13}{faint:#} {figure}")?;
        }
        Ok(())
    }

    fn whereabouts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(results, Paint { faint, .. }) = self;
        let dir = &results.dir;
        writeln!(f, "\n  {faint}{:<13}{faint:#} {dir} ({})", "kept in", Bytes(results.bytes))?;
        writeln!(f, "  {faint}{:<13}{faint:#} {dir}/report.html", "look at")?;
        if results.verdict == Verdict::Valid {
            return Ok(());
        }
        let dir = Quoted(dir);
        let rows = [
            ("also there", "results.json, junit.xml, latency.hgrm, history, workers.log".to_owned()),
            ("judge again", format!("stress judge {dir}")),
            ("all records", format!("stress history {dir}")),
            ("run again", format!("stress replay {dir}")),
        ];
        for (what, how) in rows {
            writeln!(f, "  {faint}{what:<13}{faint:#} {how}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("never measured");
        }
        let [p50, p99, max] = [self.p50_us, self.p99_us, self.max_us].map(Micros);
        write!(f, "p50 {p50}, p99 {p99}, max {max}")
    }
}

/// A path as one word of a command line.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            write!(f, "'{}'", self.0.replace('\'', r"'\''"))
        }
    }
}

struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us @ 0..1_000 => write!(f, "{us} µs"),
            us @ 1_000..1_000_000 => write!(f, "{}.{} ms", us / 1_000, us % 1_000 / 100),
            us => write!(f, "{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
        }
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..1_000_000 => write!(f, "{} kB", bytes.div_ceil(1_000)),
            bytes @ 1_000_000..1_000_000_000 => write!(f, "{} MB", bytes / 1_000_000),
            bytes => write!(f, "{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
        }
    }
}
