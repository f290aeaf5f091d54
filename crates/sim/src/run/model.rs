//! What the ledger must be: a plain list of leaves and what follows from it, worked out with the
//! kernel alone.
//!
//! Promises: [`Model::adopt`] takes a leaf only when it fits all leaves before it: its chain's link
//! and sequence, its stamp, its key's range, its block's facts. Nothing here asks the engine.

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_proof::block::Block;
use ledgerline_proof::chain::{ChainTip, chain_key, check_link};
use ledgerline_proof::control::{Control, ControlKind};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::signature::StatementKey;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::tree::Frontier;
use ledgerline_proof::vocabulary::{EventType, HandleKind};

/// Tenant, source and event id: what an event is recorded under once for ever.
pub(super) type Identity = (String, String, [u8; 16]);
/// Target kind, tenant and id.
pub(super) type Chain = (u8, String, Vec<u8>);

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u64,
    pub(super) sequence: u64,
    pub(super) event_hash: Hash,
}

/// The index range of a key, and how its signatures are judged.
pub(super) struct KeyRange {
    pub(super) from: u64,
    pub(super) until: Option<u64>,
    pub(super) judge: Option<StatementKey>,
}

/// What the block in the making must say.
#[derive(Default)]
struct OpenBlock {
    height: i64,
    first_index: u64,
    previous: Option<Hash>,
    occurred: Vec<Hlc>,
    recorded: Vec<Hlc>,
}

/// The model of one ledger.
pub(super) struct Model {
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) hashes: Vec<Hash>,
    /// The root at every size, from 0.
    pub(super) roots: Vec<Hash>,
    tree: Frontier,
    pub(super) events: BTreeMap<Identity, Place>,
    pub(super) chains: BTreeMap<Chain, Vec<u64>>,
    pub(super) controls: Vec<u64>,
    pub(super) blocks: Vec<u64>,
    pub(super) erasures: Vec<u64>,
    pub(super) erased: BTreeSet<[u8; 16]>,
    pub(super) keys: BTreeMap<String, KeyRange>,
    /// Every checkpoint ever seen signed: nothing may contradict it, whatever happens later.
    pub(super) signed: BTreeMap<u64, Hash>,
    /// First index of every commit.
    pub(super) commits: Vec<u64>,
    block: OpenBlock,
    stamp: Hlc,
    /// Secrets of HMAC keys, which the ledger knows by hash only.
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) deployment: String,
}

