//! The prover: assembles proof bundles out of what the ledger holds.
//!
//! Promises: a bundle of an intact ledger is PROVEN by the kernel's check, but for HMAC signatures
//! whose key the checker does not hold. Every leaf was read under its tree hash, every hit of the
//! index was confirmed at the entry, and all paths come from one batched read.
//!
//! Assumes: a block-aligned checkpoint ([`Published::block_checkpoint`]). A bundle is *as of* that
//! checkpoint: what was recorded behind its block is not shown. `coverage.beyond` counts the newer
//! entries of the chain, and an event that is newer still is [`ProveError::NotYetSealed`], for at
//! most one block interval. The receipt checkpoint is not used: witnesses and mirrors never see it,
//! so nobody could compare a bundle under it.
//!
//! ```text
//! plan     genesis, entries (index), blocks that close over them, last block, schemas, keys used
//! read     leaves, one by one; stored hashes, in one batch
//! compute  inclusion paths, consistency path
//! ```
//!
//! Refuses: to prove what nobody recorded, and bundles beyond the kernel's limits.

mod question;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub use question::{QuestionRequest, question_bundle};
pub use request::{BundleRequest, EventRequest, ProveError};

use ledgerline_index::terms::{OfLife, chain_term, event_term, leaf_terms};
use ledgerline_index::{ReadBudget, Term, TermHasher, TermKind};
use ledgerline_journal::leaf_store::StoredLeaf;
use ledgerline_proof::bundle::{
    AsOf, Base64, Base64Hash, Bundle, BundleError, Coverage, Decimal, Disclosed, Document, EventId,
    FORMAT, LeafProof, MAX_BUNDLE_BYTES, MAX_DOCUMENTS, MAX_LEAVES, Previous, Query, SignedDecimal,
    SourceCount, Tool, VERSION,
};
use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::control::{Control, ControlKind};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::event_id::uuid_v7_millis;
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::lifecycle::{self, Revocation, is_permitted_birth};
use ledgerline_proof::question::LIFE;
use ledgerline_proof::schema::{self, Kind, Leaf, SchemaSet};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::tree;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_proof::wire;
use ledgerline_vault::OpenError;
use ledgerline_view::committed::{Published, Rooms};

/// Postings read at a time.
const PAGE: usize = 1024;
/// Most revocations of a session, grant, client, subject or key that are looked through for those
/// that cover a token. Beyond, the bundle's coverage says so.
const MAX_WIDE: usize = 100_000;
/// Bytes of a path hash in JSON: 44 digits, quotes and comma.
const PATH_HASH_BYTES: usize = 47;

/// A bundle of a token's whole life, up to the newest published checkpoint: its chain, those of its
/// other ids, and the revocations of its session, grant, client, subject and key that cover it.
/// Of a token with one id it is the query `token`, of one with several the question `life`.
///
/// # Errors
/// [`ProveError`].
pub fn token_bundle(
    rooms: &Rooms,
    terms: &TermHasher,
    request: &BundleRequest,
) -> Result<Bundle, ProveError> {
    let BundleRequest { tenant, token_id, others, disclose, previous_size } = request;
    let published = rooms.published();
    let size = published.block_size;
    let mut prover = Prover::new(rooms, terms, &published)?;
    let (mut shown, mut beyond, mut newer) = (Vec::new(), 0, None::<u64>);
    let (mut with_entries, ids) = (BTreeSet::new(), std::iter::once(token_id).chain(others));
    for id in ids {
        let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
        let room = MAX_LEAVES.saturating_sub(shown.len()).max(1);
        let chain = prover.chain(&key, 0..size, room)?;
        if !chain.is_empty() {
            with_entries.insert(id);
        }
        shown.extend(chain);
        beyond += prover.chain_count(&key, size..published.size)?;
        let first = prover.chain(&key, size..published.size, 1)?;
        newer = newer.into_iter().chain(first.first().map(|(index, _)| *index)).min();
    }
    if shown.is_empty() {
        let unsealed = |index| ProveError::NotYetSealed { index, size };
        return Err(newer.map_or(ProveError::NotFound, unsealed));
    }
    for (index, stored) in shown {
        prover.show(index, stored, *disclose)?;
    }
    prover.show_wide_revocations()?;
    // What nothing here names is none of this bundle's business: it stands in another origin.
    let is_here = |id: &&String| with_entries.contains(id) || prover.names.contains(*id);
    let others = others.iter().filter(is_here).cloned();
    let ids: Vec<String> = std::iter::once(token_id.clone()).chain(others).collect();
    let query = if ids.len() == 1 {
        Query::Token { tenant: tenant.clone(), id: token_id.clone() }
    } else {
        Query::Question {
            tenant: tenant.clone(),
            name: LIFE.to_owned(),
            about: token_id.clone(),
            parameters: Vec::new(),
            tokens: vec![ids],
        }
    };
    prover.finish(query, beyond, *previous_size)
}

