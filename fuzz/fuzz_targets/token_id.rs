//! See `ledgerline_fuzz::token_id`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::token_id(data));
