//! Proof bundles: the published good ones, changed piece by piece, and raw JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use ledgerline_proof::bundle::{
    Base64, Base64Hash, Bundle, Decimal, Disclosed, Document, LeafProof, Previous, Query,
    SignedDecimal, SourceCount,
};
use ledgerline_proof::check::{ClaimKind, Status, Trust, Verdict, check};
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::note::VerifierKey;

use crate::cursor::{Cursor, damage_once};

macro_rules! published {
    ($name:literal) => {
        include_bytes!(concat!("../../crates/proof/vectors/bundles/", $name, ".json"))
    };
}

const GOOD: [&[u8]; 8] = [
    published!("good_unsigned"),
    published!("good_hmac"),
    published!("good_ed25519"),
    published!("good_disclosed"),
    published!("good_event"),
    published!("good_later_schema"),
    published!("good_erased"),
    published!("good_consistency"),
];
/// Signs the ledgers of the published bundles, and nothing else ever.
const LOG_KEY: &str =
    "ledger.example/bundles+8eac60b2+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

struct Published {
    bundles: Vec<Bundle>,
    keys: Vec<VerifierKey>,
    secrets: BTreeMap<String, Vec<u8>>,
    /// Every leaf that the key ever signed a tree over, as far as it was published.
    leaves: BTreeSet<(u64, Vec<u8>)>,
    /// Every personal record that was ever disclosed.
    records: BTreeSet<Vec<u8>>,
}

fn published() -> &'static Published {
    static PUBLISHED: OnceLock<Published> = OnceLock::new();
    PUBLISHED.get_or_init(|| {
        let bundles = GOOD.map(|bytes| Bundle::parse(bytes).expect("a published bundle")).to_vec();
        let leaves = bundles.iter().flat_map(|bundle| &bundle.leaves);
        let leaves = leaves.map(|proof| (proof.index.0, proof.leaf.0.clone())).collect();
        let records = bundles.iter().flat_map(|bundle| &bundle.personal);
        let records = records.map(|disclosed| disclosed.record.0.clone()).collect();
        let keys = vec![VerifierKey::parse(LOG_KEY).expect("a published key")];
        let secrets = [("hm1".to_owned(), vec![b'Z'; 32])].into();
        Published { bundles, keys, secrets, leaves, records }
    })
}

/// Input: a first byte that names a published bundle, then changes to it; or JSON as it is.
pub fn bundle(data: &[u8]) {
    if data.starts_with(b"{") {
        judge(data);
        return;
    }
    let all = &published().bundles;
    let mut input = Cursor::new(data);
    let mut bundle = all[usize::from(input.u8()) % all.len()].clone();
    for _ in 0..24 {
        if input.is_done() {
            break;
        }
        change(&mut input, &mut bundle);
    }
    let json = bundle.to_json();
    if bundle.check_limits().is_ok() {
        assert_eq!(Bundle::parse(&json).as_ref(), Ok(&bundle), "it reads back as another bundle");
    }
    judge(&json);
}

fn judge(json: &[u8]) {
    if let Ok(bundle) = Bundle::parse(json) {
        let again = bundle.to_json();
        assert_eq!(Bundle::parse(&again).as_ref(), Ok(&bundle), "it reads back otherwise");
    }
    let Published { keys, secrets, leaves, records, .. } = published();
    let trust = Trust { log_keys: keys, hmac_secrets: secrets, previous: None };
    let Ok(report) = check(json, &trust) else { return };
    let bundle = Bundle::parse(json).expect("it was checked");
    let proven = |kind| report.status(kind).is_some_and(Status::is_proven);
    if proven(ClaimKind::Inclusion) {
        for proof in &bundle.leaves {
            let known = leaves.contains(&(proof.index.0, proof.leaf.0.clone()));
            assert!(known, "leaf {} was never in this ledger", proof.index.0);
        }
    }
    if report.verdict == Verdict::Proven {
        assert!(proven(ClaimKind::Checkpoint) && proven(ClaimKind::Inclusion));
        assert!(!report.not_proven.is_empty(), "something is always open");
        for disclosed in &bundle.personal {
            assert!(records.contains(&disclosed.record.0), "a forged personal record");
        }
        for document in &bundle.attachments {
            assert_eq!(sha256(&document.data.0), document.digest, "a forged attachment");
        }
    }
    assert_eq!(report.tree.is_some(), proven(ClaimKind::Checkpoint));
}

