//! A ledger of a few leaves in memory, and a prover over it that reads every leaf.
//!
//! Everything is a function of the calls made: same calls, same bytes.

use std::collections::BTreeMap;
use std::convert::Infallible;

use ledgerline_proof::block::Block;
use ledgerline_proof::bundle::{
    AsOf, Base64, Base64Hash, Bundle, Coverage, Custody, Decimal, Disclosed, Document, EventId,
    FORMAT, LeafProof, Previous, Query, SignedDecimal, SourceCount, Tool, VERSION,
};
use ledgerline_proof::chain::{ChainTip, chain_key};
use ledgerline_proof::checkpoint::Signer;
use ledgerline_proof::control::{Control, ControlKind, Genesis, Grant, KeyAdded, KeyEnded};
use ledgerline_proof::entry::{Attestation, Entry, Handle, Signature};
use ledgerline_proof::hash::{DomainHasher, Hash, domain, empty_root, leaf_hash, sha256};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::note::{KeyKind, Note, SignerKey, VerifierKey};
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, Leaf, encode_object};
use ledgerline_proof::signature::{Alg, StatementSigner};
use ledgerline_proof::statement::{Personal, Statement, Target};
use ledgerline_proof::tree::{
    Frontier, HashAt, HashReader, consistency_path, inclusion_paths, tree_root,
};
use ledgerline_proof::vocabulary::{EventType, KeyPurpose, PersonalRole, TargetKind};

pub const ORIGIN: &str = "ledger.example/bundles";
pub const DEPLOYMENT: &str = "vectors";
pub const HMAC_SECRET: [u8; 32] = [0x5a; 32];
const START: i64 = 1_763_000_000_000_000_000;

/// The log's key of a seed; the honest one is 1.
pub fn log_key(seed: u8) -> SignerKey {
    SignerKey::from_seed(ORIGIN, KeyKind::Ed25519, &[seed; 32]).unwrap()
}

/// Stored hashes in memory.
#[derive(Default)]
pub struct Hashes(BTreeMap<HashAt, Hash>);

impl HashReader for Hashes {
    type Error = Infallible;

    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, Infallible> {
        Ok(wanted.iter().map(|at| self.0[at]).collect())
    }
}

pub struct Ledger {
    pub leaves: Vec<Vec<u8>>,
    key: SignerKey,
    hashes: Hashes,
    frontier: Frontier,
    block: Block,
    chains: BTreeMap<(u8, String, Vec<u8>), ChainTip>,
    stamp: i64,
    /// Personal records by (index, n).
    pub records: BTreeMap<(u64, u16), Vec<u8>>,
}

fn bytes16(text: &str) -> [u8; 16] {
    sha256(text.as_bytes()).0[..16].try_into().unwrap()
}

fn open_block(height: i64, previous: Hash, first_index: u64) -> Block {
    Block {
        height,
        previous,
        first_index: first_index.cast_signed(),
        count: 0,
        tree_root: empty_root(),
        min_occurred_at: None,
        max_occurred_at: None,
        first_recorded_at: None,
        last_recorded_at: None,
        sealed_at: Hlc::at(0),
        refused_count: 0,
        refused_root: empty_root(),
        key_maps: Vec::new(),
    }
}

impl Ledger {
    /// Commit 0: GENESIS, the schemas, block 0. `named` stands in GENESIS, `key` signs.
    pub fn new(key: SignerKey, named: &VerifierKey) -> Self {
        let mut ledger = Self {
            leaves: Vec::new(),
            key,
            hashes: Hashes::default(),
            frontier: Frontier::new(),
            block: open_block(0, Hash::ZERO, 0),
            chains: BTreeMap::new(),
            stamp: START,
            records: BTreeMap::new(),
        };
        let vkey = named.to_string();
        ledger.control(|control| {
            control.kind = ControlKind::Genesis;
            control.genesis = Some(Genesis {
                ledger_id: bytes16("ledger"),
                deployment: DEPLOYMENT,
                origin: ORIGIN,
                log_key: Box::leak(vkey.into_boxed_str()),
                shard: 0,
                shard_count: 1,
                shard_hash: "",
                predecessor: None,
            });
        });
        for kind in Kind::ANNOUNCED {
            ledger.control(|control| {
                control.kind = ControlKind::Schema;
                control.schema = Some(kind.schema_text());
            });
        }
        ledger.seal();
        ledger
    }

    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Appends any bytes as a leaf.
    pub fn push(&mut self, leaf: Vec<u8>) -> u64 {
        let index = self.size();
        let hashes = &mut self.hashes.0;
        self.frontier.push_stored(leaf_hash(&leaf), |at, hash| {
            hashes.insert(at, hash);
        });
        self.leaves.push(leaf);
        index
    }

