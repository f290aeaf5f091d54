//! Whose word an entry is.
//!
//! Promises: a signature is proven only by a key whose KEY_ADDED leaf is in the tree, within the
//! key's index range, for the deployment that GENESIS names, and within the key's grant.
//!
//! Refuses: secrets that are not the ones the ledger registered by hash.

use std::collections::BTreeMap;

use super::evidence::{Evidence, ProvenKey, Recorded};
use super::report::{SignatureState, Status};
use crate::bundle::Decimal;
use crate::entry::Signature;
use crate::hash::{DomainHasher, domain};
use crate::signature::{Alg, StatementKey};
use crate::statement::Statement;
use crate::token_id::TokenId;
use crate::vocabulary::{KeyPurpose, TargetKind};

/// The tenant of keys that write for all tenants.
const ALL_TENANTS: &str = "*";
/// The reserved source of the ledger's own statements.
const LEDGER_SOURCE: &str = "ledger";

/// Judges the signature of one entry, or says that there is none.
pub(super) fn judge(
    recorded: &Recorded<'_>,
    evidence: &Evidence<'_>,
    secrets: &BTreeMap<String, Vec<u8>>,
) -> SignatureState {
    let Some(signature) = &recorded.entry.signature else {
        let credential = recorded.entry.attested_by.credential;
        let source = recorded.statement.as_ref().map(|statement| statement.source);
        if source == Ok(LEDGER_SOURCE) && credential.is_none() {
            return SignatureState::LedgerOwn;
        }
        return SignatureState::CredentialOnly { credential: credential.map(str::to_owned) };
    };
    let key_id = signature.key_id.to_owned();
    let Some(key) = evidence.keys.get(signature.key_id) else {
        let why = "the bundle does not prove its KEY_ADDED".to_owned();
        return SignatureState::NotProven { key_id, why };
    };
    let Some((_, genesis)) = &evidence.genesis else {
        let why = "the deployment is not proven".to_owned();
        return SignatureState::NotProven { key_id, why };
    };
    let Some(alg) = Alg::from_number(signature.alg) else {
        let why = "an algorithm that this checker does not know".to_owned();
        return SignatureState::NotProven { key_id, why };
    };
    if let Err(why) = check_validity(recorded, signature, key) {
        return SignatureState::Failed { key_id, why: why.to_owned() };
    }
    let statement_key = match alg {
        Alg::Ed25519 => key
            .added
            .public_key
            .and_then(|public| StatementKey::ed25519(public, genesis.deployment, &key_id).ok()),
        Alg::HmacSha256 => {
            let Some(secret) = secrets.get(signature.key_id) else {
                return SignatureState::KeyHolderOnly { key_id };
            };
            let known = DomainHasher::new(domain::SECRET).bytes(secret).finish();
            (Some(known) == key.added.secret_hash)
                .then(|| StatementKey::hmac(secret, genesis.deployment, &key_id))
        }
    };
    let Some(statement_key) = statement_key else {
        let why = "the key at hand is not the registered one, or is unusable".to_owned();
        return SignatureState::NotProven { key_id, why };
    };
    let compromised_at = key.compromised_at.map(Decimal);
    match statement_key.verify(recorded.entry.statement, signature.value) {
        Ok(()) if alg.convinces_third_parties() => {
            SignatureState::Proven { key_id, compromised_at }
        }
        Ok(()) => SignatureState::ProvenToKeyHolder { key_id, compromised_at },
        Err(error) => SignatureState::Failed { key_id, why: error.to_string() },
    }
}

/// Whether the key may have signed this entry at this index.
fn check_validity(
    recorded: &Recorded<'_>,
    signature: &Signature<'_>,
    key: &ProvenKey<'_>,
) -> Result<(), &'static str> {
    if key.added.purpose != KeyPurpose::Producer {
        return Err("the key is not a producer's");
    }
    if key.added.alg != signature.alg {
        return Err("the key is of another algorithm");
    }
    if recorded.index < key.valid_from {
        return Err("the key was not yet valid at this index");
    }
    if key.valid_until.is_some_and(|until| recorded.index > until) {
        return Err("the key was no longer valid at this index");
    }
    match &recorded.statement {
        Ok(statement) => check_grant(statement, key),
        Err(_) => Ok(()),
    }
}

fn check_grant(statement: &Statement<'_>, key: &ProvenKey<'_>) -> Result<(), &'static str> {
    let added = &key.added;
    if added.tenant != ALL_TENANTS && added.tenant != statement.tenant {
        return Err("the key is of another tenant");
    }
    if added.source != statement.source {
        return Err("the key is of another source");
    }
    let grant = &added.grant;
    if !grant.types.is_empty() && !grant.types.contains(&statement.event_type) {
        return Err("the key's grant does not cover this type of event");
    }
    if statement.target.kind != TargetKind::Token {
        return Ok(());
    }
    let Ok(token) = TokenId::parse(statement.target.id) else { return Ok(()) };
    if !grant.issuers.is_empty() && !grant.issuers.contains(&token.issuer()) {
        return Err("the key's grant does not cover this issuer");
    }
    if !grant.regions.is_empty() && !grant.regions.contains(&token.region()) {
        return Err("the key's grant does not cover this region");
    }
    Ok(())
}

/// What the state of one signature means for the claim about all of them. `None` without one.
pub(super) fn status(state: &SignatureState) -> Option<Status> {
    match state {
        SignatureState::CredentialOnly { .. } | SignatureState::LedgerOwn => None,
        SignatureState::Proven { .. } | SignatureState::ProvenToKeyHolder { .. } => {
            Some(Status::Proven)
        }
        SignatureState::KeyHolderOnly { .. } => {
            let why = "an HMAC convinces only who holds the key";
            Some(Status::NotProven(why.to_owned()))
        }
        SignatureState::NotProven { why, .. } => Some(Status::NotProven(why.clone())),
        SignatureState::Failed { why, .. } => Some(Status::Failed(why.clone())),
    }
}
