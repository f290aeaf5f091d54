//! How the agent is, in words: what keeps events from the ledger, named while it does.
//!
//! ```text
//! spool_failed     the spool's disk has failed: nothing is taken
//! spool_full       the spool is full: nothing is taken
//! refused          the ledger refuses the agent's key, or what that key may not send
//! ledger_away      the ledger does not answer; events wait in the spool
//! spooling         it answers, and what waits is older than it should be
//! tail_missing     a followed file is not there
//! tail_unreadable  no line of a followed file gives an event
//! tail_stuck       a followed file cannot be read on, or what it gave cannot be kept
//! ```
//!
//! Promises: `/healthz` is `ok` only while none of them holds. The log says each change in a line,
//! when it comes and when it is over, however many events it is about.
//!
//! Assumes: nobody sends events with a key that is refused so seldom that five minutes pass between
//! two of them ([`crate::refusing`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::counts::{Counts, Exposition, TailCounts, lock};
use crate::emitted::Emitted;
use crate::face::{Health, Trouble};

/// The words, the gravest first.
const WORDS: [&str; 8] = [
    "spool_failed",
    "spool_full",
    "refused",
    "ledger_away",
    "spooling",
    "tail_missing",
    "tail_unreadable",
    "tail_stuck",
];
/// How long the ledger may not answer before it is away: a restart of its is nobody's business.
const AWAY_AFTER: Duration = Duration::from_secs(1);
/// Age of what waits at which an agent is behind.
const BEHIND_AFTER: Duration = Duration::from_secs(10);
/// How long a file may be away: whoever rotates it needs a moment.
const MISSING_AFTER: Duration = Duration::from_secs(1);
/// Lines in a row without an event at which a file that gave some is taken for another one.
const FRUITLESS_MAX: u64 = 10;

/// Lines without an event at which most of a file's may be too many.
const ASIDE_MIN: u64 = 3;

