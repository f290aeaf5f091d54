//! What ends with a token that is revoked, and what the ledger has of telling issuers.
//!
//! Promises: what is planned is what the view shows; each REVOKED is named by the act, the size of
//! the ledger and the token, so that planning it twice of one view records it once.
//!
//! Assumes: whoever tells an issuer has [`ASKED`] recorded before, and what came of it behind.

use ledgerline_ledger::intake::RevokeToken;
use ledgerline_proof::own_statement::{Named, OwnStatement};
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_questions::lineage::{Cut, Token};
use ledgerline_questions::{Ending, EndsWith, With, ends_with};
use ledgerline_view::view::{QueryError, View};

/// Said of an issuer that was not asked.
pub const NOT_TOLD: &str = "not told";
/// Said before one is asked.
pub const ASKED: &str = "asked";
/// Said of an issuer that answered 200, which is all it can say.
pub const ANSWERED: &str = "answered_200";
/// The same in entries of older versions.
const CONFIRMED: &str = "confirmed";

/// A token of the set that a revocation is about.
pub struct Member {
    /// Its id.
    pub token_id: String,
    /// Where it stood.
    pub state: &'static str,
    /// Why it is in the set.
    pub why: &'static str,
    /// What came of an earlier telling of its issuer.
    pub issuer: Option<&'static str>,
}

/// What is to be revoked, and what cut the search.
pub struct Plan {
    /// Those that may still be used.
    pub tokens: Vec<RevokeToken>,
    /// All that goes together, also what has ended before.
    pub set: Vec<Member>,
    /// By what the search was cut.
    pub cuts: Vec<Cut>,
}

/// Why tokens are revoked.
#[derive(Clone)]
pub struct Why {
    /// Names the kind of act, in ids.
    pub act: &'static str,
    /// The reason for the token itself.
    pub reason: String,
    /// The reason for those that go with it.
    pub reason_with_it: String,
    /// What goes with the token.
    pub with: With,
    /// Whether a token that this origin knows nothing of is revoked all the same.
    pub may_be_older: bool,
    /// What the token's own REVOKED says of telling its issuer.
    pub issuer: Option<&'static str>,
}

/// What is to be revoked of a token and what goes with it; `None` for one that the view knows
/// nothing of, unless it may be older.
///
/// # Errors
/// When the ledger cannot be read, or there is too much to read.
pub fn plan(
    view: &View,
    tenant: &str,
    id: &str,
    why: &Why,
    now: i64,
) -> Result<Option<Plan>, QueryError> {
    let size = view.size();
    let EndsWith { set, mut grants, cuts } = ends_with(view, tenant, id, why.with, now)?;
    let root = match set.first() {
        Some(first) => first.token.id.as_str(),
        None if why.may_be_older => id,
        None => return Ok(None),
    };
    let act = why.act;
    let alone = set.is_empty().then_some(root);
    let to_revoke = set.iter().filter(|one| one.may_be_used).map(|one| one.token.id.as_str());
    let tokens = to_revoke.chain(alone).map(|id| {
        let is_root = id == root;
        RevokeToken {
            token_id: id.to_owned(),
            native_id: format!("{act}/{size}/{id}"),
            reason: if is_root { &why.reason } else { &why.reason_with_it }.clone(),
            cause: (!is_root).then(|| root.to_owned()),
            correlation_id: format!("{act}/{size}"),
            // Only the token itself can be sent to its issuer.
            issuer: why.issuer.map(|word| if is_root { word } else { NOT_TOLD }),
            grants: if is_root { std::mem::take(&mut grants) } else { Vec::new() },
        }
    });
    let tokens = tokens.collect();
    let member = |one: &Ending| Member {
        token_id: one.token.id.clone(),
        state: one.state.symbol(),
        why: one.why,
        issuer: told_before(&one.token),
    };
    Ok(Some(Plan { tokens, set: set.iter().map(member).collect(), cuts }))
}

/// What came of telling an issuer, for the token's chain.
#[must_use]
pub fn told_statement(
    tenant: &str,
    token_id: &str,
    by: &str,
    outcome: &str,
    why: Option<&str>,
    now: i64,
) -> OwnStatement {
    let text = |text: &str| text.to_owned();
    let mut detail =
        vec![("act", text("issuer_told")), ("by", text(by)), ("issuer", text(outcome))];
    detail.extend(why.map(|why| ("why", text(why))));
    let chosen = [Some(tenant), Some(by), why].into_iter().flatten().map(text);
    let name = format!("issuer-told/{now}/{token_id}");
    OwnStatement {
        named: Named::InOrigin,
        target: Some((TargetKind::Token, text(token_id))),
        detail,
        chosen: chosen.collect(),
        ..OwnStatement::new(tenant, name, EventType::AdminAct)
    }
}

/// What the ledger has of an earlier telling of a token that a responder revoked here: the word of
/// the last one. `None` when no responder revoked it: whoever did is the one to know.
#[must_use]
pub fn told_before(token: &Token) -> Option<&'static str> {
    let mut word = None;
    for record in &token.records {
        if !matches!(record.event_type, EventType::Revoked | EventType::AdminAct) {
            continue;
        }
        let is_act = record.event_type == EventType::AdminAct;
        let said = record.read(|_, statement| {
            let detail = |key: &str| statement.detail.iter().find(|one| one.key == key);
            let is_telling = detail("act").is_some_and(|act| act.value == "issuer_told");
            detail("issuer").filter(|_| !is_act || is_telling).map(|one| one.value.to_owned())
        });
        match said.as_deref() {
            None => {}
            Some(ANSWERED | CONFIRMED) if is_act => return Some(ANSWERED),
            Some(_) if is_act => word = Some("failed"),
            Some(_) => word = word.or(Some(NOT_TOLD)),
        }
    }
    word
}
