//! What the follower remembers of all entries before its position.
//!
//! Promises: a function of those entries alone. It is saved with the position; when it is lost,
//! reading everything again gives the same. Bounded: what does not fit is not judged, never judged
//! wrongly.
//!
//! ```text
//! ran        how long the ledger ran, as its leaves tell: a pause of more than MAX_PAUSE (it was
//!            stopped; otherwise a block comes once a minute) counts as MAX_PAUSE
//! instances  (tenant, source, instance) → the next source_seq, and what is missing before it
//! sources    (tenant, source) → its declared heartbeat, and when it was heard last
//! audiences  (tenant, region:issuer, name): names that tokens were issued for
//! keys       (tenant, region:issuer, key): keys that tokens were issued under, or announced
//! held       tokens that a heartbeat named and nobody had issued
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_proof::block::Block;
use ledgerline_proof::control::Control;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::Leaf;
use serde::{Deserialize, Serialize};

use super::rules::Cited;

/// Between two leaves of a running ledger, at most: a block comes once a minute.
const MAX_PAUSE_NANOS: i64 = 90_000_000_000;
/// Bounds, see the module doc.
pub(super) const MAX_INSTANCES: usize = 4096;
pub(super) const MAX_SOURCES: usize = 1024;
pub(super) const MAX_AUDIENCES: usize = 8192;
pub(super) const MAX_KEYS: usize = 4096;
pub(super) const MAX_HELD: usize = 1024;
/// Gaps of one instance that may still be filled.
pub(super) const MAX_GAPS: usize = 16;

/// Tenant, source, instance.
type InstanceKey = (String, String, [u8; 16]);

/// A run of missing numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    /// The finding about it.
    pub(super) finding: [u8; 32],
    /// What is missing still: first and last.
    pub(super) missing: Vec<(i64, i64)>,
}

/// One boot of a producer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) next: i64,
    pub(super) gaps: Vec<Gap>,
    /// When it was heard last, in time that the ledger ran.
    pub(super) heard: i64,
}

/// A producer that declared a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) interval: i64,
    pub(super) heard: i64,
    pub(super) last_event: [u8; 16],
    pub(super) silent: bool,
}

/// The memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub(super) ran: i64,
    pub(super) last_leaf: Option<i64>,
    pub(super) instances: BTreeMap<InstanceKey, Instance>,
    pub(super) sources: BTreeMap<(String, String), Source>,
    pub(super) audiences: BTreeSet<(String, String, String)>,
    pub(super) keys: BTreeSet<(String, String, String)>,
    pub(super) held: BTreeMap<(String, String), [u8; 32]>,
}

/// The memory as it is written: maps as lists.
#[derive(Serialize, Deserialize)]
struct Written {
    ran: i64,
    last_leaf: Option<i64>,
    instances: Vec<(InstanceKey, Instance)>,
    sources: Vec<((String, String), Source)>,
    audiences: Vec<(String, String, String)>,
    keys: Vec<(String, String, String)>,
    held: Vec<((String, String), [u8; 32])>,
}

/// The time of a leaf; `None` when it is none.
pub(super) fn stamp_of(leaf: &[u8]) -> Option<i64> {
    let stamp = match Leaf::decode(leaf).ok()? {
        Leaf::Entry(Entry { recorded_at, .. }) | Leaf::Control(Control { recorded_at, .. }) => {
            recorded_at
        }
        Leaf::Block(Block { sealed_at, .. }) => sealed_at,
    };
    Some(stamp.nanos)
}

