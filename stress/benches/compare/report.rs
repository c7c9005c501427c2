//! What was measured: figures, and what could not be measured and why.

use serde::Serialize;

/// One figure: what a subject took or did, in rounds that were interleaved with those of the other subjects.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) section: &'static str,
    /// `ext4`, `tmpfs`, or `-` where it does not matter.
    pub(crate) file_system: String,
    /// `session-lock`, `floor`, or a peer.
    pub(crate) subject: String,
    /// What was measured: `acquire + release p50`.
    pub(crate) what: String,
    pub(crate) unit: Unit,
    /// On what it depends, for a curve: how many locks, waiters, processes or files.
    pub(crate) at: Option<u64>,
    /// The median over the rounds, with the least and the greatest.
    pub(crate) value: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
    pub(crate) rounds: usize,
}

/// In what a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Microseconds,
    Milliseconds,
    PerSecond,
    Count,
    Mebibytes,
    Ratio,
}

/// Something that is named in the report instead of being left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Missing {
    pub(crate) section: &'static str,
    pub(crate) subject: String,
    /// Why, and what to do to have it measured.
    pub(crate) why: String,
}

/// All that a run has measured so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) figures: Vec<Figure>,
    pub(crate) missing: Vec<Missing>,
}
