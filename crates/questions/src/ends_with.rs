//! What ends with a token when somebody revokes it.
//!
//! Promises: the token first, then what descends from it and, if asked, the tokens of a refresh
//! token's grant and family and what descends from those; each once, also those that have ended.
//! Whether one may still be used is judged by all that is known of it at the time given.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_proof::lifecycle::State;
use ledgerline_proof::vocabulary::TokenKind;
use ledgerline_view::view::{QueryError, View};

use crate::lineage::{Bounds, Cut, QueryContext, Scope, Spending, Token};
use crate::{blast_radius, grants_named, of_same_grant};

/// Tokens that one revocation is about, at most.
const TOKENS_MAX: usize = 10_000;

/// What goes with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Its descendants and, for a refresh token, its grant and family and theirs.
    Grant,
    /// Its descendants alone.
    Descendants,
}

/// A token that ends with another one.
pub struct Ending {
    /// It.
    pub token: Arc<Token>,
    /// Why it belongs to them.
    pub why: &'static str,
    /// Where it stands.
    pub state: State,
    /// Whether it may be used now or later, as far as is known.
    pub may_be_used: bool,
}

/// All that ends with a token.
pub struct EndsWith {
    /// The token first; empty when nobody knows it.
    pub set: Vec<Ending>,
    /// The grants of a refresh token: with it ends what was issued under them, also what the ledger
    /// is told of later (RFC 7009 section 2.1).
    pub grants: Vec<String>,
    /// What cut the search.
    pub cuts: Vec<Cut>,
}

/// What ends with a token that is revoked at `now`.
///
/// # Errors
/// [`QueryError`].
pub fn ends_with(
    view: &View,
    tenant: &str,
    id: &str,
    with: With,
    now: i64,
) -> Result<EndsWith, QueryError> {
    let scope = Scope { tenant: tenant.to_owned(), as_of: view.as_of(), at: None, judged_at: now };
    let mut context = QueryContext::new(view, scope, Spending::default())?;
    let root = context.token(id)?;
    let has_grant = with == With::Grant && root.known.token_kind == Some(TokenKind::Refresh);
    let mut roots = vec![id.to_owned()];
    if has_grant {
        let kin = of_same_grant(&mut context, &root, TOKENS_MAX)?;
        roots.extend(kin.iter().map(|token| token.id.clone()));
    }
    let bounds = Bounds { depth: u32::MAX, tokens: TOKENS_MAX, ..Bounds::default() };
    let (mut set, mut seen) = (Vec::new(), BTreeSet::new());
    for (n, root) in roots.into_iter().enumerate() {
        if seen.contains(&root) {
            continue;
        }
        let Some(found) = blast_radius(&mut context, &root, bounds)? else { continue };
        for relative in found.lineage.relatives {
            let why = match (n, set.is_empty()) {
                (0, true) => "itself",
                (0, false) => "descendant",
                _ => "same grant or family",
            };
            let token = relative.token;
            if seen.insert(token.id.clone()) {
                let (state, may_be_used) = (token.known.state_at(now), may_be_used(&token, now));
                set.push(Ending { token, why, state, may_be_used });
            }
        }
    }
    let grants = if has_grant { grants_named(&root) } else { Vec::new() };
    Ok(EndsWith { set, grants, cuts: context.cuts() })
}

fn may_be_used(token: &Token, now: i64) -> bool {
    match token.known.state_at(now) {
        State::Pending | State::Active | State::Suspended | State::Unknown => true,
        State::Superseded => token.known.grace_until.is_some_and(|end| now < end),
        State::Spent | State::Expired | State::Revoked => false,
    }
}
