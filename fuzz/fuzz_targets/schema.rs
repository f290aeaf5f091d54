//! See `ledgerline_fuzz::schema`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::schema(data));
