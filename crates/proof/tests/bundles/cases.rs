//! The published cases: bundles good and bad, and what a check must say of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ledgerline_proof::bundle::{Base64, Base64Hash, Bundle, Decimal, Parameter, Query};
use ledgerline_proof::check::ClaimKind::{
    self, AsOf, Attachments, Blocks, Chain, Checkpoint, Consistency, Coverage, Entries, Genesis,
    Inclusion, Lifecycle, Order, Personal, Query as Asked, Schemas, Signatures,
};
use ledgerline_proof::control::{ControlKind, SchemaText};
use ledgerline_proof::entry::{Entry, Handle};
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::schema::{self, Kind, Schema};
use ledgerline_proof::signature::{Alg, StatementSigner};
use ledgerline_proof::statement::{PolicyChange, Statement, Target};
use ledgerline_proof::vocabulary::{EventType, HandleKind, PersonalRole, TargetKind};

use super::ledger::{DEPLOYMENT, HMAC_SECRET, Ledger, New, document, log_key};

const PLAIN: &str = "eu:idp:jti:plain";
const HMAC: &str = "eu:idp:jti:hmac";
const ED: &str = "eu:idp:jti:ed25519";
const COVERED: &str = "eu:idp:jti:covered";
const ALICE: &str = "eu:idp:jti:alice";
const BOB: &str = "eu:idp:jti:bob";
const SNAPSHOT: &[u8] = b"allow finance if mfa";

/// How a case must end.
pub enum Expected {
    /// These claims are not proven: `true` failed, `false` could not be judged. All others are.
    Report(Vec<(ClaimKind, bool)>),
    /// The bytes are no bundle.
    Malformed,
}

/// What the checker holds.
pub struct Held {
    pub hmac: BTreeMap<String, Vec<u8>>,
    pub previous: Option<Vec<u8>>,
}

pub struct Case {
    pub name: &'static str,
    pub about: &'static str,
    pub bundle: Vec<u8>,
    pub held: Held,
    pub expected: Expected,
}

static HMAC_SIGNER: LazyLock<StatementSigner> =
    LazyLock::new(|| StatementSigner::hmac(&HMAC_SECRET, DEPLOYMENT, "hm1"));
static ED_SIGNER: LazyLock<StatementSigner> =
    LazyLock::new(|| StatementSigner::ed25519(&[9; 32], DEPLOYMENT, "ed1"));

/// The public half of `ED_SIGNER`.
fn ed_public() -> &'static [u8] {
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).verifying_key();
    Box::leak(Box::new(key.to_bytes()))
}

/// An Avro schema of a later statement: one more field, optional.
fn later_schema() -> (String, [u8; 8]) {
    let text = Kind::Statement.text().trim_end();
    let cut = text.rfind(']').unwrap();
    let field = r#", {"name": "later", "type": ["null", "string"], "default": null}"#;
    let text = format!("{}{field}{}", &text[..cut], &text[cut..]);
    let fingerprint = Schema::parse(&text).unwrap().fingerprint();
    (text, fingerprint)
}

/// Turns a statement of version 1 into one of the later schema.
fn make_later(bytes: &mut Vec<u8>) {
    bytes[2..10].copy_from_slice(&later_schema().1);
    bytes.push(0);
}

fn announce_later(ledger: &mut Ledger) -> u64 {
    let (text, fingerprint) = later_schema();
    let text: &'static str = Box::leak(text.into_boxed_str());
    ledger.control(|control| {
        control.kind = ControlKind::Schema;
        let (name, sha256) = (Kind::Statement.name(), sha256(text.as_bytes()));
        control.schema = Some(SchemaText { name, fingerprint, sha256, text });
    })
}

fn empty() -> Ledger {
    Ledger::new(log_key(1), log_key(1).verifier_key())
}

/// A ledger with a little of everything.
pub static HONEST: LazyLock<Ledger> = LazyLock::new(honest);

