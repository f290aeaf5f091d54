//! See `ledgerline_fuzz::tlog_proof`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ledgerline_fuzz::tlog_proof(data));
