//! What a ledger is compared with once it was read: its head store, older checkpoints, the keys at
//! hand; and what of all that could be checked.
//!
//! Promises: nothing here reads the journal. What is not at hand is said, never passed over.

use std::sync::Arc;

use ledgerline_index::Manifest;
use ledgerline_journal::end_note::EndNote;
use ledgerline_journal::head_store::HeadStore;
use ledgerline_proof::checkpoint;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::note::{KeyKind, VerifierKey};
use ledgerline_vault::keys::KeyRing;
use ledgerline_view::identity::Identity;

use super::index_files::RunRead;
use super::judge::Context;
use super::ledger::Ledger;
use super::names::Name;
use super::report::{Check, Findings, Severity, VerifyFinding};
use super::signatures::SIGNATURES_CHECK;
use super::{One, VerifyOptions, VerifyWorld};

/// What the head store says.
pub(super) enum Head {
    NotAtHand,
    Empty,
    Bad(String),
    At(u64, Hash),
}

impl Head {
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::At(size, _) => Some(*size),
            _ => None,
        }
    }
}

/// Where an older origin ends takes the place of the head store.
pub(super) fn end_of(end: &EndNote, identity: &Identity) -> Head {
    match end.check(&identity.origin, &identity.log_key) {
        Ok(end) => Head::At(end.size, end.root),
        Err(why) => Head::Bad(why.to_owned()),
    }
}

/// What is compared with the ledger once it was read.
pub(super) struct Outside {
    pub(super) head: Head,
    pub(super) since: Vec<(u64, Hash)>,
    pub(super) pending: Vec<[u8; 16]>,
    pub(super) manifest: Option<Manifest>,
    /// What the manifest's runs hold, when they were read beside the journal.
    pub(super) runs: Option<Vec<RunRead>>,
    pub(super) live: bool,
}

pub(super) fn head(
    world: &VerifyWorld,
    identity: &Identity,
    log_key: Option<&VerifierKey>,
) -> Head {
    let Some(disk) = &world.head else { return Head::NotAtHand };
    let Some(log_key) = log_key else {
        return Head::Bad("the genesis entry names no log key".into());
    };
    let store = HeadStore::new(Arc::clone(disk));
    let named = identity.predecessor.as_ref().map(|before| before.checkpoint.as_bytes());
    if named.is_some() && store.note().is_ok_and(|note| note.as_deref() == named) {
        // A start that was cut off behind commit 0.
        return Head::Empty;
    }
    match store.head(log_key) {
        Ok(Some((size, root))) => Head::At(size, root),
        Ok(None) => Head::Empty,
        Err(error) => Head::Bad(error.to_string()),
    }
}

pub(super) fn since(
    one: &One<'_>,
    options: &VerifyOptions<'_>,
    context: &Context,
    findings: &mut Findings,
) -> Vec<(u64, Hash)> {
    let log_key = context.log_key.as_ref();
    let mut known = Vec::new();
    for note in &options.since {
        // Each origin is told of its own; the newest also of those that are nobody's.
        let origin = note.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let of_other = one.before.iter().any(|name| name.as_bytes() == origin);
        if of_other || (one.end.is_some() && origin != context.origin.as_bytes()) {
            continue;
        }
        let opened = log_key.map(|key| checkpoint::open(note, std::slice::from_ref(key)));
        if let Some(Ok(opened)) = opened {
            known.push((opened.checkpoint.size(), opened.checkpoint.root()));
        } else {
            let what = "an older checkpoint was not signed by the log that the genesis entry \
                        names: it is of another log, or the ledger was made anew";
            findings.push(VerifyFinding::new(Severity::Error, "since_key", "", what.into()));
        }
    }
    known
}

pub(super) fn check_head(ledger: &Ledger<'_>, head: &Head, is_end: bool, findings: &mut Findings) {
    let (file, knower) = match is_end {
        true => ("end", "its last checkpoint is of"),
        false => ("head store: checkpoint", "the head store has seen"),
    };
    let size = ledger.last.0;
    match head {
        Head::NotAtHand => {}
        Head::Empty => {
            // It is written from the first commit on: only a first start that was cut off leaves
            // it empty. Whoever truncates may remove it as well.
            let what = "the head store holds no checkpoint: a truncation would not be noticed; \
                        the next start writes it";
            let finding = VerifyFinding::new(Severity::Incomplete, "head_empty", file, what.into());
            findings.push(finding);
        }
        Head::Bad(error) => {
            findings.push(VerifyFinding::new(Severity::Error, "head", file, error.clone()));
        }
        Head::At(at, _) if *at > size => {
            let what = format!(
                "the journal ends at size {size}, but {knower} size {at}: it was truncated, or is \
                 an older copy"
            );
            let finding = VerifyFinding::new(Severity::Error, "behind_head", file, what);
            findings.push(finding.entry(size));
        }
        Head::At(at, _) if is_end && *at < size => {
            let what = format!("the journal goes on behind size {at}, where this origin ended");
            findings.push(VerifyFinding::new(Severity::Error, "behind_end", file, what).entry(*at));
        }
        Head::At(at, root) => check_root(ledger, *at, *root, "head", file, findings),
    }
}

