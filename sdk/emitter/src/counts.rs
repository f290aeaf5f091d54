//! What the emitter counts, as a plain struct and as Prometheus text.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::transport::Refused;

/// Most codes that are counted apart; the rest is `other`.
const MAX_CODES: usize = 64;
/// Refused events that are kept in sight.
pub const MAX_REFUSALS: usize = 256;

/// A snapshot of all counts. Counters are since the emitter started; gauges are of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events taken from callers, heartbeats included.
    pub emitted: u64,
    /// Events that the ledger recorded.
    pub sent: u64,
    /// Events that the ledger had before.
    pub duplicates: u64,
    /// Events that are refused for good, by code: the ledger's verdict, or the emitter's own when
    /// an event says no statement.
    pub refused: BTreeMap<String, u64>,
    /// Events that were given up because everything was full (fail-open).
    pub dropped: u64,
    /// Events that callers were told were not taken (fail-closed).
    pub rejected: u64,
    /// Tries of a batch that told nothing of its fate, by reason.
    pub retries: BTreeMap<String, u64>,
    /// Events in memory.
    pub buffered: u64,
    /// Units in the spool.
    pub spooled: u64,
    /// Bytes of the spool on the disk.
    pub spool_bytes: u64,
    /// Events that went through the spool.
    pub spilled: u64,
    /// Bytes of torn tails that were cut from the spool.
    pub torn_bytes: u64,
    /// Places of the spool that could not be read, each at least one unit.
    pub damaged: u64,
    /// Whether the spool's disk has failed: it takes nothing more.
    pub spool_failed: bool,
    /// Age of the oldest event that is not delivered, in milliseconds.
    pub oldest_ms: u64,
    /// Why the ledger denies everything, where it does: a code. Somebody has to change the
    /// credential or the settings.
    pub denied: Option<String>,
    /// Why the ledger takes nothing for now and for how long that lasts: it is not reached, or
    /// asks to wait. `None` once it has answered about events.
    pub away: Option<(String, Duration)>,
    /// Size of the last checkpoint that was verified.
    pub seen_size: Option<u64>,
    /// Whether the log signed a checkpoint that does not follow from the one before.
    pub seen_alarm: bool,
    /// Checkpoints that could not be judged, or were not signed by the log.
    pub seen_unknown: u64,
    /// Requests whose bearer token is too weak to have an id.
    pub unnamed: u64,
    /// Rounds of held tokens that were left out because there was no room.
    pub held_skipped: u64,
    /// Numbers of the instance that were given up, as ranges; the first ones.
    pub gaps: Vec<(i64, i64)>,
    /// Number that the next event gets.
    pub next_seq: i64,
}

/// An event that was refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its id, where it has one.
    pub event_id: [u8; 16],
    /// Why.
    pub why: Refused,
}

/// The counters that threads share.
#[derive(Default)]
pub(crate) struct Counters {
    pub emitted: AtomicU64,
    pub sent: AtomicU64,
    pub duplicates: AtomicU64,
    pub dropped: AtomicU64,
    pub rejected: AtomicU64,
    pub spilled: AtomicU64,
    pub held_skipped: AtomicU64,
    pub unnamed: AtomicU64,
    pub seen_unknown: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

pub(crate) fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Counts by code and what was refused last.
#[derive(Default)]
pub(crate) struct Refusals {
    pub by_code: BTreeMap<String, u64>,
    pub retries: BTreeMap<String, u64>,
    pub last: VecDeque<Refusal>,
    pub denied: Option<String>,
    pub away: Option<(String, Instant)>,
}

impl Refusals {
    pub fn refuse(&mut self, refusal: Refusal) {
        count(&mut self.by_code, &refusal.why.code);
        if self.last.len() == MAX_REFUSALS {
            self.last.pop_front();
        }
        self.last.push_back(refusal);
    }