fn honest() -> Ledger {
    let mut ledger = empty();
    ledger.add_key("hm1", Alg::HmacSha256, None);
    ledger.add_key("ed1", Alg::Ed25519, Some(ed_public()));
    for (position, id) in [PLAIN, COVERED].into_iter().enumerate() {
        let at = i64::try_from(position).unwrap() * 10;
        ledger.event(New::token(&format!("{id} 0"), id, EventType::Issued, at));
        ledger.event(New::token(&format!("{id} 1"), id, EventType::Used, at + 5));
    }
    ledger.seal();
    let hmac = (Alg::HmacSha256, "hm1", &*HMAC_SIGNER);
    let ed = (Alg::Ed25519, "ed1", &*ED_SIGNER);
    for (id, (alg, key, signer)) in [(HMAC, hmac), (ED, ed)] {
        let issued = New::token(&format!("{id} 0"), id, EventType::Issued, 30);
        ledger.event(issued.signed(alg, key, signer));
        let used = New::token(&format!("{id} 1"), id, EventType::Used, 40);
        ledger.event(used.signed(alg, key, signer));
    }
    ledger.event(New::token("alice 0", ALICE, EventType::Issued, 50).about("alice"));
    ledger.event(New::token("bob 0", BOB, EventType::Issued, 51).about("bob"));
    ledger.seal();
    ledger.retire_key("ed1");
    ledger.event(New::token(&format!("{PLAIN} 2"), PLAIN, EventType::Revoked, 70));
    // Recorded after the revocation, and happened before it.
    ledger.event(New::token(&format!("{PLAIN} 3"), PLAIN, EventType::Used, 60));
    let session = Target { kind: TargetKind::Session, id: "eu:idp:s-17" };
    ledger.event(New::of("session", "idp", session, EventType::Revoked, 80));
    let target = Target { kind: TargetKind::Policy, id: "finance" };
    let mut policy = New::of("policy", "idp", target, EventType::PolicyChanged, 85);
    policy.statement.policy_change = Some(PolicyChange {
        effective_from: None,
        effective_until: None,
        previous_version: Some("v1"),
        change_ref: None,
        snapshot: Some(sha256(SNAPSHOT)),
    });
    ledger.event(policy);
    let target = Target { kind: TargetKind::Subject, id: "" };
    let mut erased = New::of("erased", "ledger", target, EventType::Erased, 90);
    let (role, kind) = (PersonalRole::Subject, HandleKind::Person);
    erased.handles = vec![Handle { role, kind, id: [7; 16] }];
    ledger.event(erased);
    ledger.seal();
    ledger
}