/// A bundle of one event. Its chain is not shown: what stands before and after it is another
/// question.
///
/// # Errors
/// [`ProveError`].
pub fn event_bundle(
    rooms: &Rooms,
    terms: &TermHasher,
    request: &EventRequest,
) -> Result<Bundle, ProveError> {
    let EventRequest { tenant, source, event_id, disclose, previous_size } = request;
    let published = rooms.published();
    let prover = Prover::new(rooms, terms, &published)?;
    let term = event_term(terms, tenant, source, event_id);
    for index in rooms.index.find(&term, uuid_v7_millis(event_id))? {
        if index >= published.size {
            continue;
        }
        let leaf = rooms.reader.leaf(index)?;
        let is_it = prover.with_statement(index, &leaf, |_, statement| {
            statement.tenant == tenant
                && statement.source == source
                && statement.event_id == *event_id
        })?;
        if is_it {
            return prover.one(index, *disclose, *previous_size);
        }
    }
    Err(ProveError::NotFound)
}

/// A bundle of the event at `index`, as [`event_bundle`].
///
/// # Errors
/// [`ProveError`]; `Unreadable` when the leaf there is no event.
pub fn event_bundle_at(
    rooms: &Rooms,
    terms: &TermHasher,
    index: u64,
    disclose: bool,
    previous_size: Option<u64>,
) -> Result<Bundle, ProveError> {
    let published = rooms.published();
    if index >= published.size {
        return Err(ProveError::NotFound);
    }
    Prover::new(rooms, terms, &published)?.one(index, disclose, previous_size)
}

/// A bundle in the making.
struct Prover<'r> {
    rooms: &'r Rooms,
    terms: &'r TermHasher,
    published: &'r Published,
    schemas: SchemaSet,
    /// Where each schema was announced first.
    announced: BTreeMap<[u8; 8], u64>,
    /// Where keys begin and end.
    key_leaves: BTreeMap<String, Vec<u64>>,
    leaves: BTreeMap<u64, Vec<u8>>,
    /// Index of every block shown, and the first index it covers.
    blocks: BTreeMap<u64, u64>,
    personal: Vec<Disclosed>,
    documents: BTreeMap<Hash, Document>,
    sources: BTreeMap<String, u64>,
    notes: Vec<String>,
    /// Ids that the entries shown give their tokens.
    names: BTreeSet<String>,
    /// The chains a revocation of which may cover the token, and the facts that decide it.
    wide: BTreeSet<(TargetKind, Vec<u8>)>,
    births: Vec<u64>,
}