/// A condition: its word, and the tail that it is of.
type Named = (&'static str, Option<String>);

/// Looks at the agent, and says what changed.
pub struct Conditions {
    emitted: Arc<Emitted>,
    counts: Arc<Counts>,
    /// What was logged and is not over.
    told: Mutex<BTreeMap<Named, String>>,
}

impl Conditions {
    /// Of an agent that has just started.
    #[must_use]
    pub fn new(emitted: Arc<Emitted>, counts: Arc<Counts>) -> Self {
        Self { emitted, counts, told: Mutex::default() }
    }

    /// What holds now.
    fn now(&self) -> BTreeMap<Named, String> {
        let mut found: BTreeMap<Named, String> =
            self.of_the_way().into_iter().map(|(word, why)| ((word, None), why)).collect();
        for (name, tail) in self.counts.tails() {
            let of_tail = of_tail(&tail).map(|(word, why)| ((word, Some(name)), why));
            found.extend(of_tail);
        }
        found
    }

    fn of_the_way(&self) -> Vec<(&'static str, String)> {
        let (counts, refusing) = (self.emitted.counts(), self.emitted.refusing());
        let mut found = Vec::new();
        let mut put = |word, why: String| found.push((word, why));
        if counts.spool_failed {
            put("spool_failed", "the spool's disk has failed".to_owned());
        }
        // Room comes back when all is sent, also when nobody asks for it.
        if refusing.is_full() && counts.spooled > 0 {
            put("spool_full", "the spool is full: callers are answered 503".to_owned());
        }
        if let Some(code) = &counts.denied {
            put("refused", format!("the ledger refuses the agent's key ({code}): nothing is sent"));
        } else if let Some(code) = refusing.code() {
            let why = "the ledger refuses events of this agent's key";
            put("refused", format!("{why} ({code}): see aside.ndjson, and the grant of the key"));
        }
        match &counts.away {
            Some((word, since)) if *since >= AWAY_AFTER => {
                put("ledger_away", format!("the ledger does not take events ({word}): they wait"));
            }
            _ if counts.denied.is_none()
                && Duration::from_millis(counts.oldest_ms) >= BEHIND_AFTER =>
            {
                put("spooling", "the ledger answers, and what waits is not sent yet".to_owned());
            }
            _ => {}
        }
        found
    }

    /// Logs what has come and what is over since the last look.
    pub fn look(&self) {
        let now = self.now();
        let mut told = lock(&self.told);
        for ((word, tail), why) in &now {
            if !told.contains_key(&(*word, tail.clone())) {
                tracing::error!(code = word, tail, why, "the agent is not well");
            }
        }
        for (word, tail) in told.keys().filter(|named| !now.contains_key(named)) {
            tracing::info!(code = word, tail, "is over");
        }
        *told = now;
    }
}

/// What is wrong with a followed file.
fn of_tail(tail: &TailCounts) -> Option<(&'static str, String)> {
    if tail.is_stuck {
        return Some(("tail_stuck", "see the log for what is in the way".to_owned()));
    }
    if tail.missing_since.is_some_and(|since| since.elapsed() >= MISSING_AFTER) {
        return Some(("tail_missing", "the file of `path` is not there".to_owned()));
    }
    let has_given = tail.events > 0 || tail.skipped > 0;
    let aside: u64 = tail.aside.values().sum();
    // Of an array with a line for each item the last one is a whole record.
    let is_most = aside >= ASIDE_MIN && aside * 2 > tail.lines;
    let gives_none = tail.fruitless > 0 && (!has_given || tail.fruitless >= FRUITLESS_MAX);
    if !gives_none && !is_most {
        return None;
    }
    let codes: Vec<&str> = tail.aside.keys().copied().collect();
    let why = format!(
        "{aside} of {} lines gave no event ({}): is `adapter` the right one? A record is one line; \
         an array over several is for `ledgerline ingest`",
        tail.lines,
        codes.join(", ")
    );
    Some(("tail_unreadable", why))
}

impl Health for Conditions {
    fn trouble(&self) -> Option<Trouble> {
        let now = self.now();
        let gravest = WORDS.iter().find(|word| now.keys().any(|(one, _)| one == *word))?;
        let place = |word: &str| WORDS.iter().position(|one| *one == word);
        let mut all: Vec<_> = now.iter().collect();
        all.sort_by_key(|((word, _), _)| place(word));
        let each = all.into_iter().map(|((word, tail), why)| match tail {
            Some(tail) => format!("{word}, tail {tail}: {why}"),
            None => format!("{word}: {why}"),
        });
        Some(Trouble { code: gravest, detail: each.collect::<Vec<_>>().join("; ") })
    }

    fn metrics(&self) -> String {
        let now = self.now();
        let mut out = Exposition::default();
        let name = "ledgerline_agent_state";
        out.family(name, "gauge", "1 while the agent is not well, by the word of /healthz.");
        for word in WORDS.iter().filter(|word| !word.starts_with("tail_")) {
            out.line(name, &[("state", word)], u8::from(now.contains_key(&(*word, None))));
        }
        let name = "ledgerline_agent_tail_state";
        out.family(name, "gauge", "1 while a followed file is not well, by its word.");
        for (tail, _) in self.counts.tails() {
            for word in WORDS.iter().filter(|word| word.starts_with("tail_")) {
                let holds = now.contains_key(&(*word, Some(tail.clone())));
                out.line(name, &[("tail", &tail), ("state", word)], u8::from(holds));
            }
        }
        out.0 + &self.emitted.counts().to_prometheus()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_file_is_named_while_it_gives_nothing() {
        let check = |change: &dyn Fn(&mut TailCounts), expected: Option<&str>| {
            let mut tail = TailCounts { lines: 100, events: 50, ..TailCounts::default() };
            change(&mut tail);
            assert_eq!(of_tail(&tail).map(|(word, _)| word), expected, "{tail:?}");
        };
        let since = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        check(&|_| (), None);
        check(&|tail| tail.missing_since = Some(Instant::now()), None);
        check(&|tail| tail.missing_since = since(5), Some("tail_missing"));
        check(&|tail| tail.fruitless = 3, None);
        check(&|tail| tail.fruitless = 10, Some("tail_unreadable"));
        check(&|tail| (tail.events, tail.fruitless) = (0, 1), Some("tail_unreadable"));
        check(&|tail| (tail.events, tail.skipped, tail.fruitless) = (0, 1, 1), None);
        check(&|tail| _ = tail.aside.insert("not_json", 50), None);
        check(&|tail| _ = tail.aside.insert("not_json", 51), Some("tail_unreadable"));
        check(&|tail| tail.is_stuck = true, Some("tail_stuck"));
    }
}
