//! See `ledgerline_fuzz::block`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::block(data));