    pub fn retry(&mut self, why: &str) {
        count(&mut self.retries, why);
    }
}

/// A code is a label: what is no plain word stands as `other`.
fn count(by: &mut BTreeMap<String, u64>, code: &str) {
    let is_word = (1..=64).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let is_known = by.contains_key(code) || by.len() < MAX_CODES;
    let code = if is_word && is_known { code } else { "other" };
    *by.entry(code.to_owned()).or_default() += 1;
}

impl Counts {
    /// Events refused, all codes together.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.refused.values().sum()
    }

    /// As Prometheus text, version 0.0.4.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut out = String::new();
        let plain = [
            ("emitted_total", "counter", "Events taken from callers.", self.emitted),
            ("sent_total", "counter", "Events that the ledger recorded.", self.sent),
            ("duplicates_total", "counter", "Events that it had before.", self.duplicates),
            ("dropped_total", "counter", "Events given up: all was full.", self.dropped),
            (
                "rejected_total",
                "counter",
                "Events not taken: full, too large, or stopped.",
                self.rejected,
            ),
            ("spilled_total", "counter", "Events that went to the spool.", self.spilled),
            ("torn_bytes_total", "counter", "Torn tails cut from the spool.", self.torn_bytes),
            ("damaged_total", "counter", "Unreadable places of the spool.", self.damaged),
            ("unnamed_total", "counter", "Tokens too weak to have an id.", self.unnamed),
            ("held_skipped_total", "counter", "Rounds of held tokens left out.", self.held_skipped),
            ("seen_unknown_total", "counter", "Checkpoints not judged.", self.seen_unknown),
            ("buffered_events", "gauge", "Events in memory.", self.buffered),
            ("spooled_units", "gauge", "Units in the spool.", self.spooled),
            ("spool_bytes", "gauge", "Bytes of the spool.", self.spool_bytes),
            ("oldest_milliseconds", "gauge", "Age of the oldest undelivered.", self.oldest_ms),
            ("spool_failed", "gauge", "1: the disk failed.", self.spool_failed.into()),
            ("denied", "gauge", "1: credential or settings refused.", self.denied.is_some().into()),
            ("away", "gauge", "1: the ledger is not reached or busy.", self.away.is_some().into()),
            (
                "seen_size",
                "gauge",
                "Size of the last verified checkpoint.",
                self.seen_size.unwrap_or(0),
            ),
            ("seen_alarm", "gauge", "1: a checkpoint does not follow.", self.seen_alarm.into()),
        ];
        for (name, kind, help, value) in plain {
            let name = format!("ledgerline_emitter_{name}");
            out += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
        let by = [
            ("refused_total", "Events refused for good.", "code", &self.refused),
            ("retries_total", "Tries that told nothing.", "reason", &self.retries),
        ];
        for (name, help, label, counts) in by {
            let name = format!("ledgerline_emitter_{name}");
            out += &format!("# HELP {name} {help}\n# TYPE {name} counter\n");
            for (key, value) in counts {
                out += &format!("{name}{{{label}=\"{key}\"}} {value}\n");
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_bounded_and_never_more_than_a_word() {
        let mut refusals = Refusals::default();
        let refuse = |refusals: &mut Refusals, code: &str| {
            let why = Refused::new(code, "");
            refusals.refuse(Refusal { event_id: [0; 16], why });
        };
        refuse(&mut refusals, "bad_field");
        refuse(&mut refusals, "a \"quoted\" code");
        for n in 0..1000 {
            refuse(&mut refusals, &format!("code_{n}"));
        }
        assert!(refusals.by_code.len() <= MAX_CODES + 1);
        assert_eq!(refusals.by_code.values().sum::<u64>(), 1002);
        assert_eq!(refusals.last.len(), MAX_REFUSALS);
        let counts = Counts { refused: refusals.by_code, ..Counts::default() };
        let text = counts.to_prometheus();
        assert!(text.contains("ledgerline_emitter_refused_total{code=\"bad_field\"} 1\n"));
        assert!(!text.contains("quoted"));
    }
}
