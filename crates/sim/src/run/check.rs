//! Holds an open ledger against the model.

use ledgerline_index::terms::leaf_terms;
use ledgerline_index::{ReadBudget, Term, TermKind};
use ledgerline_journal::format::SealedRecord;
use ledgerline_proof::checkpoint;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::event_id::uuid_v7_millis;
use ledgerline_proof::hash::{leaf_hash, sha256};
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::tree;
use ledgerline_vault as vault;

use super::model::{Chain, Identity, Model, Place, place, statement_of};
use super::node::Node;
use crate::Random;

/// What went wrong: a check that failed, or the engine's own error, which a fault may excuse.
pub(super) enum Trouble {
    Wrong(String),
    Error(String),
}

impl Trouble {
    pub(super) fn text(self) -> String {
        match self {
            Self::Wrong(text) | Self::Error(text) => text,
        }
    }
}

pub(super) type Checked = Result<(), Trouble>;

fn error(error: impl std::fmt::Display) -> Trouble {
    Trouble::Error(error.to_string())
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Trouble::Wrong(what())) }
}

/// A ledger and what it must be. `vault_is_older` excuses records whose slots an older copy of the
/// vault does not have.
pub(super) struct Check<'c> {
    pub(super) node: &'c Node,
    pub(super) model: &'c Model,
    pub(super) vault_is_older: bool,
}

