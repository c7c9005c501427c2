//! See `session_lock_fuzz_targets::schedule`. The fuzzer is shown which states of the model an input comes to, as if each were a
//! branch of the code: code coverage alone says nothing of the order of things.

#![no_main]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use session_lock_fuzz_targets::schedule::Subject;

/// A power of two. States share counters once there are more of them, so what is new is noticed late, not never.
const COUNTERS: usize = 1 << 12;

// SAFETY: libFuzzer looks for counters in this section, and nothing else is in it: bytes, which any value is valid for.
#[expect(unsafe_code, reason = "the only way to name a section")]
#[used] // By libFuzzer alone: nothing here reads it, so the compiler would leave it out.
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static STATES: [AtomicU8; COUNTERS] = [const { AtomicU8::new(0) }; COUNTERS];

fn count(fingerprint: u128) {
    let state = &STATES[usize::try_from(fingerprint % COUNTERS as u128).unwrap_or_default()];
    state.store(1, Ordering::Relaxed);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static SUBJECT: OnceLock<Subject> = OnceLock::new();
    SUBJECT.get_or_init(Subject::from_environment).play(bytes, &mut count);
});
