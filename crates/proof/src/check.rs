//! Checks a proof bundle against keys that the checker holds, and nothing else.
//!
//! Promises: [`check`] repeats every claim of a bundle from the trusted log key down: checkpoint,
//! consistency, inclusion of each leaf, genesis, schemas, order, blocks, entries, query, chain,
//! signatures, lifecycle, personal records, attachments. It never panics, whatever the bytes.
//! `docs/reference/bundle.md` lists the steps in order, for another implementer.
//!
//! Assumes: the log keys, the secrets and the previous checkpoint in [`Trust`] came to the checker
//! by a way that the bundle's maker does not control.
//!
//! Refuses: every trust anchor that a bundle brings. A schema is believed only from its proven
//! SCHEMA leaf on, a producer key only from its proven KEY_ADDED leaf on, the deployment and the
//! chains' start only from the proven GENESIS, which must name the trusted log key.
//!
//! A check cannot see what is not shown: see [`CheckReport::not_proven`].

mod answer;
mod beside;
mod evidence;
mod history;
mod report;
mod signatures;

use std::collections::{BTreeMap, BTreeSet};

pub use report::{
    AttachmentReport, CheckReport, Circumstances, Claim, ClaimKind, CosignerReport, DetailReport,
    EarlierReport, EntryReport, EventReport, LifeReport, LifecycleReport, PersonalReport,
    QuestionReport, ShownChain, SignatureState, Status, TreeReport, Verdict,
};

use crate::bundle::{self, Bundle, BundleError, Decimal, Query, SignedDecimal};
use crate::checkpoint::{self, Checkpoint, CheckpointError, OpenedCheckpoint};
use crate::note::{KeyKind, VerifierKey};
use crate::question::{LIFE, Question};
use crate::tree::check_consistency;
use crate::vocabulary::TargetKind;

use evidence::{Evidence, Recorded};
use history::{Asked, Life, Part};

/// What the checker believes beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'t> {
    /// Keys of logs and witnesses. At least one must be an Ed25519 key of a log.
    pub log_keys: &'t [VerifierKey],
    /// Shared secrets of producers by key id, where the checker holds any.
    pub hmac_secrets: &'t BTreeMap<String, Vec<u8>>,
    /// A checkpoint of the log that the checker kept, a signed note.
    pub previous: Option<&'t [u8]>,
}

/// Why nothing could be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The bytes are no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The checker holds no log key.
    #[error("checking needs the key of a log")]
    NoLogKey,
    /// The checker's own checkpoint does not hold under its own keys.
    #[error("the previous checkpoint does not hold: {0}")]
    Previous(CheckpointError),
}

/// Checks a bundle.
///
/// # Errors
/// [`CheckError`] when there is nothing to judge. A bundle that is wrong is no error: the report's
/// verdict says so.
pub fn check(bundle: &[u8], trust: &Trust<'_>) -> Result<CheckReport, CheckError> {
    if !trust.log_keys.iter().any(|key| key.kind() == KeyKind::Ed25519) {
        return Err(CheckError::NoLogKey);
    }
    let previous = trust.previous.map(|note| checkpoint::open(note, trust.log_keys)).transpose();
    let previous = previous.map_err(CheckError::Previous)?;
    let bundle = Bundle::parse(bundle)?;
    let mut claims = Claims::default();
    match open_checkpoint(&bundle, trust.log_keys) {
        Ok(opened) => {
            claims.add(ClaimKind::Checkpoint, Status::Proven);
            let held = previous.map(|opened| opened.checkpoint);
            let mut tree = tree_report(&bundle, &opened);
            if let Some(status) = judge_consistency(&bundle, &opened.checkpoint, held.as_ref()) {
                let before = held.as_ref().map(Checkpoint::size);
                let size = before.or(bundle.previous.as_ref().map(|one| one.size.0));
                let earlier = |size| EarlierReport { size: Decimal(size), held: before.is_some() };
                tree.continues = size.filter(|_| status.is_proven()).map(earlier);
                claims.add(ClaimKind::Consistency, status);
            }
            Ok(judge(&bundle, &opened, tree, trust, claims))
        }
        Err(why) => {
            claims.add(ClaimKind::Checkpoint, Status::Failed(why));
            let nothing = "everything: there is no checkpoint to prove it under".to_owned();
            Ok(CheckReport {
                verdict: Verdict::Failed,
                question: None,
                tree: None,
                claims: claims.0,
                entries: Vec::new(),
                lifecycle: None,
                lives: Vec::new(),
                personal: Vec::new(),
                attachments: Vec::new(),
                not_proven: vec![nothing],
                incomplete: Vec::new(),
                maker_says: Vec::new(),
            })
        }
    }
}

