//! Prefetched postings and entries: what was read together with others, until the question comes to
//! it. See [`super::plan`].

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_index::{Ask, Page, TermMap};
use ledgerline_view::address::{EntryMap, EntryRef, LogId};

use super::record::Record;

/// The identity of an event: its source, and its id.
pub(crate) type EventName = (String, [u8; 16]);

/// A leaf that was read with others.
pub(super) enum LeafAtHand {
    Bytes(Vec<u8>),
    /// Taken apart already; `None` for what is no event in scope.
    Taken(Option<Arc<Record>>),
}

/// A page that was read with others, and the ask that it answers.
pub(super) struct PageAtHand {
    /// Of which log.
    pub(super) log: LogId,
    pub(super) ask: Ask,
    pub(super) page: Page,
}

/// What was read together with others.
#[derive(Default)]
pub(super) struct AtHand {
    pub(super) pages: TermMap<Vec<PageAtHand>>,
    pub(super) leaves: EntryMap<LeafAtHand>,
    pub(super) events: BTreeMap<EventName, Option<EntryRef>>,
    /// Whether it is another one's, who will need it too.
    pub(super) is_lent: bool,
    /// Whether nothing is read together.
    pub(super) is_off: bool,
}

impl AtHand {
    /// The page that an ask would give, if it costs no more than is left.
    pub(super) fn page(&self, log: LogId, ask: &Ask, left: u32) -> Option<Page> {
        let is_it = |one: &&PageAtHand| {
            let is_whole = one.page.cut_by.is_none() && one.page.indexes.len() <= ask.limit;
            one.log == log && one.ask.range == ask.range && (one.ask.limit == ask.limit || is_whole)
        };
        let found = self.pages.get(&ask.term)?.iter().find(is_it)?;
        (found.page.reads <= left).then(|| found.page.clone())
    }

    /// A leaf, which is then somebody's.
    pub(super) fn leaf(&mut self, at: EntryRef) -> Option<LeafAtHand> {
        if !self.is_lent {
            return self.leaves.remove(&at);
        }
        match self.leaves.get(&at)? {
            LeafAtHand::Bytes(leaf) => Some(LeafAtHand::Bytes(leaf.clone())),
            // Taken apart by whoever sees less.
            LeafAtHand::Taken(_) => None,
        }
    }
}
