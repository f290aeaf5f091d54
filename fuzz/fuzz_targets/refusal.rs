//! See `ledgerline_fuzz::refusal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::refusal(data));
