//! What one batch says by itself: decoding, statements, signatures, sealed records, attachments,
//! MACs.
//!
//! Promises: a pure function of the batch and of keys that are valid in it, so any thread may do
//! it. What depends on the batches before (tree, chains, blocks, stamps) is left to `ledger.rs` as
//! facts.
//!
//! Assumes: the reader has told the registry about every control leaf up to the end of the batch.
//! Keys that change later make no difference, because a key is valid over an index range.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_index::terms::{chain_term, event_term, planned_postings_of, postings_of};
use ledgerline_index::{EventSpan, Posting, TermHasher, TermKind};
use ledgerline_journal::format::{AttachmentRecord, Frame, FrameType, SealedRecord, segment_path};
use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::entry::{Entry, MAX_ENTRY_BYTES};
use ledgerline_proof::event_id::{derived_event_id, uuid_v7_millis};
use ledgerline_proof::hash::{Hash, HmacKey, leaf_hash, sha256};
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, Leaf, decode_object, decode_object_with};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, HandleKind, KeyPurpose, TargetKind};
use ledgerline_vault::{OpenError, Vault};
use ledgerline_view::registry::{Key, LEDGER_SOURCE, Registry};

use super::facts::{EventFacts, Job, LeafFacts, LeafWhat, fact_of};
use super::index_files::{Compared, SummedPostings};
use super::multiset::{PostingKey, PostingSum};
use super::names::name_of_statement;
use super::report::{Severity, VerifyFinding};
use super::signatures::{Kept, Signatures};

/// What every batch is judged with. Shared by the threads.
pub(super) struct Context {
    /// Event hash of the genesis leaf.
    pub genesis: Hash,
    /// The ledger.
    pub ledger_id: [u8; 16],
    /// The deployment that signatures name.
    pub deployment: String,
    /// The checkpoint origin.
    pub origin: String,
    /// The origins before it.
    pub older: Vec<String>,
    /// The log's public key, as the genesis leaf names it.
    pub log_key: Option<VerifierKey>,
    /// Which kept checkpoint signatures are checked.
    pub signatures: Signatures,
    /// Producers' keys so far.
    pub registry: Registry,
    /// Secrets and personal keys, when they are at hand.
    pub vault: Option<Arc<Vault>>,
    /// Authenticates commits, when it is at hand.
    pub journal_key: Option<HmacKey>,
    /// Hashes index terms: under the index key, else under one of the genesis entry's.
    pub terms: TermHasher,
    /// Which postings are summed up; none unless that is the index key.
    pub compared: Compared,
    /// Sums postings up.
    pub posting_key: PostingKey,
}

impl Context {
    /// The postings that are compared, and the key of their sums.
    pub fn postings(&self) -> SummedPostings {
        SummedPostings { compared: self.compared, key: self.posting_key }
    }
}

/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;
/// A batch, judged.
pub(super) struct Judged {
    pub job: Job,
    pub leaves: Vec<LeafFacts>,
    pub tally: Tally,
    /// The signature that the commit keeps of the checkpoint before it.
    pub kept: Option<Kept>,
}

/// What is counted and found while judging.
#[derive(Default)]
pub(super) struct Tally {
    pub findings: Vec<VerifyFinding>,
    pub unverifiable: BTreeMap<String, u64>,
    pub signatures: u64,
    pub checkpoint_signatures: u64,
    pub kept_signatures: u64,
    pub sealed: u64,
    pub opened: u64,
    /// Slots of records that were erased in place, with the entry.
    pub erased: Vec<([u8; 16], u64)>,
    pub attachments: u64,
}

/// Judges a batch. Without `deep` only what the chains need is gathered.
pub(super) fn judge(context: &Context, job: Job, deep: bool) -> Judged {
    let mut judge = Judge {
        context,
        file: segment_path(job.batch.segment),
        deep,
        tally: Tally::default(),
        kept: None,
        leaves: Vec::with_capacity(job.batch.head.entry_count as usize),
        keys: BTreeMap::new(),
        acts: BTreeMap::new(),
        postings: Vec::new(),
    };
    if deep {
        judge.commit(&job);
    }
    judge.frames(&job);
    let Judge { tally, leaves, kept, .. } = judge;
    Judged { job, leaves, tally, kept }
}

/// An entry and its statement, while what stands beside it is read. Both are large and are not
/// moved.
struct Current<'e, 'b> {
    index: u64,
    at: u64,
    entry: &'e Entry<'b>,
    statement: &'e Statement<'b>,
    statement_hash: Option<Hash>,
    records: usize,
}

