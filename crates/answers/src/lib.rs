//! Answers: refusals, events, tokens, findings, sources and progress, as the bytes that a caller
//! reads.
//!
//! Promises: a refusal never repeats input; an answer holds what stands in the ledger and its proof
//! state. Knows what is asked and found: view, questions, findings, and the errors of those who
//! refuse. Does not know routes, connections, or who calls.

pub mod answer;
pub mod counted;
pub mod event_json;
pub mod finding_json;
pub mod inventory;
pub mod problem;
pub mod progress_json;
pub mod prove;
pub mod question_json;
pub mod report_json;
pub mod source_json;
pub mod verdicts;
