//! Introspection: the status of a presented token now (RFC 7662).
//!
//! ```text
//! presented digest ──▶ ids ──▶ events of all their chains ──▶ known state
//!      id          ──▶  │       births ──▶ wider things they belong to ──▶ revocations that cover
//!                       └── also_known_as, from either side, in every origin
//! ```
//!
//! Promises: the `known` state of all ids of the token together, with every revocation of something
//! wider that covers it, from one committed state and all origins. What is not read to its end has
//! no answer ([`QueryError::Budget`]): a revocation may be in the rest. Only REVOKED is said by a
//! part of it as well: nothing in the rest undoes that. [`part`] is for whoever ends the token.
//!
//! Assumes: the caller checked who may see the tenant.
//!
//! Refuses: to tell tokens of one digest apart. Whoever presents one presents all of them, so that
//! a presented token is active only if all of them are. But none lends another its state or its
//! facts, nor hides it: ids of different issuers are judged each by itself, [`TokenStatus::claims`]
//! has all of them, and whoever ends or shows a token does so with each.

mod answer_cache;
mod change_marks;
mod status_cache;

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_index::terms::{By, chain_term, presented_digest};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::lifecycle::{self, Fact, Revocation, State, TokenState, is_permitted_birth};
use ledgerline_proof::token_id::{TokenId, can_be_one_token};
use ledgerline_proof::vocabulary::{Outcome, TargetKind, TokenKind};
use ledgerline_view::view::{QueryError, View};

use ledgerline_questions::life::{Judgement, stands_of};
use ledgerline_questions::lineage::{
    Facts, MAX_IDS, QueryContext, Record, Scope, Spending, wide_chains,
};

pub use answer_cache::{Answer, AnswerCache, AnswerName, CachedAnswer};
pub use change_marks::ChangeMarks;
pub use status_cache::StatusCache;

/// Events that name one digest that are looked at. With more there is no answer.
const MAX_NAMING: usize = 100_000;
/// What one answer may read.
const SPENDING: Spending = Spending { index_reads: 50_000, entries: 250_000 };

/// How a token is named by whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presented<'a> {
    /// The digest of its value, as `t1` ids have it.
    Digest(&'a str),
    /// A token id.
    Id(&'a str),
    /// Ids of one token, of which somebody who can tell says that they are: its issuer's signature.
    Ids(&'a [&'a str]),
}

/// The status of a token: where it stands, and why.
#[derive(Debug, Clone)]
pub struct TokenStatus {
    /// The id under which it was born; without a birth the one that was recorded first.
    pub id: String,
    /// All its ids.
    pub ids: BTreeSet<String>,
    /// State in ledger order, with the revocations that cover it.
    pub state: TokenState,
    /// What it is, as its birth says.
    pub facts: Facts,
    /// The ids of each issuer that has the presented digest, where several do; else empty. This is
    /// then the status of one of them.
    pub claims: Vec<Vec<String>>,
    /// Whether more is recorded than was read. Then it says no more than that it is revoked, if it
    /// is.
    pub is_part: bool,
    /// How many of its events were read for that, and applied since.
    events: usize,
    /// When a revocation that covers it takes effect that has not yet, Unix nanoseconds.
    changes_at: Option<i64>,
    /// Terms to watch: a new posting on any of them makes this status stale.
    watched: Vec<Term>,
}

impl TokenStatus {
    /// Whether it may be used at `now`. Codes, assertions and ID tokens are never for use.
    #[must_use]
    pub fn is_active(&self, now_nanos: i64) -> bool {
        self.usable_between().is_some_and(|(from, until)| from <= now_nanos && now_nanos < until)
    }

    /// From when until before when it may be used, Unix nanoseconds, as what is in force now has
    /// it; `None` for never.
    #[must_use]
    pub fn usable_between(&self) -> Option<(i64, i64)> {
        let opens = self.state.token_kind.is_none_or(TokenKind::opens_resources);
        self.state.usable_between().filter(|_| opens)
    }

    /// Whether what was read says where the token stands.
    #[must_use]
    pub fn is_decided(&self, now_nanos: i64) -> bool {
        !self.is_part || self.state.state_at(now_nanos) == State::Revoked
    }