struct Judge<'c, 'b> {
    context: &'c Context,
    file: String,
    deep: bool,
    tally: Tally,
    kept: Option<Kept>,
    leaves: Vec<LeafFacts>,
    keys: BTreeMap<&'b str, Option<Arc<Key>>>,
    /// Parts seen of each act, as bits, with what it needs and where it began.
    acts: BTreeMap<(&'b str, &'b str, &'b str), (u64, i32, u64)>,
    postings: Vec<Posting>,
}

impl<'b> Judge<'_, 'b> {
    fn error(&mut self, code: &'static str, at: u64, what: String) -> &mut VerifyFinding {
        let finding = VerifyFinding::new(Severity::Error, code, &self.file, what).at(at);
        self.tally.findings.push(finding);
        self.tally.findings.last_mut().expect("just pushed")
    }

    fn entry_error(&mut self, code: &'static str, current: &Current<'_, '_>, what: &str) {
        let text = format!("entry {}: {what}", current.index);
        let name = name_of_statement(current.statement, &current.entry.handles);
        let finding = VerifyFinding::new(Severity::Error, code, &self.file, text);
        let finding = finding.at(current.at).entry(current.index).of(Some(name));
        self.tally.findings.push(finding);
    }

    /// MAC, epoch, and the signature of the checkpoint before.
    fn commit(&mut self, job: &Job) {
        let (batch, commit) = (&job.batch, &job.batch.commit);
        self.tally.kept_signatures += u64::from(!commit.previous_signature.is_empty());
        let Some(before) = &job.before else { return };
        let (start, base) = (batch.start, job.base);
        if let Some(key) = &self.context.journal_key
            && !commit.holds(key, &before.mac)
        {
            let what = "the commit's MAC does not hold: the commit, or one before it, was not \
                        written by this ledger's writer";
            let what = format!("{what} (entries {base} to {})", commit.size.saturating_sub(1));
            self.error("commit_mac", start, what).first_bad_index = Some(base);
        }
        if commit.epoch != batch.head.epoch || commit.epoch < before.epoch {
            let what = "the writer's epoch goes backwards, or batch and commit disagree about it";
            self.error("commit_epoch", start, what.to_owned()).first_bad_index = Some(base);
        }
        let forgotten =
            before.streams.as_ref().and_then(|one| one.contradicted_by(&commit.streams));
        if let Some(mark) = forgotten {
            let what = format!(
                "the commit forgets how far a part of stream {} was read, or goes on with one that \
                 has ended",
                mark.stream.name.escape_default()
            );
            self.error("stream_marks", start, what).first_bad_index = Some(base);
        }
        let signature = &commit.previous_signature;
        if before.size == 0 {
            if !signature.is_empty() {
                let what = "the first commit carries a signature of something before it";
                self.error("checkpoint_signature", start, what.to_owned());
            }
            return;
        }
        let mut kept = Kept {
            size: before.size,
            root: before.root,
            signature: signature.clone(),
            segment: batch.segment,
            start,
            base,
            // One that is no signature at all is found by every verification.
            checked: signature.len() != SIGNATURE_BYTES
                || self.context.signatures.wants(before.size, before.ends_in_block),
        };
        let Some(log_key) = &self.context.log_key else { return };
        if kept.checked {
            self.tally.checkpoint_signatures += 1;
            if !kept.holds(&self.context.origin, log_key) {
                let found = self.error("checkpoint_signature", start, kept.complaint());
                found.first_bad_index = Some(base);
            }
            kept.signature.clear();
        }
        self.kept = Some(kept);
    }

    fn frames<'j: 'b>(&mut self, job: &'j Job) {
        let mut index = job.base;
        let mut beside = Vec::new();
        let mut frames = job.batch.frames().peekable();
        while let Some(frame) = frames.next() {
            if frame.kind == FrameType::Entry {
                beside.clear();
                while let Some(one) = frames.next_if(|one| one.kind != FrameType::Entry) {
                    beside.push(one);
                }
                self.leaf(index, &frame, &beside);
                index += 1;
            }
        }
        for ((_, _, id), (parts, wanted, first)) in std::mem::take(&mut self.acts) {
            if u64::from(parts.count_ones()) != u64::try_from(wanted).unwrap_or(0) {
                let what = format!("act {id:?} from entry {first} on is not whole in its commit");
                self.error("act_torn", job.batch.start, what).first_bad_index = Some(first);
            }
        }
    }