/// A ledger of one token, whose second entry is bent.
fn bent(bend: impl FnOnce(&mut Entry<'_>)) -> Ledger {
    let mut ledger = empty();
    ledger.event(New::token("0", PLAIN, EventType::Issued, 0));
    ledger.record(New::token("1", PLAIN, EventType::Used, 1), bend);
    ledger.event(New::token("2", PLAIN, EventType::Used, 2));
    ledger.seal();
    ledger
}

fn holding_nothing() -> Held {
    Held { hmac: BTreeMap::new(), previous: None }
}

fn holding_secret(secret: &[u8]) -> Held {
    Held { hmac: BTreeMap::from([("hm1".to_owned(), secret.to_vec())]), previous: None }
}

fn case(
    name: &'static str,
    about: &'static str,
    bundle: &Bundle,
    open: &[(ClaimKind, bool)],
) -> Case {
    let (bundle, held) = (bundle.to_json(), holding_nothing());
    Case { name, about, bundle, held, expected: Expected::Report(open.to_vec()) }
}

fn holding(mut case: Case, held: Held) -> Case {
    case.held = held;
    case
}

/// The position in the bundle of the `n`th leaf that is an entry.
fn entry_at(bundle: &Bundle, n: usize) -> usize {
    let is_entry = |leaf: &[u8]| schema::kind_of(leaf) == Some(Kind::Entry);
    let positions = bundle.leaves.iter().zip(0..).filter(|(proof, _)| is_entry(&proof.leaf.0));
    positions.map(|(_, position)| position).nth(n).unwrap()
}

fn bend(ledger: &Ledger, id: &str, change: impl FnOnce(&mut Bundle)) -> Bundle {
    let mut bundle = ledger.token(id);
    change(&mut bundle);
    bundle
}

/// Adjusts the count of the only source, so that a removed entry breaks the chain alone.
fn count_less(bundle: &mut Bundle) {
    bundle.coverage.sources[0].events.0 -= 1;
}

fn flip(hash: &mut Base64Hash) {
    hash.0.0[31] ^= 1;
}

const FAILED: bool = true;
const OPEN: bool = false;

fn good(ledger: &Ledger) -> Vec<Case> {
    let mut disclosed = ledger.token(ALICE);
    ledger.disclose(&mut disclosed);
    let mut with_snapshot = ledger.one("idp", "policy");
    with_snapshot.attachments.push(document(SNAPSHOT));
    let query = Query::Token { tenant: String::new(), id: COVERED.to_owned() };
    let covered = ledger.bundle(query, &|_, statement: &Statement<'_>| {
        statement.target.id == COVERED || statement.target.kind == TargetKind::Session
    });
    let grown = bend(ledger, PLAIN, |bundle| bundle.previous = Some(ledger.consistency(12)));
    let old = Held { previous: Some(ledger.checkpoint(12).to_bytes()), ..holding_nothing() };
    let mut later = empty();
    announce_later(&mut later);
    later.event(New { raw: make_later, ..New::token("0", PLAIN, EventType::Issued, 0) });
    later.seal();
    let query = Query::Token { tenant: String::new(), id: PLAIN.to_owned() };
    let later = later.bundle(query, &|_, statement| statement.target.id == PLAIN);
    vec![
        case(
            "good_unsigned",
            "a token's life, attested by a credential",
            &ledger.token(PLAIN),
            &[],
        ),
        holding(
            case("good_hmac", "signed with HMAC; the checker holds it", &ledger.token(HMAC), &[]),
            holding_secret(&HMAC_SECRET),
        ),
        case("good_ed25519", "signed by a key retired later", &ledger.token(ED), &[]),
        case("good_disclosed", "with the personal record it commits to", &disclosed, &[]),
        case("good_erased", "the personal record is gone, the rest holds", &ledger.token(BOB), &[]),
        case("good_covered", "a session revocation covers the token", &covered, &[]),
        case("good_event", "one event with the policy snapshot it names", &with_snapshot, &[]),
        case("good_erased_event", "an ERASED of the ledger", &ledger.one("ledger", "erased"), &[]),
        holding(
            case("good_consistency", "grew out of the checkpoint that is held", &grown, &[]),
            old,
        ),
        case("good_later_schema", "a statement under a proven later schema", &later, &[]),
    ]
}

