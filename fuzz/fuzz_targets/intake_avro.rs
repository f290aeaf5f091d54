//! See `ledgerline_fuzz::intake_avro`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::intake_avro(data));
