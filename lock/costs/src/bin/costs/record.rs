//! What is recorded, and how what is measured may differ from it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// In either direction: less is recorded too, so that it cannot be lost again unseen. Between two runs of the same program
/// they differ by less than 1 %, also on a busy machine; the keys of tables could make it 1.5 %.
const TOLERANCE_PERCENT: u64 = 3;
/// The names of the machine and of the temporary directory are in some of them.
const TOLERANCE_BYTES: u64 = 64;

/// The file beside the program.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Record {
    /// What instructions hold for.
    pub(crate) compiler: String,
    /// The same.
    pub(crate) architecture: String,
    /// By operation and part.
    pub(crate) costs: BTreeMap<String, Costs>,
}

/// What a part costs. None was not measured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Costs {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instructions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocations: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_calls: Option<String>,
}

impl Costs {
    /// How this differs from what is recorded, in words. What was not measured does not.
    pub(crate) fn differences(&self, recorded: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some(measured) = self.instructions {
            match recorded.instructions {
                None => differences.push(format!("{measured} instructions, none recorded")),
                Some(recorded) if 100 * measured.abs_diff(recorded) <= TOLERANCE_PERCENT * recorded => {}
                Some(recorded) => {
                    let more = percent(measured, recorded);
                    differences.push(format!("{measured} instructions, recorded {recorded}: {more:+.1} %"));
                }
            }
        }
        if self.allocations.is_some() && self.allocations != recorded.allocations {
            differences.push(format!(
                "{} allocations, recorded {}",
                shown(self.allocations),
                shown(recorded.allocations)
            ));
        }
        if let Some(measured) = self.bytes
            && recorded.bytes.is_none_or(|recorded| measured.abs_diff(recorded) > TOLERANCE_BYTES)
        {
            differences.push(format!("{measured} bytes allocated, recorded {}", shown(recorded.bytes)));
        }
        if self.system_calls.is_some() && self.system_calls != recorded.system_calls {
            let [measured, recorded] = [self, recorded].map(|costs| costs.system_calls.as_deref().unwrap_or("nothing"));
            differences.push(format!("system calls: {measured}\n{:>27}: {recorded}", "recorded"));
        }
        differences
    }
}

/// How much more, of what is recorded.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn percent(measured: u64, recorded: u64) -> f64 {
    100.0 * (measured as f64 / recorded as f64 - 1.0)
}

/// A figure that there may not be.
pub(crate) fn shown(figure: Option<u64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string())
}

#[cfg(test)]
mod tests {
    use super::Costs;

    fn costs(instructions: u64, allocations: u64, bytes: u64, calls: &str) -> Costs {
        let (instructions, allocations, bytes) = (Some(instructions), Some(allocations), Some(bytes));
        Costs { instructions, allocations, bytes, system_calls: Some(calls.to_owned()) }
    }

    #[test]
    fn each_figure_is_compared() {
        let recorded = costs(1000, 3, 500, "write lseek");
        let differ = |measured: Costs| measured.differences(&recorded).len();
        assert_eq!(differ(costs(1030, 3, 564, "write lseek")), 0, "all within their tolerances");
        assert_eq!(differ(costs(1031, 3, 500, "write lseek")), 1, "more instructions");
        assert_eq!(differ(costs(969, 3, 500, "write lseek")), 1, "fewer instructions");
        assert_eq!(differ(costs(1000, 4, 500, "write lseek")), 1, "one more allocation");
        assert_eq!(differ(costs(1000, 2, 500, "write lseek")), 1, "one fewer");
        assert_eq!(differ(costs(1000, 3, 565, "write lseek")), 1, "larger allocations");
        assert_eq!(differ(costs(1000, 3, 500, "lseek write")), 1, "another order of system calls");
        assert_eq!(differ(costs(1031, 4, 565, "write")), 4, "all at once");
    }

    #[test]
    fn what_was_not_measured_does_not_differ_and_what_is_not_recorded_does() {
        assert_eq!(Costs::default().differences(&costs(1000, 3, 500, "write")), [""; 0]);
        assert_eq!(costs(1000, 3, 500, "write").differences(&Costs::default()).len(), 4);
    }
}
