//! OpenMetrics 1.0: the family's name is the one without the kind's ending, units and exemplars are written.

use super::{Quotes, comment, histogram, number, sample};
use crate::family::{Exemplar, Family, Samples};
use std::fmt::Write as _;

pub(super) fn family(out: &mut String, family: &Family) {
    let (name, full_name) = (&family.name, family.name());
    let kind = match &family.samples {
        Samples::Counter(_) => "counter",
        Samples::Gauge(_) => "gauge",
        Samples::Info(_) => "info",
        Samples::Histogram(_) => "histogram",
    };
    comment(out, "TYPE", name, kind, Quotes::Plain);
    if let Some(unit) = family.unit() {
        comment(out, "UNIT", name, unit, Quotes::Plain);
    }
    comment(out, "HELP", name, &family.help, Quotes::Escaped);
    match &family.samples {
        Samples::Counter(samples) | Samples::Gauge(samples) => {
            for (labels, value) in samples {
                sample(out, &full_name, labels, *value);
            }
        }
        Samples::Info(samples) => {
            for labels in samples {
                sample(out, &full_name, labels, 1.0);
            }
        }
        Samples::Histogram(samples) => {
            for (labels, one) in samples {
                histogram(out, &full_name, labels, one, exemplar);
            }
        }
    }
}

fn exemplar(out: &mut String, exemplar: Option<&Exemplar>) {
    let Some(Exemplar { trace_id, span_id, value, at_seconds }) = exemplar else { return };
    write!(out, " # {{trace_id=\"{trace_id:032x}\",span_id=\"{span_id:016x}\"}} ").expect("a String takes every write");
    number(out, *value);
    if let Some(at_seconds) = at_seconds.filter(|at| at.is_finite()) {
        // Milliseconds, as Prometheus keeps them; fixed point, because a clock's digits are no place for exponents.
        write!(out, " {at_seconds:.3}").expect("a String takes every write");
    }
}