/// Cases where nothing is wrong, and something cannot be judged.
fn incomplete(ledger: &Ledger) -> Vec<Case> {
    let signed = &[(Signatures, OPEN)];
    let keyless = bend(ledger, ED, |bundle| {
        let is_key = |leaf: &[u8]| leaf.windows(3).any(|part| part == b"ed1") && leaf.len() < 200;
        bundle.leaves.retain(|proof| {
            schema::kind_of(&proof.leaf.0) != Some(Kind::Control) || !is_key(&proof.leaf.0)
        });
    });
    let no_block = bend(ledger, PLAIN, |bundle| {
        let first = entry_at(bundle, 0);
        let is_block = |leaf: &[u8]| schema::kind_of(leaf) == Some(Kind::Block);
        let at = (first..).find(|at| is_block(&bundle.leaves[*at].leaf.0)).unwrap();
        bundle.leaves.remove(at);
    });
    let not_closed = bend(ledger, HMAC, |bundle| drop(bundle.leaves.pop()));
    let mut loose = empty();
    loose.event(New { raw: make_later, ..New::token("0", PLAIN, EventType::Issued, 0) });
    loose.seal();
    let loose = loose.token(PLAIN);
    let unheld = Held { previous: Some(ledger.checkpoint(12).to_bytes()), ..holding_nothing() };
    let unread = [
        (Schemas, OPEN),
        (Entries, OPEN),
        (Asked, OPEN),
        (Chain, OPEN),
        (Lifecycle, OPEN),
        (Coverage, FAILED),
    ];
    let nothing = ledger.token("eu:idp:jti:nobody");
    let absent = [(Asked, OPEN), (Chain, OPEN), (Lifecycle, OPEN)];
    vec![
        case("open_hmac", "HMAC convinces only who holds the key", &ledger.token(HMAC), signed),
        holding(
            case("open_hmac_secret", "another secret than registered", &ledger.token(HMAC), signed),
            holding_secret(&[1; 32]),
        ),
        case("open_key", "KEY_ADDED is not shown", &keyless, signed),
        case("open_block", "the block of two entries is not shown", &no_block, &[(Blocks, OPEN)]),
        holding(
            case(
                "open_as_of",
                "the block that closes the tree is not shown",
                &not_closed,
                &[(AsOf, OPEN)],
            ),
            holding_secret(&HMAC_SECRET),
        ),
        case("open_absent", "no entry is shown: absence is not proven", &nothing, &absent),
        holding(
            case(
                "open_consistency",
                "no proof from the checkpoint that is held",
                &ledger.token(PLAIN),
                &[(Consistency, OPEN)],
            ),
            unheld,
        ),
        case("bad_unread_schema", "a statement under a schema never announced", &loose, &unread),
    ]
}

