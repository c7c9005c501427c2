//! What stands in an expression of `PromQL`: which series, and which of their labels.

use std::collections::BTreeSet;
use std::convert::Infallible;

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use crate::catalogue::Catalogue;

/// What Grafana puts in the place of its variables: first the times, which `PromQL` does not parse with a dollar.
const TIMES: [(&str, &str); 2] = [("$__rate_interval", "5m"), ("$__range", "1h")];
const LABELS: [(&str, &str); 3] = [("$job", ".+"), ("$instance", ".+"), ("$directory", ".+")];

/// An expression as Prometheus gets it from Grafana.
pub(crate) fn substituted(expression: &str) -> String {
    put(put(expression.to_owned(), &TIMES), &LABELS)
}

fn put(expression: String, values: &[(&str, &str)]) -> String {
    values.iter().fold(expression, |text, (variable, value)| text.replace(variable, value))
}

/// A selector with what is done to it.
pub(crate) struct Selected {
    pub(crate) name: String,
    /// Label and value of each matcher, variables as they are.
    pub(crate) matchers: Vec<(String, String)>,
    pub(crate) over_time: bool,
}

/// The selectors of a panel's expression.
pub(crate) fn selected(expression: &str) -> Vec<Selected> {
    let expression = put(expression.to_owned(), &TIMES);
    let parsed = parser::parse(&expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let selected = found(&parsed).selectors.into_iter().map(|(selector, over_time)| Selected {
        name: selector.name.unwrap_or_default(),
        matchers: selector.matchers.matchers.into_iter().map(|matcher| (matcher.name, matcher.value)).collect(),
        over_time,
    });
    selected.collect()
}

#[derive(Default)]
struct Found {
    /// Each with whether it is a range.
    selectors: Vec<(VectorSelector, bool)>,
    /// What is aggregated, and by which labels.
    groupings: Vec<(Expr, Vec<String>)>,
}

impl ExprVisitor for Found {
    type Error = Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
        match expression {
            Expr::VectorSelector(selector) => self.selectors.push((selector.clone(), false)),
            Expr::MatrixSelector(matrix) => self.selectors.push((matrix.vs.clone(), true)),
            Expr::Aggregate(aggregate) => {
                if let Some(LabelModifier::Include(labels)) = &aggregate.modifier {
                    self.groupings.push(((*aggregate.expr).clone(), labels.labels.clone()));
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

fn found(expression: &Expr) -> Found {
    let mut found = Found::default();
    let Ok(_) = walk_expr(&mut found, expression);
    found
}

/// What is wrong with the names in an expression; none if nothing is.
pub(crate) fn faults(expression: &str, known: &Catalogue) -> Vec<String> {
    let parsed = match parser::parse(&substituted(expression)) {
        Ok(parsed) => parsed,
        Err(error) => return vec![format!("it does not parse: {error}")],
    };
    let Found { selectors, groupings } = found(&parsed);
    let mut faults: Vec<_> = selectors.iter().flat_map(|(selector, _)| selector_faults(selector, known)).collect();
    for (aggregated, by) in groupings {
        let inner = found(&aggregated).selectors;
        let names = inner.iter().filter_map(|(selector, _)| selector.name.as_deref());
        let labels: BTreeSet<&str> = names.filter_map(|name| known.labels(name)).flatten().collect();
        let unknown = by.iter().filter(|label| !labels.contains(label.as_str()));
        faults.extend(unknown.map(|label| format!("nothing that is aggregated by {label} has it")));
    }
    faults
}

fn selector_faults(selector: &VectorSelector, known: &Catalogue) -> Vec<String> {
    let Some(name) = &selector.name else { return vec!["a selector without a name".to_owned()] };
    let Some(labels) = known.labels(name) else { return vec![format!("nobody serves {name}")] };
    let mut faults = Vec::new();
    for matcher in &selector.matchers.matchers {
        if !labels.contains(matcher.name.as_str()) {
            faults.push(format!("{name} has no label {}", matcher.name));
            continue;
        }
        let values: Vec<&str> = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => vec![&matcher.value],
            // Alternatives; anything else is no list of values.
            MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
        };
        let unknown = values.iter().filter(|value| **value != ".+" && !known.can_be(name, &matcher.name, value));
        faults.extend(unknown.map(|value| format!("{}=\"{value}\" never is on {name}", matcher.name)));
    }
    faults
}

#[test]
fn faults_are_found() {
    let known = Catalogue::served();
    let good = "sum by (directory, by) (rate(session_lock_contended_total{by=\"foreign\", job=~\"$job\"}[5m]))";
    assert_eq!(faults(good, &known), [""; 0]);
    for (bad, said) in [
        ("rate(session_lock_contended_total[5m]", "parse"),
        ("session_lock_contention_total", "nobody serves session_lock_contention_total"),
        ("session_lock_contended_total{cause=\"foreign\"}", "has no label cause"),
        ("session_lock_contended_total{by=\"alien\"}", "by=\"alien\""),
        ("session_lock_contended_total{by=~\"foreign|alien\"}", "by=\"alien\""),
        ("sum by (reason) (session_lock_contended_total)", "aggregated by reason"),
        ("{by=\"foreign\"}", "without a name"),
        ("rate(session_lock_wait_seconds[5m])", "nobody serves session_lock_wait_seconds"),
    ] {
        let found = faults(bad, &known).join("\n");
        assert!(found.contains(said), "{bad}: {found:?}");
    }
}
