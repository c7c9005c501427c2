//! See `session_lock_fuzz_targets::payload_bytes`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session_lock_fuzz_targets::payload_bytes::run(bytes));
