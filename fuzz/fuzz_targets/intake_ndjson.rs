//! See `ledgerline_fuzz::intake_ndjson`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::intake_ndjson(data));
