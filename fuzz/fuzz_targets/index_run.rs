//! See `ledgerline_fuzz::index_run`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::index_run(data));
