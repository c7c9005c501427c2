//! See `session_lock_fuzz_targets::differential`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session_lock_fuzz_targets::differential::run(bytes));