impl<'r> Prover<'r> {
    fn new(
        rooms: &'r Rooms,
        terms: &'r TermHasher,
        published: &'r Published,
    ) -> Result<Self, ProveError> {
        let mut prover = Self {
            rooms,
            terms,
            published,
            schemas: SchemaSet::new(),
            announced: BTreeMap::new(),
            key_leaves: BTreeMap::new(),
            leaves: BTreeMap::new(),
            blocks: BTreeMap::new(),
            personal: Vec::new(),
            documents: BTreeMap::new(),
            sources: BTreeMap::new(),
            notes: Vec::new(),
            names: BTreeSet::new(),
            wide: BTreeSet::new(),
            births: Vec::new(),
        };
        prover.read_controls()?;
        Ok(prover)
    }

    /// Notes where schemas and keys stand.
    fn read_controls(&mut self) -> Result<(), ProveError> {
        let term = self.terms.term(TermKind::Leaf, "", &[leaf_terms::CONTROL]);
        for index in self.postings(&term, 0..self.published.block_size, usize::MAX)? {
            let leaf = self.rooms.reader.leaf(index)?;
            let unreadable = |error| ProveError::Unreadable { index, error };
            let body = self.schemas.body(Kind::Control, &leaf).map_err(unreadable)?;
            let control: Control<'_> = wire::decode(&body).map_err(unreadable)?;
            if let (ControlKind::Schema, Some(record)) = (control.kind, &control.schema) {
                // A text that the kernel refuses resolves nothing; the check says so too.
                if self.schemas.announce(record).is_ok() {
                    self.announced.entry(record.fingerprint).or_insert(index);
                }
            }
            let added = control.key_added.as_ref().map(|added| added.key_id);
            let ended = control.key_ended.as_ref().map(|ended| ended.key_id);
            if let Some(key_id) = added.or(ended) {
                self.key_leaves.entry(key_id.to_owned()).or_default().push(index);
            }
        }
        Ok(())
    }