    /// Until when it may be used, as far as is known: its expiry, or the end of its grace.
    #[must_use]
    pub fn usable_until(&self) -> Option<i64> {
        let ends = [self.state.expires_at, self.state.grace_until];
        ends.into_iter().flatten().min()
    }
}

/// Where the token stands that somebody presented, judged at `now`. `None` when nothing is recorded
/// about it in the tenant.
///
/// # Errors
/// [`QueryError`]; `Budget` when there is more to read than one answer may, unless what was read is
/// revoked.
pub fn token_status(
    view: &View,
    tenant: &str,
    presented: Presented<'_>,
    now_nanos: i64,
) -> Result<Option<TokenStatus>, QueryError> {
    let found = part(view, tenant, presented, now_nanos)?;
    match found {
        Some(one) if !one.is_decided(now_nanos) => Err(QueryError::Budget),
        found => Ok(found),
    }
}

/// As [`token_status`], of as much as one answer may read: what is to be ended, whatever else there
/// is. Of a digest that several issuers have, as [`token_status`].
///
/// # Errors
/// [`QueryError`]; `Budget` when nothing is found in that much.
pub fn part(
    view: &View,
    tenant: &str,
    presented: Presented<'_>,
    now_nanos: i64,
) -> Result<Option<TokenStatus>, QueryError> {
    let origins = view.origins();
    let mut places = places(view, &origins, tenant, now_nanos)?;
    let ids: BTreeSet<String> = match presented {
        Presented::Id(id) => BTreeSet::from([id.to_owned()]),
        Presented::Ids(ids) => ids.iter().map(|id| (*id).to_owned()).collect(),
        Presented::Digest(digest) => presented_as(&mut places, digest)?,
    };
    if matches!(presented, Presented::Digest(_)) && !are_of_one_issuer(&ids) {
        check_whole(&places)?;
        return claimed_by_several(view, tenant, ids, now_nanos);
    }
    let Found { ids, records, whole, is_cut } = identity(&mut places, ids)?;
    if records.is_empty() {
        let checked = if is_cut { Err(QueryError::Budget) } else { check_whole(&places) };
        return checked.map(|()| None);
    }
    let mut watched = watched(view, tenant, &ids);
    let mut state = known(&records);
    if !whole && !is_cut && state.token_kind.is_some_and(TokenKind::is_code) {
        state = code_state(view, tenant, &ids, now_nanos)?;
    }
    let mut changes_at = None;
    for birth in &records {
        if !birth.read(|_, s| is_permitted_birth(s)) {
            continue;
        }
        for (kind, id) in birth.read(wide_chains) {
            watched.push(chain_term(view.terms(), &ChainKey { kind, tenant, id: &id }));
            let effective = cover(&mut places, kind, &id, birth, &mut state)?;
            changes_at = [changes_at, effective].into_iter().flatten().min();
        }
    }
    watched.sort_unstable();
    watched.dedup();
    let birth = records.iter().find(|record| record.read(|_, s| is_permitted_birth(s)));
    let told = birth.unwrap_or(&records[0]);
    Ok(Some(TokenStatus {
        id: told.read(|_, s| s.target.id.to_owned()),
        ids,
        state,
        is_part: is_cut || check_whole(&places).is_err(),
        events: records.len(),
        facts: told.read(|entry, s| Facts::of(s, &entry.handles)),
        claims: Vec::new(),
        changes_at,
        watched,
    }))
}

/// What a change of a token with these ids would be found by.
fn watched(view: &View, tenant: &str, ids: &BTreeSet<String>) -> Vec<Term> {
    let (terms, mut watched) = (view.terms(), Vec::new());
    for id in ids {
        let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
        watched.push(chain_term(terms, &key));
        watched.push(By::Alias(id).term(terms, tenant));
        watched.extend(presented_digest(id).map(|one| By::Presented(one).term(terms, tenant)));
    }
    watched
}

/// One search for each origin.
fn places<'v>(
    view: &View,
    origins: &'v [View],
    tenant: &str,
    now_nanos: i64,
) -> Result<Vec<QueryContext<'v>>, QueryError> {
    let (tenant, as_of) = (tenant.to_owned(), view.as_of());
    let scope = Scope { tenant, as_of, at: None, judged_at: now_nanos };
    origins.iter().map(|origin| QueryContext::alone(origin, scope.clone(), SPENDING)).collect()
}

