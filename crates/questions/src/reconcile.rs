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
//! no difference. A difference names the newest event of the token, so that who raises it raises
//! the same one once, and again after something happened.

use ledgerline_proof::lifecycle::State;
use ledgerline_proof::vocabulary::TokenKind;
use ledgerline_view::view::QueryError;

use crate::lineage::QueryContext;

/// How ledger and issuer differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differs {
    /// Usable there, and nobody told its birth here.
    UnknownHere,
    /// Usable there, and ended here.
    EndedHere,
    /// Usable here, and gone or ended there.
    MissingThere,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How they differ.
    pub how: Differs,
    /// The tenant.
    pub tenant: String,
    /// The token.
    pub token_id: String,
    /// The token's state in the ledger; UNKNOWN without a birth.
    pub here: State,
    /// Source and id of the newest event of the token.
    pub newest: Option<(String, [u8; 16])>,
}

/// Compares one token; the context is of the time when the issuer's table was read.
/// `usable_there` says that the table holds it, and as usable.
///
/// # Errors
/// [`QueryError`]; `Budget` when the query context's is spent.
pub fn difference(
    context: &mut QueryContext<'_>,
    token_id: &str,
    usable_there: bool,
) -> Result<Option<Difference>, QueryError> {
    let at = context.scope().judged_at;
    let token = context.token(token_id)?;
    if !context.cuts().is_empty() {
        return Err(QueryError::Budget);
    }
    let is_born = !token.births.is_empty();
    let here = if is_born { token.known.state_at(at) } else { State::Unknown };
    let is_usable = token.known.is_active(at, false);
    let ended = matches!(here, State::Spent | State::Superseded | State::Expired | State::Revoked);
    // Issuers keep codes elsewhere, if at all.
    let kind = token.known.token_kind;
    let is_code = matches!(kind, Some(TokenKind::AuthCode | TokenKind::DeviceCode));
    let how = match (usable_there, is_born) {
        (true, false) => Differs::UnknownHere,
        (true, true) if ended && !is_usable => Differs::EndedHere,
        (false, true) if is_usable && !is_code => Differs::MissingThere,
        _ => return Ok(None),
    };
    let newest = token.records.last();
    let newest = newest.map(|record| record.read(|_, one| (one.source.to_owned(), one.event_id)));
    let (tenant, token_id) = (context.scope().tenant.clone(), token_id.to_owned());
    Ok(Some(Difference { how, tenant, token_id, here, newest }))
}
