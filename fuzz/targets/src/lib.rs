//! What the fuzz targets do with their bytes. The targets themselves (`fuzz/fuzz_targets/`) are glue; the test `replay` runs the
//! same functions over every kept input, with the ordinary compiler.
//!
//! | Target | Bytes are | Must hold |
//! |---|---|---|
//! | [`payload_bytes`] | a lock file | the decoder does not panic, says what a reference model of the format says, and does not contradict itself |
//! | [`payload_structured`] | changes to a claim of some format | the decoder says what a reference model says |
//! | [`payload_roundtrip`] | a payload, and the length of an old one | what is written reads back |
//! | [`verdict`] | a claim and evidence; a world in which it is known who lives | each rule as documented; no living owner is dead, and unknown stays unknown |
//! | [`on_disk`] | what is at a claim's path | an acquire comes to what it has to, and touches nothing else |
//! | [`schedule`] | who moves next in the model | no property of the protocol is broken |
//! | [`metrics_slots`] | damage to the counters' file | the undamaged slots count, exactly, and the damaged are told |
//! | [`differential`] | a lock file | the older lock reads the same, but for a list of differences |
//!
//! Every function panics on a finding, and on nothing else. The features `exporter` and `model`, both on by default, bring the
//! targets `metrics_slots` and `schedule`.

pub mod differential;
mod json;
#[cfg(feature = "exporter")]
pub mod metrics_slots;
mod older_reader;
pub mod on_disk;
pub mod payload_bytes;
pub mod payload_roundtrip;
pub mod payload_structured;
mod reference;
#[cfg(feature = "model")]
pub mod schedule;
pub mod verdict;

use tempfile::TempDir;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the binary, and of its directories of inputs.
    pub name: &'static str,
    /// Runs it on one input.
    pub run: fn(&[u8]),
}

/// All of them that this was built with.
pub const TARGETS: &[Target] = &[
    Target { name: "payload_bytes", run: payload_bytes::run },
    Target { name: "payload_structured", run: payload_structured::run },
    Target { name: "payload_roundtrip", run: payload_roundtrip::run },
    Target { name: "verdict", run: verdict::run },
    Target { name: "on_disk", run: on_disk::run },
    #[cfg(feature = "model")]
    Target { name: "schedule", run: schedule::run },
    #[cfg(feature = "exporter")]
    Target { name: "metrics_slots", run: metrics_slots::run },
    Target { name: "differential", run: differential::run },
];

/// A directory that goes with its owner: in memory, where there is such a place, because it is written to at each input.
fn temporary() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("some directory is writable")
}
