//! See `session_lock_fuzz_targets::payload_structured`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session_lock_fuzz_targets::payload_structured::run(bytes));