#[derive(Default)]
struct Claims(Vec<Claim>);

impl Claims {
    fn add(&mut self, claim: ClaimKind, status: Status) {
        self.0.push(Claim { claim, status });
    }
}

/// The checkpoint under a trusted key, of the stated origin and size.
fn open_checkpoint(bundle: &Bundle, keys: &[VerifierKey]) -> Result<OpenedCheckpoint, String> {
    let opened = checkpoint::open(bundle.checkpoint.as_bytes(), keys);
    let opened = opened.map_err(|error| error.to_string())?;
    if opened.checkpoint.origin() != bundle.origin {
        return Err(format!("it is of origin {:?}", opened.checkpoint.origin()));
    }
    if opened.checkpoint.size() != bundle.as_of.size.0 {
        return Err(format!("it is of size {}", opened.checkpoint.size()));
    }
    Ok(opened)
}

/// Whether the tree grew out of the earlier one. `None` when neither side names one.
fn judge_consistency(
    bundle: &Bundle,
    now: &Checkpoint,
    held: Option<&Checkpoint>,
) -> Option<Status> {
    let mut status = Status::Proven;
    if let Some(previous) = &bundle.previous {
        let path: Vec<_> = previous.path.iter().map(|hash| hash.0).collect();
        let (old, old_root) = (previous.size.0, previous.root.0);
        if let Err(error) = check_consistency(old, now.size(), &old_root, &now.root(), &path) {
            status.fail(error.to_string());
        }
    }
    let Some(held) = held else { return bundle.previous.as_ref().map(|_| status) };
    if held.origin() != now.origin() {
        status.fail("the checkpoint you hold is of another origin");
    } else if held.size() == now.size() {
        if held.root() != now.root() {
            status.fail("the log signed two roots for one size: it forked");
        }
    } else if held.size() > now.size() {
        status.doubt("the checkpoint you hold is newer than the bundle");
    } else {
        match &bundle.previous {
            Some(previous) if previous.size.0 == held.size() => {
                if previous.root.0 != held.root() {
                    status.fail("the tree does not begin with the one you hold: it forked");
                }
            }
            _ => status.doubt(format!(
                "the bundle brings no proof from size {}, which you hold: ask the ledger for one \
                 that does (prove --since)",
                held.size()
            )),
        }
    }
    Some(status)
}

/// Everything below the checkpoint.
fn judge(
    bundle: &Bundle,
    opened: &OpenedCheckpoint,
    tree: TreeReport,
    trust: &Trust<'_>,
    mut claims: Claims,
) -> CheckReport {
    let checkpoint = &opened.checkpoint;
    let (mut inclusion, mut readable) = (Status::Proven, Status::Proven);
    let included = evidence::include(bundle, checkpoint, &mut inclusion);
    claims.add(ClaimKind::Inclusion, inclusion);
    let (leaves, schemas) = evidence::read(&included, &mut readable);
    claims.add(ClaimKind::Schemas, readable);
    let mut order = Status::Proven;
    let mut evidence = evidence::gather(&leaves, checkpoint.size(), &mut order);
    let signers: Vec<&VerifierKey> = opened.signed_by.iter().map(|by| &by.key).collect();
    let genesis = evidence::judge_genesis(&evidence, checkpoint, &signers);
    if !genesis.is_proven() {
        evidence.genesis = None;
    }
    claims.add(ClaimKind::Genesis, genesis);
    claims.add(ClaimKind::Order, order);
    claims.add(ClaimKind::Blocks, evidence::judge_blocks(&evidence));
    claims.add(ClaimKind::AsOf, judge_as_of(bundle, &evidence, &included));
    let judged = judge_entries(bundle, &evidence, trust, &mut claims);
    let personal = beside::judge_personal(bundle, &evidence, &schemas);
    let attachments = beside::judge_attachments(bundle, &evidence);
    let statuses = personal.iter().map(|one| (one.index.0, &one.status));
    claims.add_joined(ClaimKind::Personal, "record of entry", statuses);
    let statuses = attachments.iter().zip(0..).map(|(one, n)| (n, &one.status));
    claims.add_joined(ClaimKind::Attachments, "attachment", statuses);
    claims.add(ClaimKind::Coverage, beside::judge_coverage(bundle, &evidence));
    let not_proven = limits(bundle, opened, &evidence, &judged.entries);
    CheckReport {
        verdict: report::verdict(&claims.0),
        question: Some(QuestionReport::of(&bundle.query)),
        tree: Some(tree),
        claims: claims.0,
        entries: judged.entries,
        lifecycle: judged.lifecycle,
        lives: judged.lives,
        personal,
        attachments,
        not_proven,
        incomplete: [judged.incomplete, bundle.coverage.incomplete()].concat(),
        maker_says: maker_says(bundle),
    }
}