/// Bundles bent after they were made.
fn bent_bundles(ledger: &Ledger) -> Vec<Case> {
    let lost = |n| {
        move |bundle: &mut Bundle| {
            bundle.leaves.remove(entry_at(bundle, n));
            count_less(bundle);
        }
    };
    let flipped = bend(ledger, PLAIN, |bundle| {
        let at = entry_at(bundle, 1);
        *bundle.leaves[at].leaf.0.last_mut().unwrap() ^= 1;
        count_less(bundle);
    });
    let path = bend(ledger, PLAIN, |bundle| {
        let at = entry_at(bundle, 3);
        flip(&mut bundle.leaves[at].path[0]);
        count_less(bundle);
    });
    let query = Query::Token { tenant: String::new(), id: PLAIN.to_owned() };
    let spliced = ledger.bundle(query, &|entry, statement| {
        statement.target.id == PLAIN || (statement.target.id == COVERED && entry.sequence == 1)
    });
    let reordered = bend(ledger, PLAIN, |bundle| {
        let at = entry_at(bundle, 0);
        bundle.leaves.swap(at, at + 1);
        count_less(bundle);
    });
    let other = Ledger::new(log_key(2), log_key(2).verifier_key());
    let genesis = bend(ledger, PLAIN, |bundle| {
        bundle.leaves[0].leaf = Base64(other.leaves[0].clone());
    });
    let no_genesis = bend(ledger, PLAIN, |bundle| drop(bundle.leaves.remove(0)));
    let root = bend(ledger, PLAIN, |bundle| {
        let root = bundle.checkpoint.lines().nth(2).unwrap().to_owned();
        let bent = Hash::from_base64(&root).unwrap();
        let bent = Hash(bent.0.map(|byte| byte ^ 1)).to_base64();
        bundle.checkpoint = bundle.checkpoint.replace(&root, &bent);
    });
    let origin = bend(ledger, PLAIN, |bundle| bundle.origin = "ledger.example/other".to_owned());
    let size = bend(ledger, PLAIN, |bundle| bundle.as_of.size.0 -= 1);
    let time = bend(ledger, PLAIN, |bundle| bundle.as_of.recorded_at.0 += 1);
    let record = bend(ledger, ALICE, |bundle| {
        ledger.disclose(bundle);
        bundle.personal[0].record.0[20] ^= 1;
    });
    let foreign = bend(ledger, BOB, |bundle| {
        ledger.disclose(bundle);
        let alice = ledger.records.values().next().unwrap().clone();
        bundle.personal[0].record = Base64(alice);
    });
    let mut unnamed = ledger.token(PLAIN);
    unnamed.attachments.push(document(SNAPSHOT));
    let mut bent_snapshot = ledger.one("idp", "policy");
    bent_snapshot.attachments.push(document(SNAPSHOT));
    bent_snapshot.attachments[0].data.0[0] ^= 1;
    let count = bend(ledger, PLAIN, |bundle| bundle.coverage.sources[0].events = Decimal(9));
    let tenant = bend(ledger, PLAIN, |bundle| {
        bundle.query = Query::Token { tenant: "other".to_owned(), id: PLAIN.to_owned() };
    });
    let mut forked = ledger.token(PLAIN);
    forked.previous = Some(ledger.consistency(12));
    flip(&mut forked.previous.as_mut().unwrap().path[0]);
    let chain = [(Chain, FAILED), (Lifecycle, OPEN)];
    let unproven = [(Inclusion, FAILED), (Chain, FAILED), (Lifecycle, OPEN)];
    let no_start = [(Chain, OPEN), (Lifecycle, OPEN), (Genesis, FAILED)];
    let stranger = [(Asked, FAILED), (Lifecycle, OPEN)];
    vec![
        case("bad_flipped_leaf", "one bit of an entry", &flipped, &unproven),
        case("bad_path", "one bit of the last entry's path", &path, &[(Inclusion, FAILED)]),
        case("bad_missing_entry", "an entry in the middle", &bend(ledger, PLAIN, lost(1)), &chain),
        case("bad_missing_first", "the first entry", &bend(ledger, PLAIN, lost(0)), &chain),
        case("bad_spliced", "an entry of another token's chain", &spliced, &stranger),
        case("bad_reordered", "two leaves change places", &reordered, &unproven),
        case(
            "bad_genesis",
            "GENESIS of another ledger",
            &genesis,
            &[&no_start[..], &[(Inclusion, FAILED)]].concat(),
        ),
        case("bad_no_genesis", "GENESIS is left out", &no_genesis, &no_start),
        case("bad_root", "another root in the checkpoint", &root, &[(Checkpoint, FAILED)]),
        case("bad_origin", "a checkpoint of another origin", &origin, &[(Checkpoint, FAILED)]),
        case("bad_size", "a checkpoint of another size", &size, &[(Checkpoint, FAILED)]),
        case("bad_as_of", "another time than the last block's", &time, &[(AsOf, FAILED)]),
        case("bad_record", "one bit of a disclosed record", &record, &[(Personal, FAILED)]),
        case("bad_foreign_record", "another person's record", &foreign, &[(Personal, FAILED)]),
        case("bad_unnamed_document", "no entry names it", &unnamed, &[(Attachments, FAILED)]),
        case("bad_document", "one bit of a snapshot", &bent_snapshot, &[(Attachments, FAILED)]),
        case("bad_count", "more events than are shown", &count, &[(Coverage, FAILED)]),
        case(
            "bad_tenant",
            "the entries are of another tenant",
            &tenant,
            &[(Asked, FAILED), (Chain, OPEN), (Lifecycle, OPEN)],
        ),
        case("bad_consistency", "one bit of the path", &forked, &[(Consistency, FAILED)]),
    ]
}

