//! Catching up: how far what follows the ledger was when the server answered; said below every
//! answer that depends on it, and in the exit code.
//!
//! Promises: an answer of a reader that is behind, or switched off, ends with a line that begins
//! INCOMPLETE, and with exit code 3; also an empty one.

use clap::Args;
use ledgerline_api::progress::{AllProgress, Catching, Progress};

use crate::ClientSettings;
use ledgerline_terminal::exit::Exit;
use ledgerline_terminal::render::printable;

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

fn is_behind(reader: &Progress<'_>) -> bool {
    reader.state == Catching::Behind
}

/// Whether what the answer says may not be all: a reader is behind, or does not read at all, or
/// nothing is said of any.
#[must_use]
pub fn is_incomplete(readers: &AllProgress<'_>) -> bool {
    readers.is_empty() || readers.values().any(|reader| !reader.is_caught_up())
}

/// Of an answer about the server itself: what is switched off is so on purpose.
#[must_use]
pub fn lags(readers: &AllProgress<'_>) -> bool {
    readers.values().any(is_behind)
}

/// The exit code of an answer that came.
#[must_use]
pub fn exit(readers: &AllProgress<'_>) -> Exit {
    if is_incomplete(readers) { Exit::Incomplete } else { Exit::Ok }
}

/// The words of one reader.
#[must_use]
pub fn words(readers: &AllProgress<'_>, reader: &str) -> String {
    readers.get(reader).map_or_else(|| UNTOLD.to_owned(), |reader| printable(&reader.words))
}

/// The lines below an answer about the server itself: why its exit code is 3.
#[must_use]
pub fn behind(readers: &AllProgress<'_>) -> String {
    readers.values().filter(|reader| is_behind(reader)).map(line).collect()
}

/// What is said where nothing is.
const UNTOLD: &str = "UNKNOWN: the server does not say how far it has read";

fn line(reader: &Progress<'_>) -> String {
    let words = printable(&reader.words);
    match reader.state {
        Catching::CaughtUp => format!("{words}\n"),
        Catching::Behind => format!("INCOMPLETE: {words} (--wait SECONDS waits)\n"),
        Catching::SwitchedOff => format!("INCOMPLETE: {words}\n"),
    }
}

/// The lines below an answer.
#[must_use]
pub fn foot(readers: &AllProgress<'_>) -> String {
    match readers.is_empty() {
        true => format!("INCOMPLETE: {UNTOLD}\n"),
        false => readers.values().map(line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_of_a_lagging_reader_is_not_quiet() {
        let answer = |state: Catching| {
            let (position, of) = (Some(1), 13);
            let reader = Progress {
                state,
                position,
                of,
                lag_entries: Some(12),
                failures: 0,
                recorded_later: None,
                words: "judged up to entry 1 of 13, 12 behind".into(),
            };
            AllProgress::from([("findings".into(), reader)])
        };
        let [caught_up, behind_it, off] =
            [Catching::CaughtUp, Catching::Behind, Catching::SwitchedOff].map(answer);
        assert_eq!(exit(&caught_up), Exit::Ok);
        assert_eq!(exit(&behind_it), Exit::Incomplete);
        assert_eq!(exit(&off), Exit::Incomplete);
        assert!(!lags(&off) && lags(&behind_it));
        assert!(behind(&behind_it).starts_with("INCOMPLETE: judged up to entry 1 of 13"));
        assert_eq!(behind(&off), "", "it is so on purpose");
        let said = foot(&behind_it);
        assert!(said.starts_with("INCOMPLETE: judged up to entry 1 of 13, 12 behind"), "{said}");
        let untold = AllProgress::new();
        assert_eq!(exit(&untold), Exit::Incomplete, "silence is no word that all was read");
        assert!(foot(&untold).starts_with("INCOMPLETE: UNKNOWN"));
    }
}