/// What the maker says to be missing.
fn maker_says(bundle: &Bundle) -> Vec<String> {
    let beyond = bundle.coverage.beyond;
    let newer = (beyond.0 > 0).then(|| format!("{beyond} newer entries are not shown"));
    newer.into_iter().chain(bundle.coverage.notes.iter().cloned()).collect()
}

impl Claims {
    /// The claim that each of some things holds; none when there is no such thing.
    fn add_joined<'s>(
        &mut self,
        claim: ClaimKind,
        what: &str,
        each: impl Iterator<Item = (u64, &'s Status)>,
    ) {
        let mut whole = None;
        for (index, status) in each {
            whole.get_or_insert(Status::Proven).join(status, &format!("{what} {index}"));
        }
        if let Some(status) = whole {
            self.add(claim, status);
        }
    }
}

/// Whether the tree ends in a block that was sealed at the stated time.
fn judge_as_of(
    bundle: &Bundle,
    evidence: &Evidence<'_>,
    included: &[evidence::Included<'_>],
) -> Status {
    let last = bundle.as_of.size.0.checked_sub(1);
    let shown = included.last().map(|leaf| leaf.index);
    let block = evidence.blocks.last().filter(|closed| Some(closed.index) == last);
    match block {
        Some(closed) if closed.block.sealed_at.nanos == bundle.as_of.recorded_at.0 => {
            Status::Proven
        }
        Some(_) => Status::Failed("the block that closes the tree has another time".to_owned()),
        None if shown.is_some() && shown == last => {
            Status::Failed("the tree does not end in a block entry".to_owned())
        }
        None => Status::NotProven("the block that closes the tree is not shown".to_owned()),
    }
}

#[derive(Default)]
struct JudgedEntries {
    entries: Vec<EntryReport>,
    lifecycle: Option<LifecycleReport>,
    lives: Vec<LifeReport>,
    /// Which tokens have other ids, whose chains are not shown.
    incomplete: Vec<String>,
}

/// Rules, query, chain, signatures and lifecycle.
fn judge_entries(
    bundle: &Bundle,
    evidence: &Evidence<'_>,
    trust: &Trust<'_>,
    claims: &mut Claims,
) -> JudgedEntries {
    let recorded = &evidence.entries;
    let rules: Vec<Status> = recorded.iter().map(history::judge_rules).collect();
    let asked = Asked::new(&bundle.query, recorded);
    let (parts, mut query) = history::judge_query(&asked, recorded);
    query.join(&answer::judge(&bundle.query, evidence, &parts), "the question");
    let (links, chain) = history::judge_chain(&asked, evidence, &parts);
    let signatures: Vec<SignatureState> =
        recorded.iter().map(|one| signatures::judge(one, evidence, trust.hmac_secrets)).collect();
    let mut entries: Vec<EntryReport> = recorded.iter().map(|one| entry_report(one)).collect();
    let judged = rules.into_iter().zip(links).zip(signatures);
    for (entry, ((rules, chain), signature)) in entries.iter_mut().zip(judged) {
        (entry.rules, entry.chain, entry.signature) = (rules, chain, signature);
    }
    let indexes = || recorded.iter().map(|one| one.index);
    let mut obeyed = Status::Proven;
    for (entry, part) in entries.iter().zip(&parts) {
        let context = format!("entry {}", entry.index);
        obeyed.join(&entry.rules, &context);
        if let (Status::Failed(why), true) =
            (&entry.chain, chain.is_none() || matches!(part, Part::Covering | Part::Named))
        {
            obeyed.fail(format!("{context}: {why}"));
        }
    }
    claims.add(ClaimKind::Entries, obeyed.clone());
    claims.add(ClaimKind::Query, query.clone());
    let whole = chain.as_ref().is_some_and(Status::is_proven);
    if let Some(chain) = chain {
        claims.add(ClaimKind::Chain, chain);
    }
    let statuses: Vec<_> =
        entries.iter().map(|entry| signatures::status(&entry.signature)).collect();
    let signed = indexes().zip(&statuses).filter_map(|(index, one)| Some((index, one.as_ref()?)));
    claims.add_joined(ClaimKind::Signatures, "entry", signed);
    let mut judged = JudgedEntries { entries, ..JudgedEntries::default() };
    if asked.count() > 0 && !(whole && obeyed.is_proven() && query.is_proven()) {
        let why = "it needs the whole chain, proven and readable".to_owned();
        claims.add(ClaimKind::Lifecycle, Status::NotProven(why));
    } else if asked.count() > 0 {
        let at = bundle.as_of.recorded_at.0;
        let lives = history::recompute_all(&asked, recorded, &parts, at);
        let mut status = judged.take_lives(lives, &asked.other_ids(recorded));
        if let Some(why) = bundle.coverage.not_whole().next() {
            // Nothing shown says so. Whoever made the bundle does, and had no reason to lie.
            status.doubt(format!("its maker says: {why}"));
            judged.withhold_states();
        }
        claims.add(ClaimKind::Lifecycle, status);
    }
    judged
}

impl JudgedEntries {
    /// Tells the states of the tokens, but of one whose other chains are not shown: it may have
    /// ended under another id.
    fn take_lives(&mut self, lives: Vec<Life>, others: &[BTreeSet<&str>]) -> Status {
        let mut status = Status::Proven;
        for (life, others) in lives.into_iter().zip(others) {
            if !others.is_empty() {
                let words = not_shown(life.ids.as_deref(), others);
                status.doubt(words.clone());
                self.incomplete.push(words);
                continue;
            }
            fill_states(&mut self.entries, &life);
            match life.ids {
                Some(ids) => {
                    let shown = ids.iter().map(|id| self.shown(id)).collect();
                    self.lives.push(LifeReport { ids, shown, states: life.report });
                }
                None => self.lifecycle = Some(life.report),
            }
        }
        self.incomplete.truncate(bundle::MAX_REMARKS);
        status
    }
}

impl JudgedEntries {
    /// How far the chain of an id is shown.
    fn shown(&self, id: &str) -> ShownChain {
        let of_id = self.entries.iter().filter(|entry| {
            let event = entry.event.as_ref();
            event.is_some_and(|one| {
                one.target == id && one.target_kind == TargetKind::Token.symbol()
            })
        });
        let last_index = of_id.clone().next_back().map(|entry| entry.index.0);
        ShownChain { id: id.to_owned(), entries: of_id.count() as u64, last_index }
    }

    /// Takes every state back.
    fn withhold_states(&mut self) {
        (self.lifecycle, self.lives) = (None, Vec::new());
        for entry in &mut self.entries {
            (entry.known, entry.happened, entry.violation) = (None, None, None);
        }
    }
}

/// That a token has other ids, in words. `ids` are its own in the answer to a question.
fn not_shown(ids: Option<&[String]>, others: &BTreeSet<&str>) -> String {
    let which = ids.and_then(<[String]>::first).map_or_else(String::new, |id| format!(" {id}"));
    format!("the token{which} {}", bundle::other_ids(others.iter().copied()))
}

fn fill_states(entries: &mut [EntryReport], life: &Life) {
    for step in &life.steps {
        let at = entries.binary_search_by_key(&step.index, |entry| entry.index.0);
        let Some(entry) = at.ok().and_then(|at| entries.get_mut(at)) else { continue };
        entry.known = Some(step.known.symbol());
        entry.happened = Some(step.happened.symbol());
        entry.violation = step.violation;
    }
}

/// What an entry says; how it stands is filled in later.
fn entry_report(recorded: &Recorded<'_>) -> EntryReport {
    let statement = recorded.statement.as_ref().ok();
    EntryReport {
        index: Decimal(recorded.index),
        sequence: SignedDecimal(recorded.entry.sequence),
        event_hash: recorded.hash,
        recorded_at: SignedDecimal(recorded.entry.recorded_at.nanos),
        event: statement.map(|statement| EventReport::of(&recorded.entry, statement)),
        rules: Status::Proven,
        chain: Status::Proven,
        signature: SignatureState::LedgerOwn,
        known: None,
        happened: None,
        violation: None,
        commitments: statement
            .map_or(0, |one| u32::try_from(one.personal.len()).unwrap_or(u32::MAX)),
    }
}

fn tree_report(bundle: &Bundle, opened: &OpenedCheckpoint) -> TreeReport {
    let logs = opened.signed_by.iter().filter(|by| by.key.kind() == KeyKind::Ed25519);
    let cosigner = |(key, time): (&VerifierKey, u64)| CosignerReport {
        name: key.name().to_owned(),
        time: Decimal(time),
    };
    TreeReport {
        origin: opened.checkpoint.origin().to_owned(),
        size: Decimal(opened.checkpoint.size()),
        root: opened.checkpoint.root(),
        recorded_at: bundle.as_of.recorded_at,
        signed_by: logs.map(|by| by.key.to_string()).collect(),
        continues: None,
        cosigned_by: opened.cosigners().map(cosigner).collect(),
    }
}

/// What no bundle of such a query proves.
fn limits_of(query: &Query) -> &'static [&'static str] {
    match query {
        Query::Token { .. } => &[
            "no later event: a chain proves a prefix; what was recorded about this token after its \
             last entry shown is not proven",
            "no wider revocation: one of a session, grant, subject, client or key that is not \
             shown is not taken into account",
            "no other ids of the token: an entry on another chain can say that its token is this \
             one; what stands on ids that are not shown is not taken into account",
        ],
        Query::Event { .. } => &["what else was recorded about the event's target"],
        Query::Question { name, .. } if name == LIFE => &[
            "no later event: each chain proves a prefix; what was recorded under an id after its \
             own last entry shown is not proven, also before the last entry of another id; under \
             an id of which none is shown, nothing is",
            "no wider revocation: one of a session, grant, subject, client or key that is not \
             shown is not taken into account",
            "no other ids of the token than those that are named",
        ],
        Query::Question { .. } => &[
            "that the answer is whole: each event shown is in the ledger, but that no other one \
             belongs to the answer is the operator's word",
            "no later event, and no wider revocation than those shown: a chain proves a prefix, \
             and of a token with several ids each chain its own",
            "no other ids of its tokens than those of which entries are shown",
        ],
    }
}