/// Bundles of answers to questions.
fn questions(ledger: &Ledger) -> Vec<Case> {
    let ask = |tenant: &str, name: &str, about: &str, tokens: &[&[&str]]| Query::Question {
        tenant: tenant.to_owned(),
        name: name.to_owned(),
        about: about.to_owned(),
        parameters: Vec::new(),
        tokens: tokens.iter().map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()).collect(),
    };
    let asked = |tenant: &str, tokens: &[&[&str]]| ask(tenant, "tokens", "issuer eu:idp", tokens);
    let named = |_: &Entry<'_>, statement: &Statement<'_>| {
        [PLAIN, COVERED, "finance"].contains(&statement.target.id)
            || statement.target.kind == TargetKind::Session
    };
    let two: &[&[&str]] = &[&[PLAIN], &[COVERED]];
    let good = ledger.bundle(asked("", two), &named);
    let versions = ask("", "policy-versions", "finance", &[]);
    let event = ledger.bundle(versions, &|_, s: &Statement<'_>| s.target.id == "finance");
    let unjoined = ledger.bundle(asked("", &[&[PLAIN, COVERED]]), &named);
    let other = ledger.bundle(asked("other", two), &named);
    let mut hole = good.clone();
    hole.leaves.remove(entry_at(&hole, 1));
    count_less(&mut hole);
    let open = [(Asked, OPEN), (Lifecycle, OPEN)];
    let strange = [(Asked, FAILED), (Chain, OPEN), (Lifecycle, OPEN)];
    let torn = [(Chain, FAILED), (Lifecycle, OPEN)];
    let mut cases = exchanged(ledger);
    cases.extend([
        case("good_question", "an answer with two tokens, a policy and a session", &good, &[]),
        case("good_question_event", "an answer that names one event", &event, &[]),
        case("open_question_ids", "no entry says that two ids are one token", &unjoined, &open),
        case("bad_question_tenant", "the entries are of another tenant", &other, &strange),
        case("bad_question_chain", "an entry of one token is left out", &hole, &torn),
    ]);
    cases
}