    fn leaf(&mut self, index: u64, frame: &Frame<'b>, beside: &[Frame<'b>]) {
        let (bytes, at) = (frame.body, frame.offset);
        let mut facts = LeafFacts {
            hash: leaf_hash(bytes),
            at,
            recorded_at: None,
            what: LeafWhat::Unreadable,
            postings: PostingSum::default(),
            uuid_millis: None,
        };
        match Leaf::decode(bytes) {
            Err(error) => {
                let what = format!("entry {index} is no leaf in its one encoding: {error}");
                self.error("leaf_encoding", at, what).first_bad_index = Some(index);
            }
            // Its strings may be longer than anything below takes.
            Ok(_) if bytes.len() > MAX_ENTRY_BYTES => {
                let what = format!("entry {index} is longer than an entry may be");
                self.error("entry_length", at, what).first_bad_index = Some(index);
            }
            Ok(leaf) => self.decoded(index, &leaf, beside, &mut facts),
        }
        self.leaves.push(facts);
    }

    fn decoded(
        &mut self,
        index: u64,
        leaf: &Leaf<'b>,
        beside: &[Frame<'b>],
        facts: &mut LeafFacts,
    ) {
        let entry = match leaf {
            Leaf::Entry(entry) => entry,
            Leaf::Block(block) => {
                facts.recorded_at = Some(block.sealed_at);
                facts.what = LeafWhat::Block;
                return self.sum_postings(index, leaf, None, facts);
            }
            Leaf::Control(control) => {
                facts.recorded_at = Some(control.recorded_at);
                facts.what = LeafWhat::Control;
                return self.sum_postings(index, leaf, None, facts);
            }
        };
        let judged = decode_object_with(Kind::Statement, entry.statement, |statement| {
            self.event(index, leaf, entry, statement, beside, facts);
        });
        if let Err(error) = judged {
            let what = format!("the statement of entry {index} cannot be read: {error}");
            self.error("statement_encoding", facts.at, what).first_bad_index = Some(index);
        }
    }

    fn event(
        &mut self,
        index: u64,
        leaf: &Leaf<'b>,
        entry: &Entry<'b>,
        statement: &Statement<'b>,
        beside: &[Frame<'b>],
        facts: &mut LeafFacts,
    ) {
        self.sum_postings(index, leaf, Some(statement), facts);
        facts.recorded_at = Some(entry.recorded_at);
        facts.uuid_millis = uuid_v7_millis(&statement.event_id);
        let (statement_hash, records) = (None, 0);
        let mut current =
            Current { index, at: facts.at, entry, statement, statement_hash, records };
        match chain_key(statement, &entry.handles) {
            Some(chain) => facts.what = LeafWhat::Event(self.event_facts(&current, &chain)),
            None => self.entry_error("target", &current, "it names no target"),
        }
        if !self.deep {
            return;
        }
        self.entry(&mut current);
        for frame in beside {
            match frame.kind {
                FrameType::Sealed | FrameType::SealedErased => self.sealed(&mut current, frame),
                FrameType::Attachment => self.attachment(&current, frame),
                _ => {}
            }
        }
        if current.records != entry.sealed_digests.len() {
            self.entry_error("sealed_missing", &current, "not all of its sealed records are there");
        }
    }

    fn sum_postings(
        &mut self,
        index: u64,
        leaf: &Leaf<'_>,
        statement: Option<&Statement<'_>>,
        facts: &mut LeafFacts,
    ) {
        let postings_of = match self.context.compared {
            Compared::Planned if self.deep => planned_postings_of,
            Compared::Every if self.deep => postings_of,
            _ => return,
        };
        self.postings.clear();
        postings_of(&self.context.terms, index, leaf, statement, &mut self.postings);
        for Posting { term, .. } in &self.postings {
            facts.postings.add(&self.context.posting_key, term.kind, term.hash, index);
        }
    }

    fn event_facts(&self, current: &Current<'_, '_>, chain: &ChainKey<'_>) -> EventFacts {
        let (entry, statement) = (current.entry, current.statement);
        // Hashed already, when postings were summed.
        let posted = |kind: TermKind| {
            let mut postings = self.postings.iter();
            let posted =
                postings.find(|one| one.term.kind == kind as u8 && one.index == current.index);
            posted.map(|posting| posting.term)
        };
        let terms = &self.context.terms;
        let chain_term = posted(TermKind::Chain).unwrap_or_else(|| chain_term(terms, chain));
        let event_term = posted(TermKind::EventId).unwrap_or_else(|| {
            event_term(terms, statement.tenant, statement.source, &statement.event_id)
        });
        let is_token = statement.target.kind == TargetKind::Token;
        let own = statement.source == LEDGER_SOURCE;
        let refused = (own && statement.event_type == EventType::Refused)
            .then(|| statement.detail.iter().find(|detail| detail.key == "count"))
            .flatten()
            .and_then(|detail| detail.value.parse().ok());
        let person = || entry.handles.iter().find(|one| one.kind == HandleKind::Person);
        EventFacts {
            chain: chain_term.hash,
            event: event_term.hash,
            sequence: entry.sequence,
            prev_index: entry.prev_index,
            prev_event_hash: entry.prev_event_hash,
            starts_chain: entry.sequence == 0
                && entry.prev_event_hash == chain.start(&self.context.genesis),
            occurred_at: statement.occurred_at,
            span: EventSpan::of(statement),
            fact: is_token.then(|| fact_of(statement, current.index, entry.recorded_at)),
            seen: statement
                .seen
                .as_ref()
                .filter(|seen| seen.origin == self.context.origin)
                .map(|seen| Box::new((seen.size.cast_unsigned(), seen.root))),
            erased: (statement.event_type == EventType::Erased && own)
                .then(|| person().map(|handle| handle.id))
                .flatten(),
            refused,
        }
    }

    /// Everything about an entry that needs no other entry.
    fn entry(&mut self, current: &mut Current<'_, 'b>) {
        let (entry, statement) = (current.entry, current.statement);
        if let Err(error) = statement.validate() {
            let what = format!("its statement breaks a rule: {}", error.code());
            self.entry_error("statement_rule", current, &what);
        }
        let predictable = entry.signature.is_none() && statement.personal.is_empty();
        if entry.blind.is_some() != predictable {
            self.entry_error("blind", current, "its blind is missing or out of place");
        }
        let own = statement.source == LEDGER_SOURCE;
        let records = if own { 0 } else { statement.personal.len() };
        if entry.sealed_digests.len() != records {
            self.entry_error("sealed_count", current, "it has other records than its statement");
        }
        if own {
            self.own_statement(current);
        } else {
            self.credential(current);
        }
        let context = self.context;
        let knows = |name: &str| context.origin == name || context.older.iter().any(|n| n == name);
        if statement.seen.as_ref().is_some_and(|seen| !knows(seen.origin)) {
            self.entry_error("seen_origin", current, "`seen` names another origin");
        }
        if let Some(act) = &statement.act
            && (0..64).contains(&act.part)
        {
            let key = (statement.tenant, statement.source, act.id);
            let known = self.acts.entry(key).or_insert((0, act.parts, current.index));
            known.0 |= 1 << act.part;
        }
        self.signature(current);
    }

    fn own_statement(&mut self, current: &Current<'_, 'b>) {
        let (entry, statement) = (current.entry, current.statement);
        let derived = |native| derived_event_id(statement.tenant, LEDGER_SOURCE, native, 0);
        let id_holds =
            statement.native_id.is_some_and(|native| derived(native) == statement.event_id);
        let bare = entry.signature.is_none() && entry.attested_by.credential.is_none();
        if !id_holds || !bare {
            let what =
                "it claims to be the ledger's own, but is signed, attested, or has another id";
            self.entry_error("own_statement", current, what);
        }
    }

    fn key(&mut self, key_id: &'b str) -> Option<Arc<Key>> {
        let registry = &self.context.registry;
        self.keys.entry(key_id).or_insert_with(|| registry.key(key_id)).clone()
    }

    /// The credential that vouched for it. Its end is not checked: a request that was authenticated
    /// just before may be recorded just after.
    fn credential(&mut self, current: &Current<'_, 'b>) {
        let Some(key_id) = current.entry.attested_by.credential else {
            self.entry_error("credential", current, "nobody vouches for it");
            return;
        };
        let key = self
            .key(key_id)
            .filter(|key| key.purpose == KeyPurpose::Credential && key.valid_from <= current.index);
        let Some(key) = key else {
            self.entry_error("credential", current, "its credential is not registered");
            return;
        };
        if let Err(error) = key.check_grant(current.statement) {
            let what = format!("its credential may not write it ({})", error.code());
            self.entry_error("credential", current, &what);
        }
        if key.grant.signed_only && current.entry.signature.is_none() {
            self.entry_error("credential", current, "it must be signed and is not");
        }
    }

    fn signature(&mut self, current: &Current<'_, 'b>) {
        let Some(signature) = &current.entry.signature else { return };
        let key = self.key(signature.key_id);
        let Some(key) = key.filter(|key| key.purpose == KeyPurpose::Producer) else {
            self.entry_error("signature_key", current, "its signing key is not registered");
            return;
        };
        if key.alg != signature.alg || !key.covers_index(current.index) {
            let what = "its signing key is of another algorithm or not valid at its index";
            self.entry_error("signature_key", current, what);
            return;
        }
        if key.check_grant(current.statement).is_err() {
            self.entry_error("signature_key", current, "its signing key may not write it");
        }
        let Some(judge) = &key.statement_key else {
            *self.tally.unverifiable.entry(signature.key_id.to_owned()).or_default() += 1;
            return;
        };
        if judge.verify(current.entry.statement, signature.value).is_ok() {
            self.tally.signatures += 1;
        } else {
            self.entry_error("signature", current, "its producer's signature does not hold");
        }
    }

    fn sealed(&mut self, current: &mut Current<'_, 'b>, frame: &Frame<'_>) {
        let Some((index, record)) = SealedRecord::decode(frame) else {
            self.entry_error("sealed", current, "a sealed record beside it cannot be read");
            return;
        };
        let n = usize::from(record.n);
        let in_place = index == current.index && n == current.records;
        current.records += 1;
        let slot = record.slot;
        let named = |one: &ledgerline_proof::entry::Handle| {
            one.kind == HandleKind::Person && one.id == slot
        };
        if !in_place || !current.entry.handles.iter().any(named) {
            self.entry_error("sealed", current, "a sealed record beside it belongs elsewhere");
            return;
        }
        if record.erased {
            self.tally.erased.push((slot, index));
            return;
        }
        if current.entry.sealed_digests.get(n) != Some(&record.digest()) {
            let what = "a sealed record is not the one whose digest it carries";
            self.entry_error("sealed_digest", current, what);
            return;
        }
        self.tally.sealed += 1;
        self.open(current, &record);
    }

    fn open(&mut self, current: &mut Current<'_, 'b>, record: &SealedRecord) {
        let Some(vault) = &self.context.vault else { return };
        let statement = current.entry.statement;
        let hash = *current.statement_hash.get_or_insert_with(|| sha256(statement));
        let plain = match vault.open_sealed(&record.slot, record.n, &hash, &record.sealed) {
            Ok(plain) => zeroize::Zeroizing::new(plain),
            Err(OpenError::Erased) => return,
            Err(error) => {
                self.entry_error("sealed_opens", current, &error.to_string());
                return;
            }
        };
        let personal = current.statement.personal.get(usize::from(record.n));
        if personal.is_none_or(|personal| personal.commitment != commitment(&plain)) {
            let what = "a personal record does not match the commitment in its statement";
            self.entry_error("commitment", current, what);
            return;
        }
        self.tally.opened += 1;
        let Ok(person) = decode_object::<PersonalRecord<'_>>(Kind::Personal, &plain) else {
            self.entry_error("personal", current, "a personal record is not in its one encoding");
            return;
        };
        let issuer = current.statement.issuer.unwrap_or("");
        let known = person
            .user_id
            .and_then(|user| vault.find_person(current.statement.tenant, issuer, user));
        if known.is_some_and(|known| known != record.slot) {
            let what = "the map leads a person to another slot than the journal; the file may be \
                        lost: remove it, the next start rebuilds it";
            let finding = VerifyFinding::new(
                Severity::Derived,
                "vault_map",
                "vault/map",
                format!("entry {}: {what}", current.index),
            );
            self.tally.findings.push(finding);
        }
    }

    fn attachment(&mut self, current: &Current<'_, 'b>, frame: &Frame<'_>) {
        let statement = current.statement;
        let snapshot = statement.policy_change.as_ref().and_then(|change| change.snapshot);
        let named = |digest: Hash| {
            let policies = statement.policies.iter().filter_map(|one| one.digest);
            snapshot.into_iter().chain(policies).any(|one| one == digest)
        };
        match AttachmentRecord::decode(frame.body) {
            Some((index, one))
                if index == current.index
                    && sha256(&one.data) == one.digest
                    && named(one.digest) =>
            {
                self.tally.attachments += 1;
            }
            _ => {
                let what = "an attachment is not what its digest says, or is not named by it";
                self.entry_error("attachment", current, what);
            }
        }
    }
}
