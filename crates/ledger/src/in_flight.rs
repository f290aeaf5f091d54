//! Events in flight: planned but not yet published, and the cached tips of chains.
//!
//! Promises: the sequencer, and only it, sees its own plans; readers see only what is committed. A
//! batch leaves once the index answers for it. Recent tips are cached a while longer, within
//! [`CACHED_TIPS`]: to find an evicted tip, the index is asked and the entry read.

use std::collections::VecDeque;
use std::sync::Arc;

use ledgerline_index::{Term, TermCache, TermMap, Usage};
use ledgerline_proof::chain::ChainTip;
use ledgerline_proof::entry::Handle;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;

/// A planned event: enough to recognise a retry of it.
#[derive(Debug)]
pub struct PlannedEvent {
    /// Its index.
    pub index: u64,
    /// Its sequence.
    pub sequence: u64,
    /// Its event hash.
    pub event_hash: Hash,
    /// Its statement.
    pub statement: Vec<u8>,
    /// Whether its producer signed it.
    pub signed: bool,
    /// Its personal records in clear.
    pub records: Vec<Vec<u8>>,
    /// Its pseudonyms.
    pub handles: Vec<Handle>,
    /// When it was recorded.
    pub recorded_at: Hlc,
    /// Finds its chain.
    pub chain_term: Term,
}

/// Tips of a generation of the cache: about 8 MB in all.
const CACHED_TIPS: usize = 32_768;

#[derive(Default)]
struct Layer {
    end: u64,
    events: TermMap<Arc<PlannedEvent>>,
    tips: TermMap<ChainTip>,
    ended_keys: Vec<(Arc<str>, u64)>,
}

/// The layers in flight, oldest first; the last is the batch being planned.
pub struct InFlight {
    layers: VecDeque<Layer>,
    /// Published tips, cached. Whoever writes a tip comes by here, so none of them is ever stale.
    recent: TermCache<ChainTip>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { layers: VecDeque::new(), recent: TermCache::new(CACHED_TIPS) }
    }
}

impl InFlight {
    /// The planned event with this identity.
    #[must_use]
    pub fn event(&self, term: &Term) -> Option<&Arc<PlannedEvent>> {
        self.layers.iter().rev().find_map(|layer| layer.events.get(term))
    }

    /// The tip of a chain, if it moved in flight or of late.
    #[must_use]
    pub fn tip(&mut self, term: &Term) -> Option<ChainTip> {
        let in_flight = self.layers.iter().rev().find_map(|layer| layer.tips.get(term));
        in_flight.copied().or_else(|| self.recent.get(term))
    }

    /// What the cached tips are good for.
    #[must_use]
    pub fn tips(&self) -> Usage {
        self.recent.usage()
    }

    /// The events of a chain in flight, in ledger order.
    #[must_use]
    pub fn events_of(&self, chain: &Term) -> Vec<Arc<PlannedEvent>> {
        let moved = self.layers.iter().filter(|layer| layer.tips.contains_key(chain));
        let events = moved.flat_map(|layer| layer.events.values());
        let mut events: Vec<_> =
            events.filter(|event| event.chain_term == *chain).map(Arc::clone).collect();
        events.sort_unstable_by_key(|event| event.index);
        events
    }

    /// The last index at which a key is valid, if it ended in flight.
    #[must_use]
    pub fn key_end(&self, key_id: &str) -> Option<u64> {
        let mut ended = self.layers.iter().flat_map(|layer| &layer.ended_keys);
        ended.find(|(key, _)| &**key == key_id).map(|(_, index)| *index)
    }

    /// Adds an event to the batch being planned.
    pub fn add(&mut self, event_term: Term, event: PlannedEvent) {
        let PlannedEvent { index, sequence, event_hash, chain_term, .. } = event;
        let layer = self.open_layer();
        layer.tips.insert(chain_term, ChainTip { index, event_hash, sequence });
        layer.events.insert(event_term, Arc::new(event));
    }

    /// Notes that a key ends with the leaf at `index`.
    pub fn end_key(&mut self, key_id: &str, index: u64) {
        self.open_layer().ended_keys.push((key_id.into(), index));
    }

    /// Closes the batch being planned: it ends at `end`.
    pub fn close(&mut self, end: u64) {
        self.open_layer().end = end;
        self.layers.push_back(Layer::default());
    }

    /// Forgets batches that end at or before `size`, which is published.
    pub fn published(&mut self, size: u64) {
        let closed = |layer: &Layer| layer.end > 0 && layer.end <= size;
        while self.layers.front().is_some_and(closed) {
            let layer = self.layers.pop_front().expect("looked at above");
            for (term, tip) in layer.tips {
                self.recent.put(term, tip);
            }
        }
    }

    fn open_layer(&mut self) -> &mut Layer {
        if self.layers.back().is_none_or(|layer| layer.end > 0) {
            self.layers.push_back(Layer::default());
        }
        self.layers.back_mut().expect("pushed above")
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::hash::Hash;

    use super::*;

    fn planned(index: u64, chain_term: Term) -> PlannedEvent {
        let (statement, records, handles) = (Vec::new(), Vec::new(), Vec::new());
        let event_hash = Hash([u8::try_from(index % 251).expect("small"); 32]);
        let (sequence, recorded_at) = (index, Hlc::at(0));
        PlannedEvent {
            index,
            sequence,
            event_hash,
            statement,
            signed: false,
            records,
            handles,
            recorded_at,
            chain_term,
        }
    }

    #[test]
    fn the_newest_tip_is_remembered_within_a_bound() {
        let term = |hash: u64| Term { kind: 2, hash: hash.into() };
        let mut in_flight = InFlight::default();
        let count = 5 * CACHED_TIPS as u64;
        for index in 0..count {
            // Chain 7 moves all the time, every other chain once.
            let chain = if index % 3 == 0 { 7 } else { 1000 + index };
            in_flight.add(term(1 << 40 | index), planned(index, term(chain)));
            let newest = in_flight.events_of(&term(chain)).last().map(|event| event.index);
            assert_eq!(newest, Some(index));
            if index % 100 == 99 {
                in_flight.close(index + 1);
                in_flight.published(index + 1);
                let last = index - index % 3;
                assert_eq!(in_flight.tip(&term(7)).map(|tip| tip.index), Some(last));
            }
        }
        let remembered = in_flight.tips().entries;
        let bound = CACHED_TIPS as u64;
        assert!((bound..=2 * bound).contains(&remembered), "{remembered}");
        assert!(in_flight.tip(&term(1001)).is_none(), "the oldest are forgotten");
        assert!(in_flight.event(&term(1 << 40)).is_none(), "events leave at once");
    }
}
