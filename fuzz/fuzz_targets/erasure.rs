//! See `ledgerline_fuzz::erasure`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::erasure(data));
