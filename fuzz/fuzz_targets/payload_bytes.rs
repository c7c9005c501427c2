//! The claim decoder takes any bytes: whatever stands in a lock file, it classifies it and never panics.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use session_lock::payload::Content;

fuzz_target!(|bytes: &[u8]| {
    black_box(Content::classify(bytes));
});
