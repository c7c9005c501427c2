//! `latency.hgrm`: the percentile distributions in the text format of `HdrHistogram`'s `outputPercentileDistribution`.
//!
//! Each of the four sections has a line `# section: NAME` before it. Whatever begins with `#` is a comment to the format's
//! readers, and to the plotter that comes with `HdrHistogram`, which takes every line of four numbers for a point: so it
//! draws the sections of one file as one line, and the head of the file says how to split it.

use std::fmt::{self, Write};

use hdrhistogram::Histogram;

use super::Results;
use crate::figures::Latency;

/// So many lines for each halving of the distance to 100 %: as the other implementations have it.
const TICKS: u32 = 5;

/// The content of the file.
pub(super) fn text(results: &Results) -> String {
    let mut text = String::new();
    sections(results, &mut text).expect("a string takes everything");
    text
}

fn sections(results: &Results, text: &mut String) -> fmt::Result {
    writeln!(text, "# Latencies of a stress run with seed {}, all values in microseconds.", results.seed)?;
    writeln!(text, "# Four sections in the format of HdrHistogram. To plot them each by itself, split them:")?;
    writeln!(text, "# awk '/^# section: /{{ file = $3 \".hgrm\" }} file {{ print > file }}' latency.hgrm")?;
    for Latency { name, definition, histogram } in results.figures.latencies().each() {
        writeln!(text, "\n# section: {name}\n# {definition}")?;
        section(histogram, text)?;
    }
    Ok(())
}

fn section(histogram: &Histogram<u64>, text: &mut String) -> fmt::Result {
    writeln!(text, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (Decimals(step.value_iterated_to()), step.quantile_iterated_to());
        write!(text, "{value} {quantile:14.12} {total:>10}")?;
        // The last line has no fourth column: it would be infinite.
        if quantile < 1.0 { writeln!(text, " {:>14.2}", 1.0 / (1.0 - quantile))? } else { writeln!(text)? }
    }
    let (mean, deviation) = (histogram.mean(), histogram.stdev());
    writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]")?;
    writeln!(text, "#[Max     = {}, Total count    = {:>12}]", Decimals(histogram.max()), histogram.len())?;
    let within_a_bucket = (2 * 10_u32.pow(histogram.sigfig().into())).next_power_of_two();
    writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {within_a_bucket:>12}]", histogram.buckets())
}

/// A whole number with the three decimals that the format has.
struct Decimals(u64);

impl fmt::Display for Decimals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8}.000", self.0)
    }
}