/// The ids with this digest, by the issuer whose they are: what somebody presented may be any.
///
/// # Errors
/// As [`token_status`].
pub fn claims(
    view: &View,
    tenant: &str,
    digest: &str,
    now_nanos: i64,
) -> Result<Vec<Vec<String>>, QueryError> {
    let origins = view.origins();
    let mut places = places(view, &origins, tenant, now_nanos)?;
    let ids = presented_as(&mut places, digest)?;
    check_whole(&places).map(|()| by_issuer(ids))
}

fn by_issuer(mut left: BTreeSet<String>) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    while let Some(first) = left.pop_first() {
        let own: Vec<String> =
            left.iter().filter(|id| can_be_one_token(id, &first)).cloned().collect();
        left.retain(|id| !own.contains(id));
        groups.push([first].into_iter().chain(own).collect());
    }
    groups
}

/// All ids of a token, and the events that decide where it stands.
struct Found {
    ids: BTreeSet<String>,
    records: Vec<Arc<Record>>,
    /// Whether that is all the events of these ids.
    whole: bool,
    /// Whether it has more ids than are looked at.
    is_cut: bool,
}

/// The state in ledger order by the token's own events.
fn known(records: &[Arc<Record>]) -> TokenState {
    let mut state = TokenState::UNKNOWN;
    for record in records {
        let rank = record.at.rank();
        record.read(|entry, one| state.apply(&Fact::of(one, rank, entry.recorded_at)));
    }
    state
}

/// The state of a code with very many events: each permitted use counts, so all are read.
fn code_state(
    view: &View,
    tenant: &str,
    ids: &BTreeSet<String>,
    at: i64,
) -> Result<TokenState, QueryError> {
    let judgement = Judgement { at, by: i64::MAX };
    let whole = stands_of(view, tenant, ids, &view.as_of(), judgement, None)?;
    whole.filter(|whole| !whole.cut).map(|whole| whole.known).ok_or(QueryError::Budget)
}

