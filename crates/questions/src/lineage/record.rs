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
    /// Where in the leaf the resource's name stands.
    resource: Option<(u32, u32)>,
    /// A checksum of that name: most records are not asked further, and their leaf is not touched.
    resource_mark: u32,
    /// The concrete resource's handle.
    pub concrete: Option<[u8; 16]>,
}

impl Record {
    /// What a leaf's entry and statement say; the leaf itself is moved in when they are read.
    pub(super) fn of(
        at: EntryRef,
        leaf: &[u8],
        entry: &Entry<'_>,
        statement: &Statement<'_>,
    ) -> Self {
        let place = |text: &str| {
            let from = (text.as_ptr() as usize).checked_sub(leaf.as_ptr() as usize)?;
            Some((u32::try_from(from).ok()?, u32::try_from(from + text.len()).ok()?))
        };
        let concrete = entry.handles.iter().find(|handle| handle.kind == HandleKind::Resource);
        Self {
            at,
            leaf: Box::default(),
            occurred_at: statement.occurred_at,
            event_type: statement.event_type,
            has_aliases: !statement.also_known_as.is_empty(),
            has_links: !statement.links.is_empty(),
            resource: statement.resource.and_then(place),
            resource_mark: statement.resource.map_or(0, |name| crc32c::crc32c(name.as_bytes())),
            concrete: concrete.map(|handle| handle.id),
        }
    }

    /// With its leaf.
    pub(super) fn with(self, leaf: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { leaf: leaf.into(), ..self })
    }

    /// Whether this is the resource's template or declared-safe id, without taking the leaf apart
    /// again; `mark` is the CRC32C of the name.
    pub fn is_at(&self, name: &str, mark: u32) -> bool {
        let Some((from, end)) = self.resource.filter(|_| self.resource_mark == mark) else {
            return false;
        };
        self.leaf.get(from as usize..end as usize) == Some(name.as_bytes())
    }

    /// Length of its leaf.
    pub(super) fn leaf_bytes(&self) -> usize {
        self.leaf.len()
    }

    /// Calls `read` with its entry and statement.
    ///
    /// # Panics
    /// Never: only what decodes becomes a record.
    pub fn read<'r, T>(&'r self, read: impl FnOnce(&Entry<'r>, &Statement<'r>) -> T) -> T {
        read_event(&self.leaf, read).expect("decoded before")
    }
}
