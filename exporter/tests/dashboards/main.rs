//! What is in `dashboards/`: rules, their tests, the runbook, and Grafana's dashboards. They hold together, name only what the
//! exporter serves, and say something when a real Prometheus evaluates them.

mod catalogue;
mod causes;
mod expression;
mod files;
mod fires;
mod live;
mod names;
mod panels;
mod quicker;
mod rules;
mod runbook;
#[path = "../prometheus/serving.rs"]
#[allow(dead_code, reason = "the other test program uses the rest of it")]
mod serving;
