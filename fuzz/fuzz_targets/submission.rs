//! See `ledgerline_fuzz::submission`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::submission(data));
