//! See `session_lock_fuzz_targets::on_disk`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session_lock_fuzz_targets::on_disk::run(bytes));