impl Check<'_> {
    /// What readers are told about the whole ledger.
    pub(super) fn published(&self, verify: bool) -> Checked {
        let published = self.node.rest.rooms.published();
        let model = self.model;
        let found = (published.size, published.root, published.block_size);
        let expected = (model.size(), model.root(), model.block_size());
        ensure(found == expected, || format!("published {found:?}, must be {expected:?}"))?;
        let key = VerifierKey::parse(&self.node.rest.identity.log_key).map_err(error)?;
        for (note, size) in [
            (&published.checkpoint, published.size),
            (&published.block_checkpoint, published.block_size),
        ] {
            if !verify && size != published.size {
                continue;
            }
            let keys = std::slice::from_ref(&key);
            let opened = checkpoint::open(note.as_bytes(), keys);
            let opened = opened.map_err(|error| Trouble::Wrong(error.to_string()))?.checkpoint;
            let said = (opened.size(), opened.root());
            ensure(said == (size, model.roots[place(size)]), || {
                format!("a checkpoint of {said:?} is published for size {size}")
            })?;
        }
        Ok(())
    }

    /// A few facts, drawn.
    pub(super) fn sample(&self, random: &mut Random) -> Checked {
        let model = self.model;
        let index = random.below(model.size());
        self.leaf(index)?;
        if let Some((identity, place)) = draw(random, &model.events) {
            self.event(identity, place)?;
            self.personal(place.index)?;
        }
        if let Some((chain, row)) = draw(random, &model.chains) {
            self.chain(chain, row)?;
        }
        let kinds: [(&[u8], &Vec<u64>); 3] = self.kinds();
        let (kind, row) = random.choose(&kinds);
        self.row(&self.leaf_term(kind), row)
    }

    /// Everything.
    pub(super) fn whole(&self) -> Checked {
        let model = self.model;
        self.published(true)?;
        let store = &self.node.rest.rooms.store;
        for index in 0..model.size() {
            self.leaf(index)?;
            self.personal(index)?;
        }
        let root = tree::tree_root(model.size(), store).map_err(error)?;
        ensure(root == model.root(), || "the stored tree has another root".into())?;
        for (identity, place) in &model.events {
            self.event(identity, place)?;
        }
        for (chain, row) in &model.chains {
            self.chain(chain, row)?;
        }
        for (kind, row) in self.kinds() {
            self.row(&self.leaf_term(kind), row)?;
        }
        self.keys()
    }

    fn kinds(&self) -> [(&'static [u8], &Vec<u64>); 3] {
        let model = self.model;
        [
            (leaf_terms::CONTROL, &model.controls),
            (leaf_terms::BLOCK, &model.blocks),
            (leaf_terms::ERASED, &model.erasures),
        ]
    }

    /// A leaf is what it was, in the journal and in the tree.
    pub(super) fn leaf(&self, index: u64) -> Checked {
        let rooms = &self.node.rest.rooms;
        let bytes = rooms.reader.leaf(index).map_err(error)?;
        ensure(bytes == self.model.leaves[place(index)], || format!("leaf {index} has changed"))?;
        let hash = rooms.store.leaf(index).map_err(error)?;
        ensure(hash == leaf_hash(&bytes), || format!("the tree has another hash for {index}"))
    }

    fn event(&self, (tenant, source, id): &Identity, place: &Place) -> Checked {
        let parts: [&[u8]; 2] = [source.as_bytes(), id];
        let term = self.node.rest.terms.term(TermKind::EventId, tenant, &parts);
        let index = &self.node.rest.rooms.index;
        let found = index.find(&term, uuid_v7_millis(id)).map_err(error)?;
        ensure(found == [place.index], || format!("event {} is found at {found:?}", place.index))
    }

    fn chain(&self, (kind, tenant, id): &Chain, row: &[u64]) -> Checked {
        let parts: [&[u8]; 2] = [&[*kind], id];
        let term = self.node.rest.terms.term(TermKind::Chain, tenant, &parts);
        let head = self.node.rest.rooms.index.head(&term).map_err(error)?;
        let head = head.map(|head| (head.last, head.count));
        let expected = row.last().map(|last| (*last, row.len() as u64));
        ensure(head == expected, || format!("a chain's head is {head:?}, not {expected:?}"))?;
        self.row(&term, row)
    }

    fn leaf_term(&self, what: &[u8]) -> Term {
        self.node.rest.terms.term(TermKind::Leaf, "", &[what])
    }

    /// The postings of a term, from both ends.
    fn row(&self, term: &Term, row: &[u64]) -> Checked {
        let index = &self.node.rest.rooms.index;
        let size = self.model.size();
        let mut budget = ReadBudget::new(u32::MAX);
        let up = index.postings(term, 0..size, usize::MAX - 1, &mut budget).map_err(error)?;
        let down = index.postings_back(term, 0..size, 3, &mut budget).map_err(error)?;
        let last: Vec<u64> = row.iter().rev().take(3).copied().collect();
        ensure(up.indexes == row && down.indexes == last, || {
            format!("postings {:?} and {:?}, must be {row:?}", up.indexes, down.indexes)
        })
    }

    /// A personal record opens, unless its person was erased; then it never does.
    pub(super) fn personal(&self, index: u64) -> Checked {
        let Ok(Leaf::Entry(entry)) = Leaf::decode(&self.model.leaves[place(index)]) else {
            return Ok(());
        };
        let statement = statement_of(&entry).map_err(Trouble::Wrong)?;
        if statement.personal.is_empty() {
            return Ok(());
        }
        let stored = self.node.rest.rooms.reader.leaf_with_records(index).map_err(error)?;
        let count = (stored.sealed.len(), entry.sealed_digests.len());
        let expected = statement.personal.len();
        ensure(count == (expected, expected), || {
            format!("entry {index} has {count:?} sealed records of {expected}")
        })?;
        for (sealed, personal) in stored.sealed.iter().zip(&statement.personal) {
            self.sealed(index, &entry, sealed, personal.commitment)?;
        }
        Ok(())
    }

    fn sealed(
        &self,
        index: u64,
        entry: &Entry<'_>,
        sealed: &SealedRecord,
        expected: ledgerline_proof::hash::Hash,
    ) -> Checked {
        let hash = sha256(entry.statement);
        let vault = &self.node.rest.rooms.vault;
        let opened = vault.open_sealed(&sealed.slot, sealed.n, &hash, &sealed.sealed);
        if self.model.erased.contains(&sealed.slot) {
            let zeroed = !sealed.erased || sealed.sealed.iter().all(|byte| *byte == 0);
            return ensure(opened.is_err() && zeroed, || {
                format!("the personal record of entry {index} outlived its erasure")
            });
        }
        let digest = entry.sealed_digests[usize::from(sealed.n)];
        ensure(!sealed.erased && sealed.digest() == digest, || {
            format!("a sealed record of entry {index} is not the one recorded")
        })?;
        match opened {
            Ok(plain) => {
                let whole = decode_object::<PersonalRecord<'_>>(Kind::Personal, &plain).is_ok();
                ensure(whole && commitment(&plain) == expected, || {
                    format!("a personal record of entry {index} opens to something else")
                })
            }
            Err(vault::OpenError::UnknownSlot) if self.vault_is_older => Ok(()),
            Err(vault::OpenError::Io(kind)) => Err(error(kind)),
            Err(found) => Err(Trouble::Wrong(format!(
                "a personal record of entry {index} does not open: {found}"
            ))),
        }
    }

    /// The registry is a function of the control leaves.
    fn keys(&self) -> Checked {
        let registry = &self.node.rest.rooms.registry;
        let found = registry.keys().len();
        ensure(found == self.model.keys.len(), || format!("the registry has {found} keys"))?;
        for (key_id, range) in &self.model.keys {
            let key = registry.key(key_id);
            let found = key.as_ref().map(|key| (key.valid_from, key.valid_until));
            let expected = (range.from, range.until);
            let judged = key.is_some_and(|key| key.statement_key.is_some());
            ensure(found == Some(expected) && judged == range.judge.is_some(), || {
                format!("key {key_id} is {found:?}, must be {expected:?}")
            })?;
        }
        Ok(())
    }
}

fn draw<'m, K, V>(
    random: &mut Random,
    map: &'m std::collections::BTreeMap<K, V>,
) -> Option<(&'m K, &'m V)> {
    if map.is_empty() { None } else { map.iter().nth(random.index(map.len())) }
}
