//! The offline verifier: reads a ledger's files, believes none of them, and says what holds.
//!
//! ```text
//! reader ──batches──▶ judges (threads)  decoding, statements, signatures, digests, MACs
//!                           │ facts, in order
//!                           ▼
//!                        ledger             tree, roots, chains, event ids, lifecycle, blocks
//!                           │
//!                           ▼
//!      head store, older checkpoints, derived files, vault ──▶ report
//! ```
//!
//! Promises:
//! - Needs no running node and changes nothing. Reads every byte of every file of the data
//!   directory; what is neither checked nor known is named.
//! - One changed bit anywhere makes the verdict [`Verdict::NotVerified`], and the report names the
//!   first entry and the chains concerned. In the last batch of a ledger that was not shut down
//!   cleanly it may be [`Verdict::Incomplete`]: there, rot cannot be told from a torn write. It is
//!   never [`Verdict::Verified`]. A head store at hand that is empty is incomplete at best.
//! - Time is linear in the files' size (times the number of passes), memory is bounded by the
//!   options.
//! - [`VerifyReport::checks`] says what could not be checked for want of keys, a head store or
//!   older checkpoints. No text holds a personal value or a secret.
//!
//! Assumes: the files do not change meanwhile. Whoever holds all keys of the node can write a
//! ledger that verifies; such a rewrite is found only with something from outside: a head store on
//! another disk, an older checkpoint ([`VerifyOptions::since`]), or a `seen` that a producer signed
//! with its own key.
//!
//! Refuses: nothing. Whatever the files hold, the answer is a report.
//!
//! Not replayed: revocations of something wider than a token (selectors) in the lifecycle counts.
//! The vault's map is checked by its own sums and, as far as records open, against the persons in
//! them.

mod behind;
mod chains;
mod damage;
mod event_ids;
mod facts;
mod files;
mod grown_tree;
mod index_files;
mod judge;
mod ledger;
mod multiset;
mod names;
mod origins;
mod outside;
mod reader;
mod readonly;
mod report;
mod signatures;

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_index::TermHasher;
use ledgerline_journal::end_note::EndNote;
use ledgerline_journal::format::SegmentHeader;
use ledgerline_journal::scan::ScannedBatch;
use ledgerline_proof::hash::{Hash, HmacKey, empty_root};
use ledgerline_proof::note::VerifierKey;
use ledgerline_vault::Vault;
use ledgerline_vault::keys::KeyRing;
use ledgerline_view::identity::{Identity, identity_of};
use ledgerline_view::registry::Registry;
use ledgerline_world::disk::Disk;
use ledgerline_world::parallel;

use self::chains::Chains;
use self::facts::{EventFacts, Job, LeafFacts, LeafRef, LeafWhat};
use self::grown_tree::GrownTree;
use self::index_files::IndexSums;
use self::judge::{Context, Judged, judge};
use self::ledger::Ledger;
use self::multiset::PostingKey;
use self::outside::{
    Head, Outside, check_erased, check_head, check_log_key, check_since, checks, end_of, head,
    since,
};
use self::reader::{Overlay, Reader};
use self::readonly::{NoEntropy, ReadOnly};
use self::report::Findings;

pub use behind::{Behind, Ground};
pub use files::NOT_OURS;
pub use index_files::Compared;
pub use report::{
    Check, Counts, MAX_AFFECTED, MAX_PER_CODE, OlderReport, Severity, Verdict, VerifyFinding,
    VerifyReport,
};
pub use signatures::{SAMPLED_ONE_IN, Signatures};

/// Batches are judged together up to so many bytes.
const TOGETHER_BYTES: usize = 64 << 10;

/// What there is to verify, and with what.
#[derive(Clone)]
pub struct VerifyWorld {
    /// The data directory.
    pub disk: Arc<dyn Disk>,
    /// The node's keys, when they are at hand.
    pub keys: Option<Arc<KeyRing>>,
    /// The head store's disk, when it is at hand.
    pub head: Option<Arc<dyn Disk>>,
}

/// How to verify.
pub struct VerifyOptions<'o> {
    /// Older checkpoints of this log, as signed notes: the ledger must have grown from them.
    pub since: Vec<Vec<u8>>,
    /// Threads that judge batches; below 2 everything is done on the caller's.
    pub threads: usize,
    /// About how many bytes chains and event ids may take. When they need more, the journal is read
    /// again.
    pub chain_memory_bytes: usize,
    /// Which kept checkpoint signatures are checked.
    pub signatures: Signatures,
    /// Which postings the index is compared with, when its key is at hand.
    pub postings: Compared,
    /// Told how far it is, from the caller's thread, after every batch.
    pub progress: Option<&'o (dyn Fn(Progress) + Sync)>,
    /// Set when a node is writing the ledger meanwhile.
    pub live: Option<Live<'o>>,
}