impl Memory {
    /// As bytes.
    ///
    /// # Panics
    /// Never: all of it can be written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let one = self.clone();
        let written = Written {
            ran: one.ran,
            last_leaf: one.last_leaf,
            instances: one.instances.into_iter().collect(),
            sources: one.sources.into_iter().collect(),
            audiences: one.audiences.into_iter().collect(),
            keys: one.keys.into_iter().collect(),
            held: one.held.into_iter().collect(),
        };
        serde_json::to_vec(&written).expect("lists of plain values")
    }

    /// Back from bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            ran: written.ran,
            last_leaf: written.last_leaf,
            instances: written.instances.into_iter().collect(),
            sources: written.sources.into_iter().collect(),
            audiences: written.audiences.into_iter().collect(),
            keys: written.keys.into_iter().collect(),
            held: written.held.into_iter().collect(),
        })
    }

    /// Lets the clock of the leaves go on to that of a leaf.
    pub(super) fn tick(&mut self, at: i64) {
        let pause = self.last_leaf.map_or(0, |last| at.saturating_sub(last));
        self.ran = self.ran.saturating_add(pause.clamp(0, MAX_PAUSE_NANOS));
        self.last_leaf = Some(at);
    }

    /// Takes the number of an event. Says which numbers it shows to be missing, or the finding
    /// about a gap that it fills whole.
    pub(super) fn number(
        &mut self,
        (tenant, source, instance): (&str, &str, [u8; 16]),
        seq: i64,
    ) -> Numbered {
        let ran = self.ran;
        let key = (tenant.to_owned(), source.to_owned(), instance);
        if self.instances.len() >= MAX_INSTANCES && !self.instances.contains_key(&key) {
            let quiet = self.instances.iter().min_by_key(|(_, one)| one.heard);
            if let Some(quiet) = quiet.map(|(key, _)| key.clone()) {
                self.instances.remove(&quiet);
            }
        }
        // What was lost before the first that arrives cannot be told from a start there.
        let begun = Instance { next: seq, ..Instance::default() };
        let one = self.instances.entry(key).or_insert(begun);
        one.heard = ran;
        if seq < one.next {
            return one.fill(seq).map_or(Numbered::Nothing, Numbered::Filled);
        }
        let missing = (one.next, seq.saturating_sub(1));
        one.next = seq.saturating_add(1);
        if missing.0 <= missing.1 { Numbered::Missing(missing) } else { Numbered::Nothing }
    }

    /// Remembers a gap that was raised.
    pub(super) fn gap(
        &mut self,
        (tenant, source, instance): (&str, &str, [u8; 16]),
        missing: (i64, i64),
        finding: &Hash,
    ) {
        let key = (tenant.to_owned(), source.to_owned(), instance);
        if let Some(one) = self.instances.get_mut(&key) {
            if one.gaps.len() >= MAX_GAPS {
                one.gaps.remove(0);
            }
            one.gaps.push(Gap { finding: finding.0, missing: vec![missing] });
        }
    }

    /// Remembers when a producer was heard, and the heartbeat it declares.
    pub(super) fn heard(
        &mut self,
        (tenant, source): (&str, &str),
        event_id: [u8; 16],
        declared: Option<i64>,
    ) {
        if declared.is_none() && self.sources.is_empty() {
            return;
        }
        let key = (tenant.to_owned(), source.to_owned());
        match declared {
            Some(0) => {
                self.sources.remove(&key);
            }
            Some(interval) if self.sources.len() < MAX_SOURCES => {
                let (heard, last_event) = (self.ran, event_id);
                let new = Source { interval, heard, last_event, silent: false };
                self.sources.insert(key, new);
            }
            _ => {
                if let Some(one) = self.sources.get_mut(&key) {
                    (one.heard, one.last_event, one.silent) = (self.ran, event_id, false);
                }
            }
        }
    }

    /// The producers that have just become silent: tenant, source, their last event, and for how
    /// long in nanoseconds.
    pub(super) fn silent(&mut self) -> Vec<(String, Cited, i64)> {
        let ran = self.ran;
        let mut silent = Vec::new();
        for ((tenant, source), one) in &mut self.sources {
            let quiet = ran.saturating_sub(one.heard);
            if !one.silent && quiet > one.interval.saturating_mul(3) {
                one.silent = true;
                let last = Cited { source: source.clone(), event_id: one.last_event };
                silent.push((tenant.clone(), last, quiet));
            }
        }
        silent
    }
}

