//! The text format 0.0.4: no units, no exemplars, an info is a gauge.

use super::{Quotes, comment, histogram, sample};
use crate::family::{Family, Samples};

pub(super) fn family(out: &mut String, family: &Family) {
    let name = family.name();
    comment(out, "HELP", &name, &family.help, Quotes::Plain);
    let kind = match &family.samples {
        Samples::Counter(_) => "counter",
        Samples::Gauge(_) | Samples::Info(_) => "gauge",
        Samples::Histogram(_) => "histogram",
    };
    comment(out, "TYPE", &name, kind, Quotes::Plain);
    match &family.samples {
        Samples::Counter(samples) | Samples::Gauge(samples) => {
            for (labels, value) in samples {
                sample(out, &name, labels, *value);
            }
        }
        Samples::Info(samples) => {
            for labels in samples {
                sample(out, &name, labels, 1.0);
            }
        }
        Samples::Histogram(samples) => {
            for (labels, one) in samples {
                histogram(out, &name, labels, one, |_, _| {});
            }
        }
    }
}