    fn tick(&mut self, occurred_at: Option<Hlc>) -> Hlc {
        self.stamp += 1_000_000;
        let stamp = Hlc::at(self.stamp);
        self.block.count += 1;
        self.block.first_recorded_at.get_or_insert(stamp);
        self.block.last_recorded_at = Some(stamp);
        if let Some(at) = occurred_at {
            let block = &mut self.block;
            block.min_occurred_at = Some(block.min_occurred_at.map_or(at, |min| min.min(at)));
            block.max_occurred_at = Some(block.max_occurred_at.map_or(at, |max| max.max(at)));
        }
        stamp
    }

    pub fn control(&mut self, fill: impl FnOnce(&mut Control<'static>)) -> u64 {
        let recorded_at = self.tick(None);
        let mut control = Control {
            kind: ControlKind::Other,
            recorded_at,
            genesis: None,
            schema: None,
            key_added: None,
            key_ended: None,
            recovered: None,
            blind: bytes16(&format!("blind {}", self.size())),
            cut: None,
        };
        fill(&mut control);
        self.push(encode_object(Kind::Control, &control))
    }

    pub fn add_key(&mut self, key_id: &'static str, alg: Alg, public: Option<&'static [u8]>) {
        let secret = DomainHasher::new(domain::SECRET).bytes(&HMAC_SECRET).finish();
        self.control(|control| {
            control.kind = ControlKind::KeyAdded;
            control.key_added = Some(KeyAdded {
                key_id,
                purpose: KeyPurpose::Producer,
                alg: alg.number(),
                tenant: "",
                source: "idp",
                grant: Grant {
                    types: Vec::new(),
                    issuers: vec!["idp"],
                    regions: vec!["eu"],
                    roles: Vec::new(),
                    signed_only: true,
                    strict: false,
                    expires_at: None,
                },
                public_key: public,
                secret_hash: public.is_none().then_some(secret),
            });
        });
    }

    pub fn retire_key(&mut self, key_id: &'static str) {
        self.control(|control| {
            control.kind = ControlKind::KeyRetired;
            control.key_ended = Some(KeyEnded { key_id, reason: None });
        });
    }

    /// Closes the block in the making.
    pub fn seal(&mut self) {
        self.seal_bent(|_| {});
    }

    /// The same; `bend` may change the block before it is encoded.
    pub fn seal_bent(&mut self, bend: impl FnOnce(&mut Block)) {
        self.stamp += 1_000_000;
        let index = self.size();
        let mut block = self.block.clone();
        block.tree_root = self.frontier.root();
        block.sealed_at = Hlc::at(self.stamp);
        bend(&mut block);
        let leaf = encode_object(Kind::Block, &block);
        self.block = open_block(block.height + 1, leaf_hash(&leaf), index + 1);
        self.push(leaf);
    }

    /// Records a statement; `bend` may change the entry before it is encoded.
    pub fn record(&mut self, new: New<'_>, bend: impl FnOnce(&mut Entry<'_>)) -> u64 {
        let New { mut statement, signer, record, handles, raw } = new;
        let record = record.map(|record| encode_object(Kind::Personal, &record));
        if let Some(record) = &record {
            let commitment = commitment(record);
            statement.personal.push(Personal { role: PersonalRole::Subject, commitment });
        }
        let mut bytes = encode_object(Kind::Statement, &statement);
        raw(&mut bytes);
        let value = signer.map(|(_, _, signer)| signer.sign(&bytes));
        let signature = signer.map(|(alg, key_id, _)| Signature {
            alg: alg.number(),
            key_id,
            value: value.as_ref().unwrap(),
        });
        let chain = chain_key(&statement, &handles).unwrap();
        let place = (chain.kind.position(), chain.tenant.to_owned(), chain.id.to_vec());
        let tip = self.chains.get(&place).copied();
        let genesis = leaf_hash(&self.leaves[0]);
        let recorded_at = self.tick(Some(statement.occurred_at));
        let index = self.size();
        let guessable = signature.is_none() && statement.personal.is_empty();
        let sequence = tip.map_or(0, |tip| tip.sequence + 1);
        let credential = if statement.source == "ledger" { None } else { Some("key-7") };
        let mut entry = Entry {
            statement: &bytes,
            signature,
            attested_by: Attestation { credential, stream: None },
            handles: handles.clone(),
            sealed_digests: record.iter().map(|record| sha256(record)).collect(),
            recorded_at,
            sequence: sequence.cast_signed(),
            prev_event_hash: tip.map_or_else(|| chain.start(&genesis), |tip| tip.event_hash),
            prev_index: tip.map(|tip| tip.index.cast_signed()),
            blind: guessable.then(|| bytes16(&format!("entry {index}"))),
        };
        bend(&mut entry);
        let leaf = encode_object(Kind::Entry, &entry);
        let event_hash = leaf_hash(&leaf);
        let sequence = entry.sequence.cast_unsigned();
        self.chains.insert(place, ChainTip { index, event_hash, sequence });
        if let Some(record) = record {
            self.records.insert((index, 0), record);
        }
        self.push(leaf);
        index
    }

