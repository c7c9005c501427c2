//! Metric families as text: Prometheus' format 0.0.4 and OpenMetrics 1.0.
//!
//! No crate writes both: `prometheus` 0.14 knows 0.0.4 alone and no exemplars, `prometheus-client` OpenMetrics alone. Both
//! want the metrics registered and counted in this process; here they come from other processes, by way of a file.
//!
//! Not here: which of the two a client wants (`negotiate`).

mod openmetrics;
mod text;

use crate::family::{Families, Histogram, Labels};
use std::fmt::Write as _;

/// The formats that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
    Text,
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    pub(crate) fn encode(self, families: &Families) -> String {
        let mut out = String::new();
        match self {
            Self::Text => families.iter().for_each(|family| text::family(&mut out, family)),
            Self::OpenMetrics => {
                families.iter().for_each(|family| openmetrics::family(&mut out, family));
                out.push_str("# EOF\n");
            }
        }
        out
    }
}

/// `# keyword name text`, with what would end the line or begin an escape sequence escaped.
fn comment(out: &mut String, keyword: &str, name: &str, text: &str, quotes: Quotes) {
    for part in ["# ", keyword, " ", name, " "] {
        out.push_str(part);
    }
    escape(out, text, quotes);
    out.push('\n');
}

/// `name{labels}` and the blank before the value.
fn series(out: &mut String, name: &str, labels: &Labels, bound: Option<f64>) {
    out.push_str(name);
    let mut separator = '{';
    let mut label = |out: &mut String, name: &str, value: &str| {
        out.push(separator);
        separator = ',';
        out.push_str(name);
        out.push_str("=\"");
        escape(out, value, Quotes::Escaped);
        out.push('"');
    };
    for (name, value) in labels.iter() {
        label(out, name, value);
    }
    if let Some(bound) = bound {
        let mut text = String::new();
        number(&mut text, bound);
        label(out, "le", &text);
    }
    out.push_str(if separator == '{' { " " } else { "} " });
}

/// One histogram, with `after` writing what follows a bucket's value.
fn histogram(
    out: &mut String,
    name: &str,
    labels: &Labels,
    histogram: &Histogram,
    after: impl Fn(&mut String, Option<&crate::family::Exemplar>),
) {
    let mut below = 0_u64;
    for bucket in &histogram.buckets {
        below = below.saturating_add(bucket.count);
        series(out, &format!("{name}_bucket"), labels, Some(bucket.upper));
        whole(out, below);
        after(out, bucket.exemplar.as_ref());
        out.push('\n');
    }
    series(out, &format!("{name}_sum"), labels, None);
    number(out, histogram.sum);
    out.push('\n');
    series(out, &format!("{name}_count"), labels, None);
    whole(out, below);
    out.push('\n');
}

fn sample(out: &mut String, name: &str, labels: &Labels, value: f64) {
    series(out, name, labels, None);
    number(out, value);
    out.push('\n');
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Escaped,
    Plain,
}

fn escape(out: &mut String, text: &str, quotes: Quotes) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes == Quotes::Escaped => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

/// A number as both formats and their canonical bounds want it: `1.0`, `0.001`, `+Inf`.
fn number(out: &mut String, value: f64) {
    let written = if value.is_nan() {
        out.push_str("NaN");
        Ok(())
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        Ok(())
    } else {
        // The shortest digits that read back as the same number.
        write!(out, "{value:?}")
    };
    written.expect("a String takes every write");
}

fn whole(out: &mut String, value: u64) {
    write!(out, "{value}").expect("a String takes every write");
}

#[cfg(test)]
mod tests;
