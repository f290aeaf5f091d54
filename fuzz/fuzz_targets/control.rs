//! See `ledgerline_fuzz::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::control(data));
