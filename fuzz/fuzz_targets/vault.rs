//! See `ledgerline_fuzz::vault`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::vault(data));
