//! What the agent has done since it started: for `/metrics` and for its heartbeats.
//!
//! Promises: names come from the configuration and codes from closed lists; nothing of an event or
//! a line is in any of them.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ledgerline_proof::hash::sha256;

/// Where events come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// The Unix socket.
    Socket,
    /// The loopback port.
    Loopback,
    /// Files.
    Tail,
}

impl Door {
    const ALL: [Self; 3] = [Self::Socket, Self::Loopback, Self::Tail];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Loopback => "loopback",
            Self::Tail => "tail",
        }
    }
}

/// How one file is followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TailCounts {
    /// Lines read since the start, those read again left out.
    pub lines: u64,
    /// Events taken from them.
    pub events: u64,
    /// Lines and events set aside, by code.
    pub aside: BTreeMap<&'static str, u64>,
    /// Lines with nothing for the ledger.
    pub skipped: u64,
    /// Files that were gone before they were read to their end.
    pub lost: u64,
    /// Bytes of the file that are read and safe.
    pub position: u64,
    /// Bytes of it that are not, as far as the agent sees.
    pub behind: u64,
    /// Whether the file is there.
    pub is_there: bool,
    /// Since when it is not.
    pub missing_since: Option<Instant>,
    /// Whether something is in the way of reading on.
    pub is_stuck: bool,
    /// Lines and events set aside since the last line that gave an event or had none to give.
    pub fruitless: u64,
}

/// All of it.
#[derive(Default)]
pub struct Counts {
    accepted: [AtomicU64; 3],
    refused: Mutex<BTreeMap<(Door, &'static str), u64>>,
    not_taken: AtomicU64,
    answers: [AtomicU64; 6],
    evicted: AtomicU64,
    tails: Mutex<BTreeMap<String, TailCounts>>,
}

/// The lock, also after a panic of another thread: counts stay counts.
pub fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    /// Events came in.
    pub fn accepted(&self, door: Door, events: usize) {
        self.accepted[door as usize].fetch_add(events as u64, Ordering::Relaxed);
    }

    /// An event was refused for good.
    pub fn refused(&self, door: Door, code: &'static str) {
        *lock(&self.refused).entry((door, code)).or_default() += 1;
    }

