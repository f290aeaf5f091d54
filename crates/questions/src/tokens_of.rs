//! The tokens of a person, client, session, grant or issuer, with their states.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_index::terms::{By, is_birth, issuer_of, names, qualified};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::EventType;
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::QueryError;

use crate::lineage::{PAGE, QueryContext, Record, Summary, Token, subject_of};

/// Who holds tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A person.
    Subject([u8; 16]),
    /// A client, bare or qualified.
    Client(String),
    /// A session, bare or qualified.
    Session(String),
    /// A grant, bare or qualified.
    Grant(String),
    /// A family of tokens, bare or qualified.
    Family(String),
    /// An issuer, `<region>:<alias>`.
    Issuer(String),
}

impl Holder {
    /// The terms that lead to the births of its tokens, among others perhaps.
    fn terms(&self, context: &QueryContext<'_>) -> Vec<Term> {
        let (hasher, tenant) = (context.view().terms(), &context.scope().tenant);
        match self {
            Self::Subject(handle) => vec![By::Subject(handle).births(hasher, tenant)],
            Self::Client(id) => By::Client(id).births_spelled(hasher, tenant),
            Self::Session(id) => By::Session(id).spelled(hasher, tenant),
            Self::Grant(id) => By::Grant(id).spelled(hasher, tenant),
            Self::Family(id) => By::Family(id).spelled(hasher, tenant),
            Self::Issuer(_) => vec![By::Births.term(hasher, tenant)],
        }
    }

    /// Whether an event brings one of its tokens in.
    fn holds(&self, entry: &Entry<'_>, statement: &Statement<'_>) -> bool {
        let issuer = issuer_of(statement.target.id);
        let named = |asked: &str, written: Option<&str>| {
            written.is_some_and(|written| names(asked, written, issuer))
        };
        is_birth(statement)
            && match self {
                Self::Subject(handle) => subject_of(&entry.handles) == Some(*handle),
                Self::Client(id) => named(id, statement.client_id),
                Self::Session(id) => named(id, statement.session_id),
                Self::Grant(id) => named(id, statement.grant_id),
                Self::Family(id) => named(id, statement.family_id),
                Self::Issuer(id) => issuer == Some(id),
            }
    }
}

/// A page of tokens.
#[derive(Debug, Clone, Default)]
pub struct TokensOf {
    /// In the order in which they came into the ledger.
    pub tokens: Vec<Arc<Summary>>,
    /// From where the next page goes on.
    pub next: Option<EntryRef>,
}

/// The tokens whose ISSUED or ORIGIN names the holder, from an entry on. A token with several ids
/// or births is on the page of the first.
///
/// # Errors
/// [`QueryError`].
pub fn tokens_of(
    context: &mut QueryContext<'_>,
    holder: &Holder,
    mut from: EntryRef,
    limit: usize,
) -> Result<TokensOf, QueryError> {
    let terms = holder.terms(context);
    let mut answer = TokensOf::default();
    loop {
        let (entries, next) = context.postings_of_any(&terms, from, PAGE)?;
        let mut read_to = 0;
        for (n, &at) in entries.iter().enumerate() {
            if n >= read_to {
                let most = (limit - answer.tokens.len()).saturating_add(1);
                read_to = entries.len().min(n.saturating_add(most));
                context.read_leaves(&entries[n..read_to]);
                let ids = context.targets_at_hand(&entries[n..read_to], may_be_birth);
                context.read_summaries(ids);
            }
            let Some(record) = context.record(at)? else {
                if context.is_spent() {
                    answer.next = Some(at);
                    return Ok(answer);
                }
                continue;
            };
            let Some(id) = record.read(|entry, statement| {
                holder.holds(entry, statement).then(|| statement.target.id.to_owned())
            }) else {
                continue;
            };
            let token = context.summary(&id)?;
            // Most are born by their first event. Births that were refused are in no summary.
            let is_first = token.events.first() == Some(&at)
                || first_birth(&*context.token(&id)?, holder) == Some(at);
            if !is_first {
                continue;
            }
            if answer.tokens.len() >= limit {
                answer.next = Some(at);
                context.cut(crate::lineage::Cut::Limit);
                return Ok(answer);
            }
            context.show_token(&token);
            answer.tokens.push(token);
        }
        match next {
            Some(next) if !context.is_spent() => from = next,
            next => {
                answer.next = next;
                return Ok(answer);
            }
        }
    }
}

/// The tokens that belong together with one by its grant or its family at its issuer, itself among
/// them: what an authorization server ends with a refresh token (RFC 7009 section 2.1).
///
/// # Errors
/// [`QueryError`].
pub fn of_same_grant(
    context: &mut QueryContext<'_>,
    token: &Arc<Token>,
    limit: usize,
) -> Result<Vec<Arc<Token>>, QueryError> {
    let Some(issuer) = issuer_of(&token.id) else { return Ok(vec![Arc::clone(token)]) };
    let mut holders = Vec::new();
    for record in token.records.iter().filter(|record| may_be_birth(record)) {
        record.read(|_, birth| {
            let full = |id: &str| qualified(id, issuer);
            holders.extend(birth.grant_id.map(|id| Holder::Grant(full(id))));
            holders.extend(birth.family_id.map(|id| Holder::Family(full(id))));
        });
    }
    holders.dedup();
    let (mut found, mut seen) = (vec![Arc::clone(token)], BTreeSet::from([token.id.clone()]));
    for holder in holders {
        let held = tokens_of(context, &holder, EntryRef::FIRST, limit)?.tokens;
        context.read_tokens(held.iter().map(|other| other.id.clone()));
        for other in held.iter().filter(|other| seen.insert(other.id.clone())) {
            found.push(context.token(&other.id)?);
        }
    }
    Ok(found)
}

/// The grants that a token's births name, each once, as `<region>:<issuer>:<id>`.
#[must_use]
pub fn grants_named(token: &Token) -> Vec<String> {
    let Some(issuer) = issuer_of(&token.id) else { return Vec::new() };
    let births = token.records.iter().filter(|record| may_be_birth(record));
    let named = births.filter_map(|record| {
        record.read(|_, birth| birth.grant_id.map(|id| qualified(id, issuer)))
    });
    let mut grants: Vec<String> = named.collect();
    grants.sort();
    grants.dedup();
    grants
}

fn may_be_birth(record: &Record) -> bool {
    matches!(record.event_type, EventType::Issued | EventType::Origin)
}

/// The first of a token's births that names the holder.
fn first_birth(token: &Token, holder: &Holder) -> Option<EntryRef> {
    let mut births = token.records.iter().filter(|record| may_be_birth(record));
    let birth = births.find(|record| record.read(|e, s| holder.holds(e, s)));
    birth.map(|record| record.at)
}