pub(super) fn check_since(
    ledger: &Ledger<'_>,
    since: &[(u64, Hash)],
    is_end: bool,
    findings: &mut Findings,
) {
    let size = ledger.last.0;
    for (at, root) in since {
        if *at > size && is_end {
            let what = format!(
                "an older checkpoint is of size {at}, this origin was restored up to size {size} \
                 only: the entries between are lost, and nothing here can confirm it"
            );
            findings.push(VerifyFinding::new(Severity::Notice, "lost", "end", what));
        } else if *at > size {
            let what = format!(
                "an older checkpoint is of size {at}, the journal ends at size {size}: it was \
                 truncated, or is an older copy"
            );
            let finding = VerifyFinding::new(Severity::Error, "behind_since", "", what);
            findings.push(finding.entry(size));
        } else {
            check_root(ledger, *at, *root, "since", "", findings);
        }
    }
}

pub(super) fn check_root(
    ledger: &Ledger<'_>,
    at: u64,
    root: Hash,
    code: &'static str,
    file: &str,
    findings: &mut Findings,
) {
    let found = ledger.wanted.get(&at).copied().flatten();
    if found != Some(root) {
        let what = format!(
            "a checkpoint signed by this log says another root at size {at} than the journal has: \
             an entry below {at} was rewritten"
        );
        findings.push(VerifyFinding::new(Severity::Error, code, file, what));
    }
}

pub(super) fn check_erased(
    ledger: &Ledger<'_>,
    slot: &[u8; 16],
    index: Option<u64>,
    findings: &mut Findings,
) {
    if ledger.erased.contains_key(slot) {
        return;
    }
    let slot = format!("slot {:032x}", u128::from_be_bytes(*slot));
    let what = "sealed records of this slot are or will be erased, but no ERASED entry says so";
    let finding = VerifyFinding::new(Severity::Error, "erased_without_entry", "", what.to_owned());
    let finding = finding.of(Some(Name::beside(slot)));
    findings.push(index.map_or(finding.clone(), |index| finding.entry(index)));
}

pub(super) fn check_log_key(keys: &KeyRing, context: &Context, findings: &mut Findings) {
    let at_hand = VerifierKey::of_seed(&context.origin, KeyKind::Ed25519, &keys.log_seed);
    let same = at_hand.is_ok_and(|key| Some(&key) == context.log_key.as_ref());
    if !same {
        let what = "the log key at hand is not the one that the genesis entry names".to_owned();
        findings.push(VerifyFinding::new(Severity::Error, "log_key", "", what));
    }
}

/// What was checked, and what could not be.
pub(super) fn checks(
    world: &VerifyWorld,
    ledger: &Ledger<'_>,
    outside: &Outside,
    context: &Context,
) -> Vec<Check> {
    let check = |what, done: bool, not: &str| Check {
        what,
        done,
        note: if done { String::new() } else { not.to_owned() },
    };
    let no_keys = "the node's keys are not at hand";
    let unverifiable: u64 = ledger.unverifiable.values().sum();
    let mut list = vec![
        check("entries, statements, blocks, control entries", true, ""),
        check("tree and roots", ledger.roots_hold(), "a root does not hold"),
        check("chains, event ids, lifecycle", true, ""),
        check("commit MACs", context.journal_key.is_some(), no_keys),
        check(SIGNATURES_CHECK, context.log_key.is_some(), "GENESIS names no log key"),
    ];
    let secrets = format!("{unverifiable} signed events: the secret is not at hand");
    list.push(check("producers' signatures", unverifiable == 0, &secrets));
    let vault = if world.keys.is_some() { "the vault cannot be opened" } else { no_keys };
    list.push(check("sealed records open", context.vault.is_some(), vault));
    list.push(check("vault files", world.keys.is_some(), no_keys));
    let index = if world.keys.is_some() { "there is no index" } else { no_keys };
    list.push(check("index against the journal", ledger.index.is_some(), index));
    let (size, head) = (ledger.last.0, &outside.head);
    let not = match head {
        Head::At(at, _) => format!(
            "it covers {at} of {size} entries: a truncation of the rest would not be noticed"
        ),
        Head::Empty | Head::Bad(_) => "it holds no checkpoint of this log".to_owned(),
        Head::NotAtHand => "it is not at hand: a truncation would not be noticed".to_owned(),
    };
    list.push(check("head store", head.size() == Some(size), &not));
    let not = "none given: a rewrite with all of the node's keys shows only in `seen` fields";
    list.push(check("older checkpoints", !outside.since.is_empty(), not));
    let not = format!("{} of unknown roots", ledger.seen_unknown);
    list.push(check("what producers saw", ledger.seen_unknown == 0, &not));
    list
}
