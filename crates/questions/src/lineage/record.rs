//! An entry that a question came across, taken apart once.

use std::sync::Arc;

use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, HandleKind};
use ledgerline_view::address::{EntryMap, EntryRef};

/// Entries by address; `None` for what is no event in scope.
pub(super) type RecordMap = EntryMap<Option<Arc<Record>>>;

/// Says of an event whether it is what was looked for.
pub(super) type Confirm<'c> = dyn FnMut(&Entry<'_>, &Statement<'_>) -> bool + 'c;

/// An event of the tenant, confirmed under the tree.
#[derive(Debug)]
pub struct Record {
    /// Its address.
    pub at: EntryRef,
    /// Its leaf.
    pub leaf: Box<[u8]>,
    /// When it happened.
    pub occurred_at: Hlc,
    /// What it is.
    pub event_type: EventType,
    /// Whether it gives other ids of its target.
    pub has_aliases: bool,
    /// Whether it links to anything.
    pub(super) has_links: bool,
    /// The resource's template or declared-safe id.
    pub resource: Option<Box<str>>,
    /// The concrete resource's handle.
    pub concrete: Option<[u8; 16]>,
}

impl Record {
    /// What an entry and its statement say; the leaf itself is moved in when they are read.
    pub(super) fn of(at: EntryRef, entry: &Entry<'_>, statement: &Statement<'_>) -> Self {
        let concrete = entry.handles.iter().find(|handle| handle.kind == HandleKind::Resource);
        Self {
            at,
            leaf: Box::default(),
            occurred_at: statement.occurred_at,
            event_type: statement.event_type,
            has_aliases: !statement.also_known_as.is_empty(),
            has_links: !statement.links.is_empty(),
            resource: statement.resource.map(Into::into),
            concrete: concrete.map(|handle| handle.id),
        }
    }

    /// With its leaf.
    pub(super) fn with(self, leaf: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { leaf: leaf.into(), ..self })
    }

    /// Bytes of its leaf, and of what was taken out of it.
    pub(super) fn bytes(&self) -> usize {
        self.leaf.len() + self.resource.as_deref().map_or(0, str::len)
    }

    /// Calls `read` with its entry and statement.
    ///
    /// # Panics
    /// Never: only what decodes becomes a record.
    pub fn read<'r, T>(&'r self, read: impl FnOnce(&Entry<'r>, &Statement<'r>) -> T) -> T {
        read_event(&self.leaf, read).expect("decoded before")
    }
}
