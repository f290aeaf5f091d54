//! What was planned but is not yet published: events and chain tips of the batches in flight.
//!
//! Promises: the sequencer, and only it, sees its own plans; readers see only what is committed. A
//! batch leaves the overlay once the index answers for it.

use std::collections::VecDeque;
use std::sync::Arc;

use ledgerline_proof::chain::ChainTip;
use ledgerline_proof::hash::Hash;

use crate::index::{Term, TermMap};

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
}

#[derive(Default)]
struct Layer {
    end: u64,
    events: TermMap<Arc<PlannedEvent>>,
    tips: TermMap<ChainTip>,
    ended_keys: Vec<(Arc<str>, u64)>,
}

/// The layers in flight, oldest first; the last is the batch being planned.
#[derive(Default)]
pub struct Overlay {
    layers: VecDeque<Layer>,
}

impl Overlay {
    /// The planned event with this identity.
    #[must_use]
    pub fn event(&self, term: &Term) -> Option<&Arc<PlannedEvent>> {
        self.layers.iter().rev().find_map(|layer| layer.events.get(term))
    }

    /// The tip of a chain, if it moved in flight.
    #[must_use]
    pub fn tip(&self, term: &Term) -> Option<&ChainTip> {
        self.layers.iter().rev().find_map(|layer| layer.tips.get(term))
    }

    /// The last index at which a key is valid, if it ended in flight.
    #[must_use]
    pub fn key_end(&self, key_id: &str) -> Option<u64> {
        let mut ended = self.layers.iter().flat_map(|layer| &layer.ended_keys);
        ended.find(|(key, _)| &**key == key_id).map(|(_, index)| *index)
    }

    /// Adds an event to the batch being planned.
    pub fn add(&mut self, event_term: Term, chain_term: Term, event: PlannedEvent) {
        let PlannedEvent { index, sequence, event_hash, .. } = event;
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
            self.layers.pop_front();
        }
    }

    fn open_layer(&mut self) -> &mut Layer {
        if self.layers.back().is_none_or(|layer| layer.end > 0) {
            self.layers.push_back(Layer::default());
        }
        self.layers.back_mut().expect("pushed above")
    }
}