/// A ledger that a node is writing meanwhile. Files that the node replaces may be seen in the
/// middle of it: who gets another verdict than verified asks once more before believing it.
#[derive(Clone, Copy)]
pub struct Live<'o> {
    /// Committed entries: nothing behind them is read.
    pub until: u64,
    /// The node's vault, which opens records and knows producers' secrets.
    pub vault: &'o Arc<Vault>,
    /// Asked after every batch; after `false` the rest is not read, and the report is void.
    pub go_on: &'o (dyn Fn() -> bool + Sync),
}

impl Default for VerifyOptions<'_> {
    fn default() -> Self {
        Self {
            since: Vec::new(),
            threads: 2,
            chain_memory_bytes: 1 << 30,
            signatures: Signatures::Every,
            postings: Compared::Planned,
            progress: None,
            live: None,
        }
    }
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which pass over the journal, from 1.
    pub pass: u64,
    /// Bytes of the journal read in it.
    pub bytes_done: u64,
    /// Bytes of the journal.
    pub bytes_total: u64,
    /// Entries read in it.
    pub entries: u64,
}

/// Verifies a ledger with all its origins.
#[must_use]
pub fn verify(world: &VerifyWorld, options: &VerifyOptions<'_>) -> VerifyReport {
    origins::verify(world, options)
}

/// One origin to be read.
struct One<'o> {
    /// Its own rooms.
    world: &'o VerifyWorld,
    /// The data directory, whose vault all origins share.
    shared: &'o Arc<dyn Disk>,
    /// Its end; `None` for the newest.
    end: Option<&'o EndNote>,
    /// Names of the origins before it.
    before: &'o [&'o str],
    /// Handles that later origins erased.
    erased_later: &'o BTreeMap<[u8; 16], u64>,
}

/// What reading one origin gave.
struct Examined {
    identity: Identity,
    size: u64,
    root: Hash,
    clean: bool,
    findings: Findings,
    checks: Vec<Check>,
    counts: Counts,
    unverifiable: BTreeMap<String, u64>,
    violations: BTreeMap<&'static str, u64>,
    erased: BTreeMap<[u8; 16], u64>,
    torn: Vec<(Hash, u64)>,
}

/// Reads one origin; `None` when it has no genesis, and when the reading was ended.
fn examine(one: &One<'_>, options: &VerifyOptions<'_>) -> Option<Examined> {
    let world = one.world;
    let mut findings = Findings::default();
    let identity = identity(&world.disk)?;
    let live = options.live.map(|live| live.vault);
    let context = context(one, &identity, live);
    let compared = if world.keys.is_some() { options.postings } else { Compared::Nothing };
    let context = Context { signatures: options.signatures, compared, ..context };
    let head = match one.end {
        Some(end) => end_of(end, &identity),
        None => head(world, &identity, context.log_key.as_ref()),
    };
    let since = since(one, options, &context, &mut findings);
    let (overlay, pending) = files::pending(&world.disk, &identity.ledger_id, &mut findings);
    let manifest = index_files::manifest(world.disk.as_ref(), &mut findings);

    let chains = Chains::new(0, options.chain_memory_bytes, options.threads);
    let mut ledger = Ledger::new(&context, GrownTree::new(&world.disk), chains);
    let wanted = head.size().into_iter().chain(since.iter().map(|(size, _)| *size));
    ledger.wanted = wanted.map(|size| (size, (size == 0).then(empty_root))).collect();
    let compares = manifest.as_ref().filter(|one| {
        context.compared != Compared::Nothing
            && index_files::is_of_this_choice(one, &context.terms, &mut findings)
    });
    ledger.index = compares.map(IndexSums::new);

    let until = until(one, options, &head);
    let mut reader = Reader::new(&world.disk, Some(&context), until.or(head.size()), &overlay)
        .with_progress(1, options.progress)
        .live(until, options.live.map(|live| live.go_on));
    let walk = || {
        let read = |emit: &mut dyn FnMut(Job)| reader.run(emit);
        judged_in_order(&context, options.threads, true, read, &mut |one| ledger.take(one));
    };
    // A node replaces runs meanwhile: there they are read at the end.
    let runs = compares.filter(|_| options.live.is_none()).map(|manifest| {
        || index_files::read_runs(world.disk.as_ref(), manifest, context.postings())
    });
    let runs = parallel::beside(options.threads, runs, walk);
    findings.absorb(std::mem::take(&mut reader.findings));
    ledger.counts.segments = reader.counts.segments;
    ledger.counts.journal_bytes = reader.counts.journal_bytes;
    ledger.counts.passes = 1;
    finish_chains(world, options, until, &overlay, &mut ledger);
    if options.live.is_some_and(|live| !(live.go_on)()) {
        return None;
    }
    let live = options.live.is_some();
    let outside = Outside { head, since, pending, manifest, runs, live };
    Some(finish(one, identity, ledger, findings, &outside))
}

