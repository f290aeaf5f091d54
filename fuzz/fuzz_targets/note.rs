//! See `ledgerline_fuzz::note`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::note(data));