/// What nothing in this bundle proves, said plainly.
fn limits(
    bundle: &Bundle,
    opened: &OpenedCheckpoint,
    evidence: &Evidence<'_>,
    entries: &[EntryReport],
) -> Vec<String> {
    let mut limits = Vec::new();
    let mut say = |text: &str| limits.push(text.to_owned());
    limits_of(&bundle.query).iter().for_each(|text| say(text));
    if let Some(Ok(question)) = Question::read(&bundle.query)
        && !question.untold.is_empty()
    {
        let untold = question.untold.join(", ");
        say(&format!(
            "the whole text of the question: the bundle was made before that was bound, and does \
             not tell {untold}"
        ));
    }
    say(
        "that the sources told everything, and that nothing else is in the ledger: absence cannot \
         be proven yet",
    );
    say("coverage.beyond, coverage.notes, media types, tool and custody: they are the word of \
         whoever made the bundle");
    if opened.cosigners().next().is_none() {
        say("that everybody is shown the same tree: no trusted witness cosigned the checkpoint");
    }
    if evidence.genesis.as_ref().is_some_and(|(_, genesis)| genesis.predecessor.is_some()) {
        say("what was recorded under the origin that this one continues");
    }
    let is = |wanted: fn(&SignatureState) -> bool| entries.iter().any(|one| wanted(&one.signature));
    if entries.iter().any(|one| signatures::status(&one.signature).is_some()) {
        say(
            "that no key was retired or compromised earlier: a KEY_RETIRED or KEY_COMPROMISED that \
             is not shown is not taken into account",
        );
    }
    if is(|one| matches!(one, SignatureState::ProvenToKeyHolder { .. })) {
        say("HMAC signatures to anybody else: they convince only who holds the key");
    }
    if is(|one| matches!(one, SignatureState::KeyHolderOnly { .. })) {
        say("HMAC signatures: they convince only who holds the key, and it was not given");
    }
    let credentials: BTreeSet<&str> = entries
        .iter()
        .filter_map(|one| match &one.signature {
            SignatureState::CredentialOnly { credential } => Some(credential.as_deref()),
            _ => None,
        })
        .map(|credential| credential.unwrap_or("none"))
        .collect();
    for credential in credentials {
        say(&format!(
            "authorship of unsigned entries: attested by credential {credential:?} only, which \
             only the ledger checked"
        ));
    }
    let commitments: u64 = entries.iter().map(|one| u64::from(one.commitments)).sum();
    if commitments > bundle.personal.len() as u64 {
        say("personal records that are withheld or erased: only the commitments to them stand");
    }
    limits
}
