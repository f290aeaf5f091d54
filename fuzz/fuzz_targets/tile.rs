//! See `ledgerline_fuzz::tile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::tile(data));
