//! See `ledgerline_fuzz::key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::key(data));