/// Bundles whose question was exchanged or changed afterwards, and one of an older version, which
/// does not tell all that it was asked.
fn exchanged(ledger: &Ledger) -> Vec<Case> {
    let ask = |name: &str, about: &str, parameters: &[(&str, &str)], ids: &[&str]| {
        let parameter = |(name, value): &(&str, &str)| Parameter {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let query = Query::Question {
            tenant: String::new(),
            name: name.to_owned(),
            about: about.to_owned(),
            parameters: parameters.iter().map(parameter).collect(),
            tokens: ids.iter().map(|id| vec![(*id).to_owned()]).collect(),
        };
        ledger.bundle(query, &|_, statement: &Statement<'_>| ids.contains(&statement.target.id))
    };
    let (one, two) = (&[PLAIN][..], &[PLAIN, COVERED][..]);
    let all = [("from", "birth"), ("until", "end"), ("of", "token")];
    let radius = [("depth", "256"), ("strength", "stated")];
    let refused = [(Asked, FAILED), (Lifecycle, OPEN)];
    let good = ask("resources", PLAIN, &all, one);
    let old = ask("resources", PLAIN, &all[..1], one);
    let words = ask("alice stole it", PLAIN, &[], one);
    let story = ask("resources", "what alice stole", &all, one);
    let value = ask("resources", PLAIN, &[("from", "the theft")], one);
    let note = ask("resources", PLAIN, &[("note", "alice stole it")], one);
    let other = ask("resources", COVERED, &all, one);
    let stranger = ask("blast-radius", PLAIN, &radius, two);
    let client = ask("tokens", "client nobody", &[], one);
    vec![
        case("good_question_bound", "an answer that tells all that was asked", &good, &[]),
        case("good_question_old", "an answer that does not tell all that was asked", &old, &[]),
        case("bad_question_name", "a sentence for the question's name", &words, &refused),
        case("bad_question_about", "a sentence for what it is about", &story, &refused),
        case("bad_question_value", "a sentence for a parameter's value", &value, &refused),
        case("bad_question_parameter", "a parameter that is none", &note, &refused),
        case("bad_question_token", "about a token that is not shown", &other, &refused),
        case("bad_question_place", "a token that does not descend", &stranger, &refused),
        case("bad_question_holder", "a client that nothing names", &client, &refused),
    ]
}

/// Bundles of ledgers that did wrong: every leaf is in the tree.
fn bent_ledgers(ledger: &Ledger) -> Vec<Case> {
    let chain = [(Chain, FAILED), (Lifecycle, OPEN)];
    let rules = [(Entries, FAILED), (Lifecycle, OPEN)];
    let gap = bent(|entry| entry.sequence = 5);
    let unlinked = bent(|entry| entry.prev_event_hash = Hash([1; 32]));
    let blindless = bent(|entry| entry.blind = None);
    let late = bent(|entry| entry.recorded_at.nanos += 3_600_000_000_000);
    let mut trailing = empty();
    let raw: fn(&mut Vec<u8>) = |bytes| bytes.push(0);
    trailing.event(New { raw, ..New::token("0", PLAIN, EventType::Issued, 0) });
    trailing.seal();
    let unread =
        [(Entries, FAILED), (Asked, OPEN), (Chain, OPEN), (Lifecycle, OPEN), (Coverage, FAILED)];
    let mut forged = empty();
    forged.add_key("ed1", Alg::Ed25519, Some(ed_public()));
    let value: &'static [u8] = &[3; 64];
    let signed =
        |id| New::token("0", id, EventType::Issued, 0).signed(Alg::Ed25519, "ed1", &ED_SIGNER);
    forged.record(signed(PLAIN), |entry| entry.signature.as_mut().unwrap().value = value);
    forged.seal();
    let mut retired = empty();
    retired.add_key("ed1", Alg::Ed25519, Some(ed_public()));
    retired.retire_key("ed1");
    retired.event(signed(PLAIN));
    retired.seal();
    let mut early = empty();
    early.event(signed(PLAIN));
    early.add_key("ed1", Alg::Ed25519, Some(ed_public()));
    early.seal();
    let mut ungranted = empty();
    ungranted.add_key("ed1", Alg::Ed25519, Some(ed_public()));
    ungranted.event(signed("us:other:jti:1"));
    ungranted.seal();
    let mut block = empty();
    block.event(New::token("0", PLAIN, EventType::Issued, 0));
    block.seal_bent(|block| block.tree_root = Hash([2; 32]));
    let mut own_log = Ledger::new(log_key(2), log_key(2).verifier_key());
    own_log.event(New::token("0", PLAIN, EventType::Issued, 0));
    own_log.seal();
    let mut other_log = Ledger::new(log_key(1), log_key(2).verifier_key());
    other_log.event(New::token("0", PLAIN, EventType::Issued, 0));
    other_log.seal();
    let mut unsealed = empty();
    unsealed.event(New::token("0", PLAIN, EventType::Issued, 0));
    let mut fork = empty();
    fork.event(New::token("fork", PLAIN, EventType::Issued, 0));
    fork.seal();
    let held = Held { previous: Some(fork.checkpoint(9).to_bytes()), ..holding_nothing() };
    let mut grown = ledger.token(PLAIN);
    grown.previous = Some(ledger.consistency(9));
    vec![
        case(
            "bad_sequence",
            "a gap in the sequence",
            &gap.token(PLAIN),
            &[(Chain, FAILED), (Lifecycle, OPEN)],
        ),
        case("bad_link", "another predecessor's hash", &unlinked.token(PLAIN), &chain),
        case("bad_blind", "no blind where one is due", &blindless.token(PLAIN), &rules),
        case(
            "bad_order",
            "stamped an hour ahead",
            &late.token(PLAIN),
            &[(Order, FAILED), (Blocks, FAILED)],
        ),
        case("bad_trailing", "a statement that is not canonical", &trailing.token(PLAIN), &unread),
        case(
            "bad_signature",
            "a signature by nobody",
            &forged.token(PLAIN),
            &[(Signatures, FAILED)],
        ),
        case(
            "bad_retired_key",
            "signed after the key's last index",
            &retired.token(PLAIN),
            &[(Signatures, FAILED)],
        ),
        case(
            "bad_early_key",
            "signed before the key's first index",
            &early.token(PLAIN),
            &[(Signatures, FAILED)],
        ),
        case(
            "bad_grant",
            "an issuer that the key may not write for",
            &ungranted.token("us:other:jti:1"),
            &[(Signatures, FAILED)],
        ),
        case("bad_block", "another root in a block", &block.token(PLAIN), &[(Blocks, FAILED)]),
        case(
            "bad_own_log",
            "a log that only vouches for itself",
            &own_log.token(PLAIN),
            &[(Checkpoint, FAILED)],
        ),
        case(
            "bad_other_log",
            "GENESIS names another log key",
            &other_log.token(PLAIN),
            &[(Genesis, FAILED), (Chain, OPEN), (Lifecycle, OPEN)],
        ),
        case(
            "bad_unsealed",
            "the tree does not end in a block",
            &unsealed.token(PLAIN),
            &[(AsOf, FAILED), (Blocks, OPEN)],
        ),
        holding(
            case("bad_fork", "another tree than the one held", &grown, &[(Consistency, FAILED)]),
            held,
        ),
    ]
}

/// A schema that the bundle brings, and the ledger never had.
fn loose_schema() -> Case {
    let mut ledger = empty();
    ledger.event(New { raw: make_later, ..New::token("0", PLAIN, EventType::Issued, 0) });
    ledger.seal();
    let mut other = empty();
    let index = announce_later(&mut other);
    other.seal();
    let mut bundle = ledger.token(PLAIN);
    let leaf = Base64(other.leaves[usize::try_from(index).unwrap()].clone());
    let at = entry_at(&bundle, 0);
    let mut proof = bundle.leaves[at].clone();
    (proof.leaf, proof.index) = (leaf, Decimal(index - 1));
    bundle.leaves.insert(at, proof);
    let open = [
        (Inclusion, FAILED),
        (Schemas, OPEN),
        (Entries, OPEN),
        (Asked, OPEN),
        (Chain, OPEN),
        (Lifecycle, OPEN),
        (Coverage, FAILED),
    ];
    case("bad_loose_schema", "a schema that the ledger never announced", &bundle, &open)
}

/// Texts that are no bundles.
fn malformed(ledger: &Ledger) -> Vec<Case> {
    let text = String::from_utf8(ledger.token(PLAIN).to_json()).unwrap();
    let vkey = log_key(2).verifier_key().to_string();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let key = format!(r#""log_keys":["{vkey}"],"query":"#);
    [
        ("bad_key_field", "brings a log key", with(r#""query":"#, &key)),
        ("bad_version", "another version", with(r#""version":1"#, r#""version":2"#)),
        ("bad_float", "a float", with(r#""version":1"#, r#""version":1.0"#)),
        (
            "bad_number",
            "a 64-bit number that is no string",
            with(r#""beyond":"0""#, r#""beyond":0"#),
        ),
        ("bad_zero", "a leading zero", with(r#""beyond":"0""#, r#""beyond":"00""#)),
        ("bad_repeated", "a repeated field", with(r#""version":1"#, r#""version":1,"version":1"#)),
        ("bad_cut", "cut short", text.as_bytes()[..text.len() - 1].to_vec()),
        ("bad_more", "something behind it", with(r#""exported"}]}"#, r#""exported"}]}{}"#)),
    ]
    .map(|(name, about, bundle)| Case {
        name,
        about,
        bundle,
        held: holding_nothing(),
        expected: Expected::Malformed,
    })
    .into()
}

/// Every case.
pub static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = good(&HONEST);
    cases.extend(incomplete(&HONEST));
    cases.extend(bent_bundles(&HONEST));
    cases.extend(bent_ledgers(&HONEST));
    cases.push(loose_schema());
    cases.extend(malformed(&HONEST));
    cases.extend(questions(&HONEST));
    cases
});

/// The cases with nothing wrong in them.
pub fn all_good() -> &'static [Case] {
    let count = ALL.iter().take_while(|case| case.name.starts_with("good_")).count();
    &ALL[..count]
}
