//! See `ledgerline_fuzz::personal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::personal(data));