    pub fn event(&mut self, new: New<'_>) -> u64 {
        self.record(new, |_| {})
    }

    /// The signed checkpoint of a size.
    pub fn checkpoint(&self, size: u64) -> Note {
        let root = tree_root(size, &self.hashes).unwrap();
        let mut signer = Signer::new(SignerKey::parse(&self.key.to_skey()).unwrap()).unwrap();
        signer.sign(size, root).unwrap().note
    }

    /// A bundle of the leaves that `wanted` picks, with all that the format asks for.
    pub fn bundle(
        &self,
        query: Query,
        wanted: &dyn Fn(&Entry<'_>, &Statement<'_>) -> bool,
    ) -> Bundle {
        let size = self.size();
        let read = |index: u64| Leaf::decode(&self.leaves[usize::try_from(index).unwrap()]);
        let mut indexes = vec![0, size - 1];
        let mut keys = Vec::new();
        let mut sources: BTreeMap<String, u64> = BTreeMap::new();
        for index in 0..size {
            let Ok(Leaf::Entry(entry)) = read(index) else { continue };
            let Some(statement) = loose_statement(&entry) else { continue };
            if !wanted(&entry, &statement) {
                continue;
            }
            indexes.push(index);
            *sources.entry(statement.source.to_owned()).or_default() += 1;
            keys.extend(entry.signature.map(|signature| signature.key_id.to_owned()));
            let closes = |at: &u64| matches!(read(*at), Ok(Leaf::Block(_)));
            indexes.extend((index..size).find(closes));
        }
        for index in 0..size {
            let Ok(Leaf::Control(control)) = read(index) else { continue };
            let key = control.key_added.as_ref().map(|added| added.key_id);
            let key = key.or(control.key_ended.as_ref().map(|ended| ended.key_id));
            let used = key.is_some_and(|key| keys.iter().any(|used| used == key));
            // The pinned ones may be left out; the bundles of one event bring one along.
            let schema = control.schema.is_some_and(|schema| {
                let pinned = Kind::from_fingerprint(schema.fingerprint);
                let event = matches!(query, Query::Event { .. });
                pinned.is_none() || (event && pinned == Some(Kind::Statement))
            });
            if used || schema {
                indexes.push(index);
            }
        }
        indexes.sort_unstable();
        indexes.dedup();
        self.assemble(query, &indexes, sources)
    }

    fn assemble(&self, query: Query, indexes: &[u64], sources: BTreeMap<String, u64>) -> Bundle {
        let size = self.size();
        let paths = inclusion_paths(indexes, size, &self.hashes).unwrap();
        let proof = |(index, path): (&u64, Vec<Hash>)| LeafProof {
            index: Decimal(*index),
            leaf: Base64(self.leaves[usize::try_from(*index).unwrap()].clone()),
            path: path.into_iter().map(Base64Hash).collect(),
        };
        let sources = sources
            .into_iter()
            .map(|(source, events)| SourceCount { source, events: Decimal(events) })
            .collect();
        Bundle {
            format: FORMAT.to_owned(),
            version: VERSION,
            query,
            as_of: AsOf { size: Decimal(size), recorded_at: SignedDecimal(self.stamp) },
            origin: ORIGIN.to_owned(),
            checkpoint: String::from_utf8(self.checkpoint(size).to_bytes()).unwrap(),
            previous: None,
            leaves: indexes.iter().zip(paths).map(proof).collect(),
            personal: Vec::new(),
            attachments: Vec::new(),
            coverage: Coverage { sources, beyond: Decimal(0), notes: Vec::new() },
            tool: Tool { name: "vectors".to_owned(), version: "1".to_owned() },
            custody: vec![Custody {
                at: "2026-11-22T10:10:00Z".to_owned(),
                by: "auditor".to_owned(),
                act: "exported".to_owned(),
            }],
        }
    }