/// All ids of the token in all origins, and what of their chains decides where it stands. The ids
/// that were presented come first, and of those only such count that something is recorded under.
fn identity(
    places: &mut [QueryContext<'_>],
    mut ids: BTreeSet<String>,
) -> Result<Found, QueryError> {
    let mut level: Vec<String> = ids.iter().cloned().collect();
    let (mut records, mut whole, mut is_cut) = (Vec::new(), true, false);
    let mut most = MAX_IDS;
    while !level.is_empty() {
        for place in &mut *places {
            place.read_presented(level.iter().cloned().collect());
        }
        let mut all = BTreeSet::new();
        for id in &level {
            let (before, mut others) = (records.len(), BTreeSet::new());
            for place in &mut *places {
                let found = place.deciding(id)?;
                records.extend(found.chain);
                whole &= found.whole;
                others.extend(found.ids);
            }
            if let Some(digest) = presented_digest(id) {
                let same = presented_as(places, digest)?;
                others.extend(same.into_iter().filter(|other| can_be_one_token(other, id)));
            }
            others.remove(id);
            if records.len() == before && others.is_empty() {
                most += 1;
            }
            all.append(&mut others);
        }
        level.clear();
        for other in all.into_iter().filter(|other| !ids.contains(other)).collect::<Vec<_>>() {
            if ids.len() >= most {
                is_cut = true;
                break;
            }
            ids.insert(other.clone());
            level.push(other);
        }
    }
    records.sort_unstable_by_key(|record| record.at);
    Ok(Found { ids, records, whole, is_cut })
}

/// The ids of tokens with this digest, by their births and by what others call them.
fn presented_as(
    places: &mut [QueryContext<'_>],
    digest: &str,
) -> Result<BTreeSet<String>, QueryError> {
    let mut ids = BTreeSet::new();
    let is_it = |id: &str| presented_digest(id) == Some(digest);
    for context in places {
        let term = By::Presented(digest).term(context.view().terms(), &context.scope().tenant);
        let naming = context.records(&term, MAX_NAMING, |_, statement| {
            statement.target.kind == TargetKind::Token
                && (is_it(statement.target.id)
                    || statement.also_known_as.iter().any(|id| is_it(id)))
        })?;
        for record in naming {
            record.read(|_, statement| {
                // What was refused gives no token another name, nor does another issuer.
                let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
                let target = statement.target.id;
                let aliases = statement
                    .also_known_as
                    .iter()
                    .filter(|id| done && is_it(id) && can_be_one_token(id, target));
                let before = ids.len();
                ids.extend(aliases.map(|id| (*id).to_owned()));
                if is_it(target) || (done && ids.len() > before) {
                    ids.insert(target.to_owned());
                }
            });
        }
    }
    Ok(ids)
}

fn are_of_one_issuer(ids: &BTreeSet<String>) -> bool {
    ids.first().is_none_or(|first| ids.iter().all(|id| can_be_one_token(id, first)))
}

/// Where a token stands that several issuers claim under one digest. Each is judged by itself, so
/// that none speaks for another: it may be used only if all of them say so that say anything (a use
/// or a refusal alone does not), with the facts of the one that was recorded first. One that cannot
/// be read keeps nobody from saying that another is revoked.
fn claimed_by_several(
    view: &View,
    tenant: &str,
    ids: BTreeSet<String>,
    now_nanos: i64,
) -> Result<Option<TokenStatus>, QueryError> {
    let claims = by_issuer(ids);
    let mut chosen: Option<TokenStatus> = None;
    let (mut watched, mut changes_at, mut is_part) = (Vec::new(), None, false);
    for own in &claims {
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let one = match token_status(view, tenant, Presented::Ids(&own), now_nanos) {
            Ok(Some(one)) => one,
            Ok(None) => continue,
            Err(QueryError::Budget) => {
                is_part = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        watched.extend(one.watched.iter().copied());
        changes_at = [changes_at, one.changes_at].into_iter().flatten().min();
        let comes_first = chosen.as_ref().is_none_or(|known| {
            // What says nothing, a use under another name, is no claim on what is known.
            let rank = |one: &TokenStatus| {
                let says_nothing = one.state.state_at(now_nanos) == State::Unknown;
                (says_nothing, one.is_active(now_nanos), one.state.first_index)
            };
            rank(&one) < rank(known)
        });
        if comes_first {
            chosen = Some(one);
        }
    }
    watched.sort_unstable();
    watched.dedup();
    match chosen {
        None if is_part => Err(QueryError::Budget),
        None => Ok(None),
        Some(one) => {
            let is_part = is_part || one.is_part;
            Ok(Some(TokenStatus { watched, changes_at, claims, is_part, ..one }))
        }
    }
}

/// Applies the revocations on the chain of something wider that cover the token born in `birth`.
/// Gives when the next one takes effect that has not yet.
fn cover(
    places: &mut [QueryContext<'_>],
    kind: TargetKind,
    id: &[u8],
    birth: &Record,
    state: &mut TokenState,
) -> Result<Option<i64>, QueryError> {
    let mut next = None;
    for context in places {
        let now = context.scope().judged_at;
        for at in context.revocations(kind, id.to_vec())?.iter() {
            let Some(record) = context.record(*at)? else { continue };
            let later = record.read(|entry, statement| {
                let rank = at.rank();
                let revocation =
                    Revocation::of(statement, &entry.handles, rank, entry.recorded_at)?;
                let covers = |s: &_, handles: &[_]| lifecycle::covers(&revocation, s, handles);
                if !birth.read(|entry, s| covers(s, &entry.handles)) {
                    return None;
                }
                if revocation.is_in_force(now) {
                    lifecycle::end_by(state, revocation.effective_at);
                    return None;
                }
                Some(revocation.effective_at)
            });
            next = [next, later].into_iter().flatten().min();
        }
    }
    Ok(next)
}

/// An answer from a part of the record is none.
fn check_whole(places: &[QueryContext<'_>]) -> Result<(), QueryError> {
    let whole = places.iter().all(|place| place.cuts().is_empty());
    if whole { Ok(()) } else { Err(QueryError::Budget) }
}

/// The issuer alias and region of a token id.
#[must_use]
pub fn issuer_and_region(id: &str) -> Option<(&str, &str)> {
    TokenId::parse(id).ok().map(|id| (id.issuer(), id.region()))
}