impl Model {
    pub(super) fn new(deployment: &str) -> Self {
        let tree = Frontier::new();
        Self {
            leaves: Vec::new(),
            hashes: Vec::new(),
            roots: vec![tree.root()],
            tree,
            events: BTreeMap::new(),
            chains: BTreeMap::new(),
            controls: Vec::new(),
            blocks: Vec::new(),
            erasures: Vec::new(),
            erased: BTreeSet::new(),
            keys: BTreeMap::new(),
            signed: BTreeMap::new(),
            commits: Vec::new(),
            block: OpenBlock::default(),
            stamp: Hlc { nanos: i64::MIN, logical: 0 },
            secrets: BTreeMap::new(),
            deployment: deployment.to_owned(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub(super) fn root(&self) -> Hash {
        self.roots[self.leaves.len()]
    }

    /// Size after the newest block entry.
    pub(super) fn block_size(&self) -> u64 {
        self.blocks.last().map_or(0, |index| index + 1)
    }

    /// Takes the next leaf of the ledger, when it fits.
    pub(super) fn adopt(&mut self, leaf: &[u8]) -> Result<(), String> {
        let index = self.size();
        let hash = leaf_hash(leaf);
        let decoded = Leaf::decode(leaf).map_err(|error| format!("leaf {index}: {error}"))?;
        let (stamp, occurred) = match &decoded {
            Leaf::Control(control) => (control.recorded_at, None),
            Leaf::Block(block) => (block.sealed_at, None),
            Leaf::Entry(entry) => {
                let statement = statement_of(entry)?;
                (entry.recorded_at, Some(statement.occurred_at))
            }
        };
        if stamp <= self.stamp {
            return Err(format!("leaf {index}: stamp {stamp:?} is not after {:?}", self.stamp));
        }
        self.stamp = stamp;
        match &decoded {
            Leaf::Control(control) => self.take_control(index, control),
            Leaf::Block(block) => self.take_block(index, hash, block)?,
            Leaf::Entry(entry) => self.take_entry(index, hash, entry)?,
        }
        if !matches!(decoded, Leaf::Block(_)) {
            self.block.recorded.push(stamp);
            self.block.occurred.extend(occurred);
        }
        self.leaves.push(leaf.to_vec());
        self.hashes.push(hash);
        self.tree.push(hash);
        self.roots.push(self.tree.root());
        Ok(())
    }

    fn take_control(&mut self, index: u64, control: &Control<'_>) {
        self.controls.push(index);
        if let Some(added) = &control.key_added {
            let secret = self.secrets.get(added.key_id);
            let judge = match (added.alg, secret, added.public_key) {
                (1, Some(secret), _) => {
                    Some(StatementKey::hmac(secret, &self.deployment, added.key_id))
                }
                (2, _, Some(public)) => {
                    StatementKey::ed25519(public, &self.deployment, added.key_id).ok()
                }
                _ => None,
            };
            let range = KeyRange { from: index + 1, until: None, judge };
            self.keys.entry(added.key_id.to_owned()).or_insert(range);
        }
        if let (ControlKind::KeyRetired | ControlKind::KeyCompromised, Some(ended)) =
            (control.kind, &control.key_ended)
            && let Some(range) = self.keys.get_mut(ended.key_id)
        {
            range.until.get_or_insert(index);
        }
    }

    fn take_block(&mut self, index: u64, hash: Hash, block: &Block) -> Result<(), String> {
        let open = &self.block;
        let ends = |stamps: &[Hlc]| (stamps.iter().min().copied(), stamps.iter().max().copied());
        let expected = (
            (open.height, Some(block.previous), open.first_index),
            (index - open.first_index, self.root(), ends(&open.occurred), ends(&open.recorded)),
        );
        let found = (
            (
                block.height,
                open.previous.or(Some(Hash::ZERO)),
                u64::try_from(block.first_index).unwrap_or(u64::MAX),
            ),
            (
                u64::try_from(block.count).unwrap_or(u64::MAX),
                block.tree_root,
                (block.min_occurred_at, block.max_occurred_at),
                (block.first_recorded_at, block.last_recorded_at),
            ),
        );
        if expected != found {
            return Err(format!("block at {index} says {found:?}, must say {expected:?}"));
        }
        self.blocks.push(index);
        self.block = OpenBlock {
            height: block.height + 1,
            first_index: index + 1,
            previous: Some(hash),
            ..OpenBlock::default()
        };
        Ok(())
    }

    fn take_entry(
        &mut self,
        index: u64,
        event_hash: Hash,
        entry: &Entry<'_>,
    ) -> Result<(), String> {
        let statement = statement_of(entry)?;
        let at = |what: &str| format!("entry {index}: {what}");
        let key = chain_key(&statement, &entry.handles).ok_or_else(|| at("no chain"))?;
        let chain = (key.kind.position(), key.tenant.to_owned(), key.id.to_vec());
        let row = self.chains.entry(chain).or_default();
        let tip = row.last().map(|last| ChainTip {
            index: *last,
            event_hash: self.hashes[place(*last)],
            sequence: row.len() as u64 - 1,
        });
        let genesis = self.hashes[0];
        check_link(entry, tip.as_ref(), || key.start(&genesis))
            .map_err(|error| at(&format!("the chain breaks: {error:?}")))?;
        row.push(index);
        let sequence = row.len() as u64 - 1;
        if let Some(signature) = &entry.signature {
            let range = self.keys.get(signature.key_id).ok_or_else(|| at("unknown key"))?;
            if index < range.from || range.until.is_some_and(|until| index > until) {
                return Err(at("its key was not valid at this index"));
            }
            let judge = range.judge.as_ref().ok_or_else(|| at("its key cannot judge"))?;
            judge
                .verify(entry.statement, signature.value)
                .map_err(|error| at(&format!("its signature does not hold: {error}")))?;
        }
        let blind = entry.signature.is_none() && statement.personal.is_empty();
        if entry.blind.is_some() != blind {
            return Err(at("blind stands where it must not, or is missing"));
        }
        if statement.event_type == EventType::Erased {
            self.erasures.push(index);
            let person = entry.handles.iter().find(|handle| handle.kind == HandleKind::Person);
            self.erased.extend(person.map(|person| person.id));
        }
        let identity =
            (statement.tenant.to_owned(), statement.source.to_owned(), statement.event_id);
        let found = Place { index, sequence, event_hash };
        if let Some(first) = self.events.insert(identity, found) {
            return Err(at(&format!("its event stands at {} already", first.index)));
        }
        Ok(())
    }

    /// Notes a checkpoint that the ledger signed.
    pub(super) fn note_signed(&mut self, size: u64, root: Hash) -> Result<(), String> {
        match self.signed.insert(size, root) {
            Some(before) if before != root => {
                Err(format!("two checkpoints of size {size} contradict each other"))
            }
            _ => Ok(()),
        }
    }

    /// Every checkpoint ever signed must be one of this ledger.
    pub(super) fn check_signed(&self) -> Result<(), String> {
        for (size, root) in &self.signed {
            match self.roots.get(place(*size)) {
                Some(found) if found == root => {}
                Some(_) => return Err(format!("the root at {size} is not the one signed")),
                None => {
                    let now = self.size();
                    return Err(format!("size {size} was signed, the ledger has only {now}"));
                }
            }
        }
        Ok(())
    }
}

/// The statement in an entry.
pub(super) fn statement_of<'a>(entry: &Entry<'a>) -> Result<Statement<'a>, String> {
    decode_object(Kind::Statement, entry.statement)
        .map_err(|error| format!("a statement in the ledger does not decode: {error}"))
}

/// An index into memory.
pub(super) fn place(index: u64) -> usize {
    usize::try_from(index).expect("a simulated ledger fits memory")
}
