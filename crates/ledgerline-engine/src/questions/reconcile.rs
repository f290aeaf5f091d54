//! Reconciliation: what the ledger says of a token against what its issuer's own table says.
//!
//! ```text
//! at the issuer   in the ledger            difference
//! usable          nothing, or no birth     reconcile_unknown_token
//! usable          ended                    reconcile_ended_here
//! gone or ended   usable, and no code      reconcile_missing_at_issuer
//! ```
//!
//! Promises: both are compared as of the time at which the table was read: what happened later is
//! no difference. The finding cites the newest event of the token, so that the same difference is
//! raised once, and again after something happened.

use ledgerline_proof::lifecycle::State;
use ledgerline_proof::vocabulary::{TargetKind, TokenKind};

use crate::findings::rules::{Cited, Finding, Rule};
use crate::lineage::Inquiry;
use crate::view::QueryError;

/// A difference, as the finding it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The finding.
    pub finding: Finding,
    /// The token's state in the ledger; UNKNOWN without a birth.
    pub here: State,
}

/// Compares one token; the inquiry is of the time when the issuer's table was read.
/// `usable_there` says that the table holds it, and as usable.
///
/// # Errors
/// [`QueryError`]; `Budget` when the inquiry's is spent.
pub fn difference(
    inquiry: &mut Inquiry<'_>,
    token_id: &str,
    usable_there: bool,
    now_nanos: i64,
) -> Result<Option<Difference>, QueryError> {
    let at = inquiry.scope().judged_at;
    let token = inquiry.token(token_id)?;
    if !inquiry.cuts().is_empty() {
        return Err(QueryError::Budget);
    }
    let is_born = !token.births.is_empty();
    let here = if is_born { token.known.state_at(at) } else { State::Unknown };
    let is_usable = token.known.is_active(at, false);
    let ended = matches!(here, State::Spent | State::Superseded | State::Expired | State::Revoked);
    // Issuers keep codes elsewhere, if at all.
    let kind = token.known.token_kind;
    let is_code = matches!(kind, Some(TokenKind::AuthCode | TokenKind::DeviceCode));
    let rule = match (usable_there, is_born) {
        (true, false) => Rule::ReconcileUnknownToken,
        (true, true) if ended && !is_usable => Rule::ReconcileEndedHere,
        (false, true) if is_usable && !is_code => Rule::ReconcileMissingAtIssuer,
        _ => return Ok(None),
    };
    let newest = token.records.last().map(|record| {
        record.read(|_, one| Cited { source: one.source.to_owned(), event_id: one.event_id })
    });
    let finding = Finding {
        rule,
        severity: rule.severity(),
        tenant: inquiry.scope().tenant.clone(),
        kind: TargetKind::Token,
        target: token_id.to_owned(),
        events: newest.into_iter().collect(),
        place: None,
        parent: None,
        gap_ms: None,
        explained: None,
        about: Some(here.symbol().to_owned()),
        noticed_at: now_nanos,
        who: None,
    };
    Ok(Some(Difference { finding, here }))
}