/// Behind how many entries nothing is read. The head store may have been written since the caller
/// looked; what it covers is committed.
fn until(one: &One<'_>, options: &VerifyOptions<'_>, head: &Head) -> Option<u64> {
    let live = options.live.filter(|_| one.end.is_none())?;
    Some(head.size().map_or(live.until, |size| size.max(live.until)))
}

/// The chains that did not fit into the first pass.
fn finish_chains(
    world: &VerifyWorld,
    options: &VerifyOptions<'_>,
    until: Option<u64>,
    overlay: &Overlay,
    ledger: &mut Ledger<'_>,
) {
    let memory = options.chain_memory_bytes;
    let (mut chains, mut tokens) = ledger.chains.counts();
    let mut violations = ledger.chains.violations();
    let mut next = ledger.chains.next_pass();
    while let Some(lo) = next {
        ledger.counts.passes += 1;
        ledger.chains = ledger.chains.following(lo, memory);
        walk_again(world, options, until, overlay, ledger, |ledger, batch, facts, event, place| {
            ledger.link(batch, facts, event, place);
        });
        let (more_chains, more_tokens) = ledger.chains.counts();
        chains += more_chains;
        tokens += more_tokens;
        for (code, count) in ledger.chains.violations() {
            *violations.entry(code).or_default() += count;
        }
        next = ledger.chains.next_pass();
    }
    if let Some(mut repeats) = ledger.chains.repeats() {
        ledger.counts.passes += 1;
        walk_again(
            world,
            options,
            until,
            overlay,
            ledger,
            |ledger, batch, facts, event, LeafRef { index, .. }| {
                if let Some(first) = repeats.first(index, event.event) {
                    let what = format!("its event id was recorded before, at entry {first}");
                    ledger.broken(batch, facts.at, index, "event_id", &what);
                }
            },
        );
    }
    ledger.violations = violations;
    ledger.counts.chains = chains;
    ledger.counts.tokens = tokens;
}

