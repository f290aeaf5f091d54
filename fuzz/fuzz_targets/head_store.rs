//! See `ledgerline_fuzz::head_store`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::head_store(data));