    /// A term's indexes in a range, at most `limit`.
    fn postings(
        &self,
        term: &Term,
        range: Range<u64>,
        limit: usize,
    ) -> Result<Vec<u64>, ProveError> {
        let mut found = Vec::new();
        let mut from = range.start;
        while found.len() < limit {
            let mut budget = ReadBudget::new(u32::MAX);
            let wanted = PAGE.min(limit - found.len());
            let page = self.rooms.index.postings(term, from..range.end, wanted, &mut budget)?;
            found.extend(page.indexes);
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(found)
    }

    /// How many postings a chain has in a range, at most a page. Hits are not confirmed.
    fn chain_count(&self, chain: &ChainKey<'_>, range: Range<u64>) -> Result<u64, ProveError> {
        Ok(self.postings(&chain_term(self.terms, chain), range, PAGE)?.len() as u64)
    }

    /// A chain's entries in a range, confirmed, at most `limit`.
    fn chain(
        &self,
        chain: &ChainKey<'_>,
        range: Range<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, StoredLeaf)>, ProveError> {
        let mut found = Vec::new();
        for index in
            self.postings(&chain_term(self.terms, chain), range, limit.saturating_add(1))?
        {
            let stored = self.rooms.reader.leaf_with_records(index)?;
            let is_on = |entry: &Entry<'_>, statement: &Statement<'_>| {
                chain_key(statement, &entry.handles).as_ref() == Some(chain)
            };
            if self.with_statement(index, &stored.bytes, is_on)? {
                found.push((index, stored));
            }
        }
        if found.len() > limit && limit > 1 {
            let limit = BundleError::Limit { what: "leaves", limit };
            return Err(ProveError::TooLarge(limit));
        }
        Ok(found)
    }

    /// Reads an entry and its statement under the ledger's schemas.
    fn with_statement<T>(
        &self,
        index: u64,
        leaf: &[u8],
        read: impl FnOnce(&Entry<'_>, &Statement<'_>) -> T,
    ) -> Result<T, ProveError> {
        let unreadable = |error| ProveError::Unreadable { index, error };
        let body = self.schemas.body(Kind::Entry, leaf).map_err(unreadable)?;
        let entry: Entry<'_> = wire::decode(&body).map_err(unreadable)?;
        let body = self.schemas.statement_body(entry.statement).map_err(unreadable)?;
        let statement: Statement<'_> = wire::decode(&body).map_err(unreadable)?;
        Ok(read(&entry, &statement))
    }

    /// The bundle of one entry.
    fn one(
        mut self,
        index: u64,
        disclose: bool,
        previous_size: Option<u64>,
    ) -> Result<Bundle, ProveError> {
        let size = self.published.block_size;
        if index >= size {
            return Err(ProveError::NotYetSealed { index, size });
        }
        let stored = self.rooms.reader.leaf_with_records(index)?;
        let query = self.with_statement(index, &stored.bytes, |_, statement| Query::Event {
            tenant: statement.tenant.to_owned(),
            source: statement.source.to_owned(),
            event_id: EventId(statement.event_id),
        })?;
        self.show(index, stored, disclose)?;
        self.finish(query, 0, previous_size)
    }

    /// Puts an entry into the bundle with everything that its proof needs.
    fn show(&mut self, index: u64, stored: StoredLeaf, disclose: bool) -> Result<(), ProveError> {
        if self.leaves.contains_key(&index) {
            return Ok(());
        }
        let told = self.with_statement(index, &stored.bytes, Told::of)?;
        if disclose {
            self.disclose(index, &stored, &told)?;
        }
        for attachment in stored.attachments {
            if told.documents.contains(&attachment.digest) && self.documents.len() < MAX_DOCUMENTS {
                let document = Document {
                    digest: attachment.digest,
                    media_type: attachment.media_type,
                    data: Base64(attachment.data),
                };
                self.documents.insert(attachment.digest, document);
            }
        }
        *self.sources.entry(told.source).or_default() += 1;
        let keys = told.key_id.and_then(|key_id| self.key_leaves.get(&key_id)).cloned();
        for at in keys.into_iter().flatten() {
            self.leaf(at)?;
        }
        for fingerprint in
            [schema::split_object(&stored.bytes), schema::split_object(&told.statement)]
        {
            let announced = fingerprint.ok().and_then(|(one, _)| self.announced.get(&one)).copied();
            if let Some(at) = announced {
                self.leaf(at)?;
            }
        }
        self.names.extend(told.names);
        if told.birth {
            self.births.push(index);
            self.wide.extend(told.wide);
        }
        self.leaves.insert(index, stored.bytes);
        self.close_over(index)
    }

    /// Puts any leaf into the bundle.
    fn leaf(&mut self, index: u64) -> Result<(), ProveError> {
        if index < self.published.block_size && !self.leaves.contains_key(&index) {
            let leaf = self.rooms.reader.leaf(index)?;
            self.leaves.insert(index, leaf);
        }
        Ok(())
    }

    /// Shows the block that closes over `index`: the first one behind it.
    fn close_over(&mut self, index: u64) -> Result<(), ProveError> {
        let known = self.blocks.range(index..).next();
        if known.is_some_and(|(_, first)| *first <= index) {
            return Ok(());
        }
        let term = self.terms.term(TermKind::Leaf, "", &[leaf_terms::BLOCK]);
        let block = self.postings(&term, index..self.published.block_size, 1)?;
        let Some(&at) = block.first() else { return Ok(()) };
        self.leaf(at)?;
        if let Some(Ok(Leaf::Block(block))) = self.leaves.get(&at).map(|leaf| Leaf::decode(leaf)) {
            self.blocks.insert(at, u64::try_from(block.first_index).unwrap_or(at));
        }
        Ok(())
    }

    /// Opens an entry's personal records. Erased ones stay out: their commitments stand.
    fn disclose(&mut self, index: u64, stored: &StoredLeaf, told: &Told) -> Result<(), ProveError> {
        let statement_hash = sha256(&told.statement);
        for sealed in stored.sealed.iter().filter(|sealed| !sealed.erased) {
            let (slot, n) = (&sealed.slot, sealed.n);
            match self.rooms.vault.open_sealed(slot, n, &statement_hash, &sealed.sealed) {
                Ok(record) => {
                    let (n, record) = (u16::from(n), Base64(record));
                    self.personal.push(Disclosed { index: Decimal(index), n, record });
                }
                Err(OpenError::Erased) => {}
                Err(error) => return Err(ProveError::Vault { index, error }),
            }
        }
        Ok(())
    }

    /// Shows the revocations of something wider that cover the token. Their personal records are
    /// not of its life: they stay sealed.
    fn show_wide_revocations(&mut self) -> Result<(), ProveError> {
        let births = std::mem::take(&mut self.births);
        let Some(first) = births.first().and_then(|at| self.leaves.get(at)).cloned() else {
            return Ok(());
        };
        let tenant = self.with_statement(births[0], &first, |_, one| one.tenant.to_owned())?;
        for (kind, id) in std::mem::take(&mut self.wide) {
            let chain = ChainKey { kind, tenant: &tenant, id: &id };
            let range = 0..self.published.block_size;
            let term = OfLife::Acts.term(&chain_term(self.terms, &chain));
            let found = self.postings(&term, range, MAX_WIDE + 1)?;
            if found.len() > MAX_WIDE {
                let kind = kind.symbol();
                self.notes.push(format!(
                    "only the first {MAX_WIDE} revocations of its {kind} were looked through"
                ));
            }
            for at in found.into_iter().take(MAX_WIDE) {
                let stored = self.rooms.reader.leaf_with_records(at)?;
                if self.covers_any(at, &stored.bytes, &births)? {
                    self.show(at, stored, false)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a leaf is a revocation of something wider that covers the token by any of its
    /// births.
    fn covers_any(&self, at: u64, leaf: &[u8], births: &[u64]) -> Result<bool, ProveError> {
        for index in births {
            let Some(birth) = self.leaves.get(index) else { continue };
            let covers = self.with_statement(*index, birth, |entry, birth| {
                self.with_statement(at, leaf, |wide, statement| {
                    let revocation = Revocation::of(statement, &wide.handles, at, wide.recorded_at);
                    revocation.is_some_and(|one| lifecycle::covers(&one, birth, &entry.handles))
                })
            })??;
            if covers {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds what every bundle has, makes the paths and puts it together.
    fn finish(
        mut self,
        query: Query,
        beyond: u64,
        previous_size: Option<u64>,
    ) -> Result<Bundle, ProveError> {
        let size = self.published.block_size;
        self.leaf(0)?;
        self.leaf(size - 1)?;
        let sealed_at = match Leaf::decode(&self.leaves[&(size - 1)]) {
            Ok(Leaf::Block(block)) => block.sealed_at.nanos,
            _ => return Err(ProveError::Tree("the published tree does not end in a block".into())),
        };
        for kind in [Kind::Block, Kind::Control] {
            if let Some(at) = self.announced.get(&kind.fingerprint()).copied() {
                self.leaf(at)?;
            }
        }
        let of_personal = self.announced.get(&Kind::Personal.fingerprint()).copied();
        if let Some(at) = of_personal.filter(|_| !self.personal.is_empty()) {
            self.leaf(at)?;
        }
        let previous = previous_size.map(|old| previous(self.rooms, old, size)).transpose()?;
        let leaves = self.prove_leaves()?;
        self.personal.sort_by_key(|one| (one.index, one.n));
        let count = |(source, events)| SourceCount { source, events: Decimal(events) };
        let sources = self.sources.into_iter().map(count).collect();
        let bundle = Bundle {
            format: FORMAT.to_owned(),
            version: VERSION,
            query,
            as_of: AsOf { size: Decimal(size), recorded_at: SignedDecimal(sealed_at) },
            origin: self.published.block_checkpoint.lines().next().unwrap_or("").to_owned(),
            checkpoint: self.published.block_checkpoint.to_string(),
            previous,
            leaves,
            personal: self.personal,
            attachments: self.documents.into_values().collect(),
            coverage: Coverage { sources, beyond: Decimal(beyond), notes: self.notes },
            tool: Tool {
                name: "ledgerline".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            custody: Vec::new(),
        };
        bundle.check_limits().map_err(ProveError::TooLarge)?;
        if json_bytes(&bundle) > MAX_BUNDLE_BYTES {
            return Err(ProveError::TooLarge(BundleError::TooLong));
        }
        Ok(bundle)
    }

    fn prove_leaves(&mut self) -> Result<Vec<LeafProof>, ProveError> {
        let leaves = std::mem::take(&mut self.leaves);
        let indexes: Vec<u64> = leaves.keys().copied().collect();
        let size = self.published.block_size;
        let paths = tree::inclusion_paths(&indexes, size, &self.rooms.store)
            .map_err(|error| tree_error(&error))?;
        let proof = |((index, leaf), path): ((u64, Vec<u8>), Vec<Hash>)| LeafProof {
            index: Decimal(index),
            leaf: Base64(leaf),
            path: path.into_iter().map(Base64Hash).collect(),
        };
        Ok(leaves.into_iter().zip(paths).map(proof).collect())
    }
}

/// The proof that the tree of `size` leaves begins with that of `old` leaves.
///
/// # Errors
/// [`ProveError::PreviousBeyond`] when `old` is the larger one; when the tree cannot be read.
pub fn previous(rooms: &Rooms, old: u64, size: u64) -> Result<Previous, ProveError> {
    let store = &rooms.store;
    if old > size {
        return Err(ProveError::PreviousBeyond { previous: old, size });
    }
    let path = tree::consistency_path(old, size, store).map_err(|error| tree_error(&error))?;
    let root = tree::tree_root(old, store).map_err(|error| tree_error(&error))?;
    let path = path.into_iter().map(Base64Hash).collect();
    Ok(Previous { size: Decimal(old), root: Base64Hash(root), path })
}

fn tree_error(error: &tree::ProveError<std::io::Error>) -> ProveError {
    ProveError::Tree(error.to_string())
}

/// Bytes of the bundle in JSON, about: the parts that can be large.
fn json_bytes(bundle: &Bundle) -> usize {
    let base64 = |bytes: &Base64| bytes.0.len().div_ceil(3) * 4 + 64;
    let leaves =
        bundle.leaves.iter().map(|proof| base64(&proof.leaf) + proof.path.len() * PATH_HASH_BYTES);
    let personal = bundle.personal.iter().map(|one| base64(&one.record));
    let attachments = bundle.attachments.iter().map(|one| base64(&one.data) + 256);
    leaves.chain(personal).chain(attachments).sum::<usize>() + bundle.checkpoint.len() + 65_536
}

/// What the prover keeps of an entry.
struct Told {
    statement: Vec<u8>,
    source: String,
    key_id: Option<String>,
    documents: Vec<Hash>,
    names: Vec<String>,
    birth: bool,
    wide: Vec<(TargetKind, Vec<u8>)>,
}

impl Told {
    fn of(entry: &Entry<'_>, statement: &Statement<'_>) -> Self {
        let policies = statement.policies.iter().filter_map(|policy| policy.digest);
        let change = statement.policy_change.as_ref().and_then(|change| change.snapshot);
        Self {
            statement: entry.statement.to_vec(),
            source: statement.source.to_owned(),
            key_id: entry.signature.as_ref().map(|signature| signature.key_id.to_owned()),
            documents: policies.chain(change).collect(),
            names: statement.also_known_as.iter().map(|id| (*id).to_owned()).collect(),
            birth: is_permitted_birth(statement),
            wide: lifecycle::chains_of(statement, &entry.handles),
        }
    }
}
