//! Catching up: how far what follows the ledger was when the server answered; said below every
//! answer that depends on it, and in the exit code.
//!
//! Promises: an answer of a reader that is behind, or switched off, ends with a line that begins
//! INCOMPLETE, and with exit code 3; also an empty one.

use clap::Args;
use serde_json::Value;

use crate::ClientSettings;
use ledgerline_terminal::exit::Exit;
use ledgerline_terminal::render::text;

/// What a call may take that waits, beside the waiting.
const BESIDE_MS: u64 = 15_000;

/// How long to wait for the readers.
#[derive(Args, Clone, Copy)]
pub struct Wait {
    /// Seconds to wait until everything that is recorded now was looked at, up to 60; then the
    /// answer comes as it is.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=60))]
    wait: Option<u64>,
}

impl Wait {
    /// The parameter of the call.
    #[must_use]
    pub fn seconds(self) -> Option<u64> {
        self.wait.filter(|seconds| *seconds > 0)
    }

    /// The parameter as the query of a path without one.
    #[must_use]
    pub fn query(self) -> String {
        self.seconds().map_or_else(String::new, |seconds| format!("?wait={seconds}"))
    }

    /// Settings of a client that waits as long, unless a time was given.
    #[must_use]
    pub fn patient(self, mut client: ClientSettings) -> ClientSettings {
        if let Some(seconds) = self.seconds() {
            client.timeout_ms.get_or_insert((seconds * 1000).max(60_000) + BESIDE_MS);
        }
        client
    }
}

fn readers(answer: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let readers = answer.get("progress").and_then(Value::as_object).into_iter().flatten();
    readers.map(|(name, reader)| (name.as_str(), reader))
}

fn is_behind(reader: &Value) -> bool {
    reader["state"] == "behind"
}

/// Whether what the answer says may not be all: a reader is behind, or does not read at all.
#[must_use]
pub fn is_incomplete(answer: &Value) -> bool {
    readers(answer).any(|(_, reader)| reader["state"] != "caught_up")
}

/// Of an answer about the server itself: what is switched off is so on purpose.
#[must_use]
pub fn lags(answer: &Value) -> bool {
    readers(answer).any(|(_, reader)| is_behind(reader))
}

/// The exit code of an answer that came.
#[must_use]
pub fn exit(answer: &Value) -> Exit {
    if is_incomplete(answer) { Exit::Incomplete } else { Exit::Ok }
}

/// The words of one reader.
#[must_use]
pub fn words(answer: &Value, reader: &str) -> String {
    text(answer, &format!("/progress/{reader}/words"))
}

/// The lines below an answer about the server itself: why its exit code is 3.
#[must_use]
pub fn behind(answer: &Value) -> String {
    readers(answer)
        .filter(|(_, reader)| is_behind(reader))
        .map(|(_, reader)| line(reader))
        .collect()
}

fn line(reader: &Value) -> String {
    let words = text(reader, "/words");
    match reader["state"].as_str() {
        Some("caught_up") => format!("{words}\n"),
        Some("behind") => format!("INCOMPLETE: {words} (--wait SECONDS waits)\n"),
        _ => format!("INCOMPLETE: {words}\n"),
    }
}

/// The lines below an answer.
#[must_use]
pub fn foot(answer: &Value) -> String {
    readers(answer).map(|(_, reader)| line(reader)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_list_of_a_lagging_reader_is_not_quiet() {
        let answer = |state: &str| {
            json!({ "progress": { "findings": {
            "state": state, "words": "judged up to entry 1 of 13, 12 behind" } } })
        };
        assert_eq!(exit(&answer("caught_up")), Exit::Ok);
        assert_eq!(exit(&answer("behind")), Exit::Incomplete);
        assert_eq!(exit(&answer("switched_off")), Exit::Incomplete);
        assert!(!lags(&answer("switched_off")) && lags(&answer("behind")));
        assert!(behind(&answer("behind")).starts_with("INCOMPLETE: judged up to entry 1 of 13"));
        assert_eq!(behind(&answer("switched_off")), "", "it is so on purpose");
        let said = foot(&answer("behind"));
        assert!(said.starts_with("INCOMPLETE: judged up to entry 1 of 13, 12 behind"), "{said}");
        assert_eq!((exit(&json!({})), foot(&json!({}))), (Exit::Ok, String::new()));
    }
}
