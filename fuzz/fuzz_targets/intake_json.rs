//! See `ledgerline_fuzz::intake_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::intake_json(data));