/// Another walk over the journal, for what did not fit into the first.
fn walk_again(
    world: &VerifyWorld,
    options: &VerifyOptions<'_>,
    until: Option<u64>,
    overlay: &Overlay,
    ledger: &mut Ledger<'_>,
    mut each: impl FnMut(&mut Ledger<'_>, &ScannedBatch, &LeafFacts, &EventFacts, LeafRef),
) {
    let context = ledger.context;
    let mut reader = Reader::new(&world.disk, Some(context), until, overlay)
        .with_progress(ledger.counts.passes, options.progress)
        .live(until, options.live.map(|live| live.go_on));
    let mut first = 0;
    let read = |emit: &mut dyn FnMut(Job)| reader.run(emit);
    judged_in_order(context, options.threads, false, read, &mut |judged| {
        let batch = &judged.job.batch;
        first = first.max(judged.job.base);
        for (index, facts) in (first..).zip(&judged.leaves) {
            if let LeafWhat::Event(event) = &facts.what {
                each(ledger, batch, facts, event, LeafRef { index, hash: facts.hash });
            }
        }
        first += judged.leaves.len() as u64;
        ledger.chains.shrink();
    });
}

/// Has what a reader hands out judged on several threads, and hands it on in order. Small batches
/// go to a thread together: handing one over costs as much as judging a commit of one event.
fn judged_in_order(
    context: &Context,
    threads: usize,
    deep: bool,
    read: impl FnOnce(&mut dyn FnMut(Job)),
    take: &mut dyn FnMut(Judged),
) {
    parallel::in_order(
        threads,
        |emit| {
            let (mut together, mut bytes) = (Vec::new(), 0);
            read(&mut |job| {
                bytes += job.batch.bytes.len();
                together.push(job);
                if bytes >= TOGETHER_BYTES {
                    emit(std::mem::take(&mut together));
                    bytes = 0;
                }
            });
            emit(together);
        },
        &|jobs: Vec<Job>| {
            jobs.into_iter().map(|job| judge(context, job, deep)).collect::<Vec<Judged>>()
        },
        &mut |judged| judged.into_iter().for_each(&mut *take),
    );
}

fn finish(
    one: &One<'_>,
    identity: Identity,
    mut ledger: Ledger<'_>,
    mut findings: Findings,
    outside: &Outside,
) -> Examined {
    ledger.check_newest_signature();
    let (size, root) = ledger.last;
    let (world, context) = (one.world, ledger.context);
    let stopped = outside.head.size() == Some(size) && ledger.ends_in_block;
    // What a live copy holds behind its last commit is left there when an origin ends.
    let clean = stopped && one.end.is_none() && !outside.live;
    ledger.tree.finish(clean, &mut findings);
    findings.absorb(std::mem::take(&mut ledger.findings));
    check_head(&ledger, &outside.head, one.end.is_some(), &mut findings);
    check_since(&ledger, &outside.since, one.end.is_some(), &mut findings);
    let slots = ledger.erased_slots.iter().map(|(slot, index)| (slot, Some(*index)));
    for (slot, index) in slots.chain(outside.pending.iter().map(|slot| (slot, None))) {
        if !one.erased_later.contains_key(slot) {
            check_erased(&ledger, slot, index, &mut findings);
        }
    }
    let postings = context.postings();
    let compare = ledger.index.as_ref().map(|sums| index_files::Compare { postings, sums });
    if outside.live && one.end.is_none() {
        index_files::check_live(&world.disk, compare, size, &mut findings);
    } else {
        let manifest = outside.manifest.as_ref();
        let runs = outside.runs.as_deref();
        index_files::check(&world.disk, manifest, compare, runs, size, &mut findings);
    }
    if let Some(keys) = &world.keys {
        check_log_key(keys, context, &mut findings);
    }
    files::unknown(world.disk.as_ref(), &mut findings);
    let checks = checks(world, &ledger, outside, context);
    Examined {
        identity,
        size,
        root,
        clean,
        findings,
        checks,
        counts: ledger.counts,
        unverifiable: ledger.unverifiable,
        violations: ledger.violations,
        erased: ledger.erased,
        torn: ledger.torn,
    }
}

fn identity(disk: &Arc<dyn Disk>) -> Option<Identity> {
    let overlay = Overlay::new();
    let (batch, ledger_id) = Reader::new(disk, None, None, &overlay).first_batch()?;
    let leaf = batch.leaves().next()?.1.to_vec();
    let (root, previous_mac) = (empty_root(), Hash::ZERO);
    let header = SegmentHeader { ledger_id, number: 0, first_index: 0, root, previous_mac };
    identity_of(&header, &leaf).ok()
}

/// What is found when nothing can be known.
fn without_genesis(disk: &Arc<dyn Disk>) -> Findings {
    let overlay = Overlay::new();
    let mut reader = Reader::new(disk, None, None, &overlay);
    let _ = reader.first_batch();
    let mut findings = reader.findings;
    let what = "the genesis entry cannot be read: nothing else can be checked".to_owned();
    let finding = VerifyFinding::new(Severity::Error, "genesis", "journal/00000000.seg", what);
    findings.push(finding.entry(0));
    findings
}

fn context(one: &One<'_>, identity: &Identity, live: Option<&Arc<Vault>>) -> Context {
    let keys = one.world.keys.as_deref();
    let opened = |keys: &KeyRing| {
        let disk = Arc::new(ReadOnly(Arc::clone(one.shared)));
        Vault::open(disk, keys, Arc::new(NoEntropy)).ok().map(|(vault, _)| Arc::new(vault))
    };
    let vault = match live {
        Some(vault) => Some(Arc::clone(vault)),
        None => keys.and_then(opened),
    };
    let sixteen = |hash: &Hash| hash.0.first_chunk::<16>().copied().unwrap_or_default();
    let hash_key = keys.map_or_else(|| sixteen(&identity.genesis), |keys| keys.index);
    Context {
        genesis: identity.genesis,
        ledger_id: identity.ledger_id,
        deployment: identity.deployment.to_string(),
        origin: identity.origin.to_string(),
        older: one.before.iter().map(|name| (*name).to_owned()).collect(),
        log_key: VerifierKey::parse(&identity.log_key).ok(),
        registry: Registry::default(),
        vault,
        journal_key: keys.map(|keys| HmacKey::new(&keys.journal)),
        signatures: Signatures::Every,
        terms: TermHasher::new(hash_key),
        compared: Compared::Nothing,
        posting_key: PostingKey::new(&hash_key),
    }
}