/// One change of one piece.
fn change(input: &mut Cursor<'_>, bundle: &mut Bundle) {
    let step = input.u8();
    let at = usize::from(input.u8()) % bundle.leaves.len().max(1);
    match step % 15 {
        0 | 1 => {
            if let Some(proof) = bundle.leaves.get_mut(at) {
                damage_once(input, &mut proof.leaf.0);
            }
        }
        2 if !bundle.leaves.is_empty() => drop(bundle.leaves.remove(at)),
        3 if !bundle.leaves.is_empty() => {
            let other = usize::from(input.u8()) % bundle.leaves.len();
            bundle.leaves.swap(at, other);
        }
        4 => bundle.leaves.extend(foreign_leaf(input)),
        5 => {
            if let Some(proof) = bundle.leaves.get_mut(at) {
                proof.index = Decimal(proof.index.0.wrapping_add_signed(signed(input)));
            }
        }
        6 => {
            if let Some(proof) = bundle.leaves.get_mut(at) {
                change_path(input, &mut proof.path);
            }
        }
        7 => change_query(input, bundle),
        8 => {
            bundle.as_of.size = Decimal(bundle.as_of.size.0.wrapping_add_signed(signed(input)));
            let recorded_at = bundle.as_of.recorded_at.0.wrapping_add(i64::from(input.u8()));
            bundle.as_of.recorded_at = SignedDecimal(recorded_at);
        }
        9 => {
            let record = Base64(input.bytes(at * 8).to_vec());
            let index = Decimal(u64::from(input.u8()));
            bundle.personal.push(Disclosed { index, n: u16::from(input.u8()), record });
        }
        10 => {
            let data = input.bytes(at).to_vec();
            let digest = if input.u8() & 1 == 0 { sha256(&data) } else { Hash::ZERO };
            let media_type = "text/plain".to_owned();
            bundle.attachments.push(Document { digest, media_type, data: Base64(data) });
        }
        11 => {
            let events = Decimal(u64::from(input.u8()));
            bundle.coverage.sources.push(SourceCount { source: "idp".to_owned(), events });
        }
        12 => {
            let mut bytes = std::mem::take(&mut bundle.checkpoint).into_bytes();
            damage_once(input, &mut bytes);
            bundle.checkpoint = String::from_utf8_lossy(&bytes).into_owned();
        }
        13 => {
            let mut path = bundle.previous.take().map_or_else(Vec::new, |previous| previous.path);
            change_path(input, &mut path);
            let size = Decimal(u64::from(input.u8()));
            bundle.previous = Some(Previous { size, root: Base64Hash(Hash::ZERO), path });
        }
        _ => {
            for disclosed in &mut bundle.personal {
                damage_once(input, &mut disclosed.record.0);
            }
        }
    }
}

fn signed(input: &mut Cursor<'_>) -> i64 {
    i64::from(input.u8().cast_signed())
}

/// A leaf of another published bundle, at its own place.
fn foreign_leaf(input: &mut Cursor<'_>) -> Option<LeafProof> {
    let all = &published().bundles;
    let leaves = &all[usize::from(input.u8()) % all.len()].leaves;
    leaves.get(usize::from(input.u8()) % leaves.len()).cloned()
}

fn change_path(input: &mut Cursor<'_>, path: &mut Vec<Base64Hash>) {
    let step = input.u8();
    match path.get_mut(usize::from(step >> 3)) {
        Some(hash) if step & 3 != 0 => hash.0.0[usize::from(input.u8() % 32)] ^= step,
        Some(_) if step & 4 == 0 => drop(path.pop()),
        _ => path.push(Base64Hash(Hash([step; 32]))),
    }
}

fn change_query(input: &mut Cursor<'_>, bundle: &mut Bundle) {
    let length = usize::from(input.u8() % 64);
    let id = String::from_utf8_lossy(input.bytes(length)).into_owned();
    let tenant = String::new();
    bundle.query = match &bundle.query {
        Query::Event { source, event_id, .. } if length % 2 == 0 => {
            Query::Event { tenant: id, source: source.clone(), event_id: *event_id }
        }
        Query::Token { id, .. } if length % 2 == 0 => {
            let other = if id.ends_with("hmac") { "eu:idp:jti:plain" } else { "eu:idp:jti:hmac" };
            Query::Token { tenant, id: other.to_owned() }
        }
        _ => Query::Token { tenant, id },
    };
}