    /// A bundle of a token's whole chain.
    pub fn token(&self, id: &str) -> Bundle {
        let query = Query::Token { tenant: String::new(), id: id.to_owned() };
        self.bundle(query, &|_, statement| statement.target.id == id)
    }

    /// A bundle of every leaf, whatever it holds.
    pub fn everything(&self) -> Bundle {
        let query = Query::Token { tenant: String::new(), id: "eu:idp:jti:plain".to_owned() };
        let indexes: Vec<u64> = (0..self.size()).collect();
        self.assemble(query, &indexes, BTreeMap::new())
    }

    /// A bundle of one event.
    pub fn one(&self, source: &str, name: &str) -> Bundle {
        let (source, event_id) = (source.to_owned(), EventId(bytes16(name)));
        let query = Query::Event { tenant: String::new(), source, event_id };
        self.bundle(query, &|_, statement| statement.event_id == bytes16(name))
    }

    pub fn disclose(&self, bundle: &mut Bundle) {
        for proof in &bundle.leaves {
            if let Some(record) = self.records.get(&(proof.index.0, 0)) {
                let record = Base64(record.clone());
                bundle.personal.push(Disclosed { index: proof.index, n: 0, record });
            }
        }
    }

    pub fn consistency(&self, old: u64) -> Previous {
        let path = consistency_path(old, self.size(), &self.hashes).unwrap();
        Previous {
            size: Decimal(old),
            root: Base64Hash(tree_root(old, &self.hashes).unwrap()),
            path: path.into_iter().map(Base64Hash).collect(),
        }
    }
}

/// The statement of an entry, also when its bytes were bent at the end.
fn loose_statement<'a>(entry: &Entry<'a>) -> Option<Statement<'a>> {
    let body = entry.statement.get(10..)?;
    let mut reader = ledgerline_proof::wire::Reader::new(body);
    ledgerline_proof::wire::Wire::take(&mut reader).ok()
}

pub fn document(data: &[u8]) -> Document {
    let data = data.to_vec();
    Document { digest: sha256(&data), media_type: "text/plain".to_owned(), data: Base64(data) }
}

/// An event to be recorded.
pub struct New<'a> {
    pub statement: Statement<'a>,
    pub signer: Option<(Alg, &'a str, &'a StatementSigner)>,
    pub record: Option<PersonalRecord<'a>>,
    pub handles: Vec<Handle>,
    /// Bends the encoded statement before it is signed.
    pub raw: fn(&mut Vec<u8>),
}

impl<'a> New<'a> {
    /// An act on a token; the event id follows from `name`.
    pub fn token(name: &str, id: &'a str, event_type: EventType, occurred: i64) -> Self {
        let target = Target { kind: TargetKind::Token, id };
        Self::of(name, "idp", target, event_type, occurred)
    }

    pub fn of(
        name: &str,
        source: &'a str,
        target: Target<'a>,
        event_type: EventType,
        occurred: i64,
    ) -> Self {
        let at = Hlc::at(START + occurred * 1_000);
        let mut statement = Statement::new(bytes16(name), source, target, event_type, at);
        if event_type == EventType::Issued {
            statement.issuer = Some("idp");
            statement.session_id = Some("s-17");
            statement.expires_at = Some(START + 3_600_000_000_000);
        }
        Self { statement, signer: None, record: None, handles: Vec::new(), raw: |_| {} }
    }

    pub fn signed(mut self, alg: Alg, key_id: &'a str, signer: &'a StatementSigner) -> Self {
        self.signer = Some((alg, key_id, signer));
        self
    }

    pub fn about(mut self, user: &'a str) -> Self {
        let salt = sha256(user.as_bytes()).0;
        self.record = Some(PersonalRecord {
            salt,
            user_id: Some(user),
            ip: Some("203.0.113.7"),
            user_agent: None,
            device: None,
            resource: None,
            attributes: Vec::new(),
        });
        self
    }
}