    /// A body was not taken for want of room.
    pub fn not_taken(&self) {
        self.not_taken.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was answered.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).min(5);
        self.answers[class].fetch_add(1, Ordering::Relaxed);
    }

    /// An idle connection was closed for a newcomer.
    pub fn evicted(&self) {
        self.evicted.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes what is known of a file.
    pub fn tail(&self, name: &str, change: impl FnOnce(&mut TailCounts)) {
        change(lock(&self.tails).entry(name.to_owned()).or_default());
    }

    /// Forgets a file that is no longer followed.
    pub fn forget_tail(&self, name: &str) {
        lock(&self.tails).remove(name);
    }

    /// What is known of each file.
    #[must_use]
    pub fn tails(&self) -> Vec<(String, TailCounts)> {
        lock(&self.tails).iter().map(|(name, tail)| (name.clone(), tail.clone())).collect()
    }

    /// What is known of a file.
    #[cfg(test)]
    pub fn of_tail(&self, name: &str) -> TailCounts {
        lock(&self.tails).get(name).cloned().unwrap_or_default()
    }

    /// Facts for a heartbeat, keys ascending: what came in, what was refused and set aside.
    #[must_use]
    pub fn detail(&self) -> Vec<(String, String)> {
        let mut facts = BTreeMap::new();
        for door in Door::ALL {
            let count = self.accepted[door as usize].load(Ordering::Relaxed);
            if count > 0 {
                facts.insert(format!("agent.accepted.{}", door.name()), count.to_string());
            }
        }
        for ((door, code), count) in lock(&self.refused).iter() {
            facts.insert(format!("agent.refused.{}.{code}", door.name()), count.to_string());
        }
        for (name, tail) in lock(&self.tails).iter() {
            let mut put = |what: &str, count: u64| {
                facts.insert(format!("agent.tail.{name}.{what}"), count.to_string());
            };
            put("lines", tail.lines);
            put("behind", tail.behind);
            if tail.lost > 0 {
                put("lost", tail.lost);
            }
            for (code, count) in &tail.aside {
                put(&format!("aside.{code}"), *count);
            }
        }
        // A heartbeat is one statement: what does not fit is said in the metrics.
        let room = facts.into_iter().take(DETAIL_MAX);
        room.map(|(key, value)| (short(key), value)).collect()
    }

    /// In the Prometheus text form (version 0.0.4).
    #[must_use]
    pub fn expose(&self) -> String {
        let mut out = Exposition::default();
        let name = "ledgerline_agent_events_accepted_total";
        out.family(name, "counter", "Events taken, by door.");
        for door in Door::ALL {
            let count = self.accepted[door as usize].load(Ordering::Relaxed);
            out.line(name, &[("door", door.name())], count);
        }
        let name = "ledgerline_agent_events_refused_total";
        out.family(name, "counter", "Events and lines that were refused for good, by code.");
        for ((door, code), count) in lock(&self.refused).iter() {
            out.line(name, &[("door", door.name()), ("code", code)], count);
        }
        let name = "ledgerline_agent_not_taken_total";
        out.family(name, "counter", "Bodies not taken for want of room.");
        out.line(name, &[], self.not_taken.load(Ordering::Relaxed));
        let name = "ledgerline_agent_requests_total";
        out.family(name, "counter", "Requests answered, by status.");
        for (class, count) in self.answers.iter().enumerate().skip(1) {
            let class = format!("{class}xx");
            out.line(name, &[("status", &class)], count.load(Ordering::Relaxed));
        }
        let name = "ledgerline_agent_connections_evicted_total";
        out.family(name, "counter", "Idle connections closed for newcomers.");
        out.line(name, &[], self.evicted.load(Ordering::Relaxed));
        self.expose_tails(&mut out);
        out.0
    }

    fn expose_tails(&self, out: &mut Exposition) {
        type Of = fn(&TailCounts) -> u64;
        let tails = lock(&self.tails);
        let families: [(&str, &str, &str, Of); 7] = [
            ("lines_total", "counter", "Lines read.", |tail| tail.lines),
            ("events_total", "counter", "Events taken from lines.", |tail| tail.events),
            ("skipped_total", "counter", "Lines with nothing for the ledger.", |t| t.skipped),
            ("lost_total", "counter", "Files gone before they were read.", |tail| tail.lost),
            ("position_bytes", "gauge", "Bytes read and safe.", |tail| tail.position),
            ("behind_bytes", "gauge", "Bytes still to be read.", |tail| tail.behind),
            ("is_there", "gauge", "1 while the file is there.", |tail| u64::from(tail.is_there)),
        ];
        for (what, kind, help, of) in families {
            let name = format!("ledgerline_agent_tail_{what}");
            out.family(&name, kind, help);
            for (tail, counts) in tails.iter() {
                out.line(&name, &[("tail", tail)], of(counts));
            }
        }
        let name = "ledgerline_agent_tail_aside_total";
        out.family(name, "counter", "Lines and events set aside, by code.");
        for (tail, counts) in tails.iter() {
            for (code, count) in &counts.aside {
                out.line(name, &[("tail", tail), ("code", code)], count);
            }
        }
    }
}

/// Most facts of a heartbeat that are the agent's own.
const DETAIL_MAX: usize = 48;
/// Longest key of a fact.
const KEY_BYTES_MAX: usize = 96;

/// A key that fits: a long one is told by its beginning and a digest of the whole.
fn short(key: String) -> String {
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    let digest = sha256(key.as_bytes()).to_hex();
    format!("{}.{}", &key[..key.floor_char_boundary(KEY_BYTES_MAX - 9)], &digest[..8])
}

/// Text in the exposition form.
#[derive(Default)]
pub struct Exposition(pub String);

impl Exposition {
    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("text grows");
    }

    /// One value.
    pub fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.0, "{name}{labels} {value}").expect("text grows");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_in_both_ways() {
        let counts = Counts::default();
        counts.accepted(Door::Socket, 3);
        counts.refused(Door::Loopback, "bad_json");
        counts.tail(&"x".repeat(64), |tail| {
            tail.lines = 7;
            *tail.aside.entry("a_code_that_is_rather_long_for_one_key_of_a_detail").or_default() +=
                2;
        });
        let text = counts.expose();
        for line in [
            "ledgerline_agent_events_accepted_total{door=\"socket\"} 3",
            "ledgerline_agent_events_refused_total{door=\"loopback\",code=\"bad_json\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        let detail = counts.detail();
        assert!(detail.contains(&("agent.accepted.socket".into(), "3".into())), "{detail:?}");
        assert!(detail.iter().all(|(key, _)| key.len() <= KEY_BYTES_MAX), "{detail:?}");
        assert!(detail.is_sorted(), "{detail:?}");
    }
}
