//! See `session_lock_fuzz_targets::metrics_slots`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session_lock_fuzz_targets::metrics_slots::run(bytes));