/// What a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbered {
    /// It is the next one, or nothing is known of it.
    Nothing,
    /// These, first and last, are missing before it.
    Missing((i64, i64)),
    /// It was the last that a gap missed.
    Filled(Hash),
}

impl Instance {
    /// Fills in a number; gives the finding of a gap that is whole now.
    fn fill(&mut self, seq: i64) -> Option<Hash> {
        let within = |run: &(i64, i64)| (run.0..=run.1).contains(&seq);
        let at = self.gaps.iter().position(|gap| gap.missing.iter().any(within))?;
        let missing = std::mem::take(&mut self.gaps[at].missing);
        self.gaps[at].missing = missing
            .into_iter()
            .flat_map(|run| {
                let (first, last) = run;
                if within(&run) { [(first, seq - 1), (seq + 1, last)] } else { [run, (1, 0)] }
            })
            .filter(|(first, last)| first <= last)
            .collect();
        let whole = self.gaps[at].missing.is_empty();
        whole.then(|| Hash(self.gaps.remove(at).finding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_missed_and_filled_in() {
        let mut memory = Memory::default();
        let who = ("t", "gw", [1; 16]);
        let mut raised = 0u8;
        let mut check = |memory: &mut Memory, seq: i64, expected: Numbered| {
            let numbered = memory.number(who, seq);
            assert_eq!(numbered, expected, "{seq}");
            if let Numbered::Missing(missing) = numbered {
                raised += 1;
                memory.gap(who, missing, &Hash([raised; 32]));
            }
        };
        check(&mut memory, 5, Numbered::Nothing);
        check(&mut memory, 6, Numbered::Nothing);
        check(&mut memory, 3, Numbered::Nothing);
        check(&mut memory, 10, Numbered::Missing((7, 9)));
        check(&mut memory, 12, Numbered::Missing((11, 11)));
        check(&mut memory, 8, Numbered::Nothing);
        check(&mut memory, 8, Numbered::Nothing);
        check(&mut memory, 11, Numbered::Filled(Hash([2; 32])));
        let mut again = Memory::from_bytes(&memory.to_bytes()).expect("as written");
        assert_eq!(again, memory);
        check(&mut again, 7, Numbered::Nothing);
        check(&mut again, 9, Numbered::Filled(Hash([1; 32])));
        check(&mut again, 13, Numbered::Nothing);
    }

    #[test]
    fn instances_and_gaps_are_bounded() {
        let mut memory = Memory::default();
        for n in 0..MAX_INSTANCES as u128 + 10 {
            memory.ran += 1;
            memory.number(("", "gw", n.to_be_bytes()), 0);
        }
        assert_eq!(memory.instances.len(), MAX_INSTANCES);
        let who = ("", "gw", (MAX_INSTANCES as u128).to_be_bytes());
        for n in 1..40 {
            let Numbered::Missing(missing) = memory.number(who, n * 2) else { panic!("{n}") };
            memory.gap(who, missing, &Hash::ZERO);
        }
        let key = (String::new(), "gw".to_owned(), who.2);
        assert_eq!(memory.instances[&key].gaps.len(), MAX_GAPS);
    }

    #[test]
    fn silence_is_told_once_and_does_not_count_while_the_ledger_stood() {
        let mut memory = Memory::default();
        let who = ("", "gw");
        memory.heard(who, [1; 16], Some(10));
        memory.ran = 30;
        assert_eq!(memory.silent(), []);
        memory.ran = 31;
        assert_eq!(memory.silent().len(), 1);
        assert_eq!(memory.silent(), []);
        memory.heard(who, [2; 16], None);
        memory.ran = 62;
        let last = Cited { source: "gw".into(), event_id: [2; 16] };
        assert_eq!(memory.silent(), [(String::new(), last, 31)]);
        memory.heard(who, [3; 16], Some(0));
        memory.ran = 1000;
        assert_eq!(memory.silent(), []);
    }
}
