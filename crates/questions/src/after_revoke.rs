//! "Who still let it in after it was revoked, and for how long?"
//!
//! A place is a service seen from a vantage by a source. What it did with a token at or before the
//! revocation tells nothing. Of what it did later the last ALLOW counts: the gap between the
//! revocation and it is how long the revocation took to get there. A place that only refused has a
//! gap of zero; one that never saw the token again has none.
//!
//! ```text
//!        REVOKED                  last ALLOW
//! ──────────┼──── ALLOW ── ALLOW ─────┼──── DENY ────▶ event time
//!           └───────── gap ───────────┘
//! ```
//!
//! The quantiles are by nearest rank over all gaps: one for each token and place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledgerline_index::Window;
use ledgerline_index::terms::By;
use ledgerline_proof::lifecycle::{Revocation, is_revocation};
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind, Vantage};
use ledgerline_view::address::{Begin, EntryRef};
use ledgerline_view::view::QueryError;

use super::resource_access::AHEAD_NANOS;
use super::tokens_of::{Holder, tokens_of};
use crate::lineage::{Cut, QueryContext, Record, Summary, Token, occurred, subject_of};

/// Postings asked for at a time.
const PAGE: usize = 512;
/// The newest events that are looked at of a token with more than questions look at.
const NEWEST: usize = 20_000;

/// The last ALLOW of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAllow {
    /// The entry.
    pub at: EntryRef,
    /// The token.
    pub token: String,
    /// When.
    pub seen_at: i64,
}

/// What one place did with tokens after their revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceAfter {
    /// The service, if it says its name.
    pub service: Option<String>,
    /// From where that is known.
    pub vantage: Vantage,
    /// The source that recorded it.
    pub source: String,
    /// Revoked tokens that it saw.
    pub tokens: u64,
    /// Events in which it let one in.
    pub allowed: u64,
    /// Events in which it did not.
    pub refused: u64,
    /// The longest of its gaps ends here; `None` when it only refused.
    pub last_allow: Option<LastAllow>,
    /// Its gaps, ascending, nanoseconds.
    pub gaps: Vec<i64>,
}

/// The answer.
#[derive(Debug, Clone, Default)]
pub struct AfterRevoke {
    /// The tokens looked at, each with when it was revoked.
    pub tokens: Vec<(Arc<Token>, i64)>,
    /// By the longest gap, longest first.
    pub places: Vec<PlaceAfter>,
    /// All gaps, ascending, nanoseconds.
    pub gaps: Vec<i64>,
}

/// The quantile of ascending values by nearest rank; `None` of nothing.
#[must_use]
pub fn nearest_rank(ascending: &[i64], hundredth: usize) -> Option<i64> {
    let rank = (ascending.len() * hundredth).div_ceil(100).max(1);
    ascending.get(rank - 1).copied()
}

/// What places did with a token after it was revoked; of a token that is not revoked, nothing.
/// `None` when nothing is recorded about it.
///
/// # Errors
/// [`QueryError`].
pub fn after_revoke(
    context: &mut QueryContext<'_>,
    id: &str,
) -> Result<Option<AfterRevoke>, QueryError> {
    let token = context.token(id)?;
    if !token.is_known() {
        return Ok(None);
    }
    context.show_token(&token.summary);
    let revoked = token.happened.revoked_at.map(|at| (token, at));
    Ok(Some(answered(context, revoked.into_iter().collect())?))
}

/// What places did with the tokens that were revoked at or after `from` and before `until`, by
/// themselves or by something wider; at most `most` tokens.
///
/// What was recorded more than [`AHEAD_NANOS`] before the start is not looked at: a revocation that
/// takes effect later than that is not found.
///
/// # Errors
/// [`QueryError`].
pub fn after_revokes(
    context: &mut QueryContext<'_>,
    (from, until): (i64, i64),
    most: usize,
) -> Result<AfterRevoke, QueryError> {
    let before = context.view().recorded_by(from.saturating_sub(AHEAD_NANOS + 1))?;
    let window = Window { from, until };
    let mut begin = Begin::behind(before);
    let term = By::Revocation.term(context.view().terms(), &context.scope().tenant);
    let (mut seen, mut tokens) = (BTreeSet::new(), Vec::new());
    loop {
        // Each token is found by what ended it, which lies in the window then.
        let (entries, next) = context.postings_within(&term, window, begin.clone(), PAGE)?;
        context.read_leaves(&entries);
        let ids = context.targets_at_hand(&entries, |_| true);
        context.read_summaries(ids);
        for at in entries {
            let Some(record) = context.record(at)? else { continue };
            for token in revoked_by(context, &record, most)? {
                let is_of_it = token.happened.revoked_at.is_some_and(|at| window.contains(at));
                if !is_of_it || !seen.insert(token.id.clone()) {
                    continue;
                }
                if tokens.len() >= most {
                    context.cut(Cut::Tokens);
                    return whole(context, tokens);
                }
                context.show_token(&token);
                tokens.push(token);
            }
        }
        match next {
            Some(next) if !context.is_spent() => begin = begin.not_before(next),
            _ => return whole(context, tokens),
        }
    }
}

/// Reads the lives of tokens that were revoked.
fn whole(
    context: &mut QueryContext<'_>,
    tokens: Vec<Arc<Summary>>,
) -> Result<AfterRevoke, QueryError> {
    context.read_tokens(tokens.iter().map(|token| token.id.clone()));
    let mut revoked = Vec::with_capacity(tokens.len());
    for token in tokens {
        let at = token.happened.revoked_at;
        revoked.extend(Some(context.token(&token.id)?).zip(at));
    }
    answered(context, revoked)
}

/// The tokens that a revocation is about.
fn revoked_by(
    context: &mut QueryContext<'_>,
    record: &Record,
    most: usize,
) -> Result<Vec<Arc<Summary>>, QueryError> {
    let (kind, id, subject) = record.read(|entry, statement| {
        let done = is_revocation(statement)
            && (statement.target.kind == TargetKind::Token
                || Revocation::of(statement, &entry.handles, 0, entry.recorded_at).is_some());
        let kind = done.then_some(statement.target.kind);
        (kind, statement.target.id.to_owned(), subject_of(&entry.handles))
    });
    let holder = match (kind, subject) {
        (Some(TargetKind::Token), _) => return Ok(vec![context.summary(&id)?]),
        (Some(TargetKind::Session), _) => Holder::Session(id),
        (Some(TargetKind::Grant), _) => Holder::Grant(id),
        (Some(TargetKind::Client), _) => Holder::Client(id),
        (Some(TargetKind::Subject), Some(handle)) => Holder::Subject(handle),
        // The tokens of a key are not held by anybody: they are too many to be gone through.
        (Some(_), _) => {
            context.cut(Cut::Width);
            return Ok(Vec::new());
        }
        (None, _) => return Ok(Vec::new()),
    };
    Ok(tokens_of(context, &holder, EntryRef::FIRST, most)?.tokens)
}

type Where = (Option<String>, u8, String);

fn answered(
    context: &mut QueryContext<'_>,
    tokens: Vec<(Arc<Token>, i64)>,
) -> Result<AfterRevoke, QueryError> {
    let mut places: BTreeMap<Where, PlaceAfter> = BTreeMap::new();
    for (token, revoked_at) in &tokens {
        let mut gaps: BTreeMap<Where, i64> = BTreeMap::new();
        // What came after the revocation stands at the end of a life that is too long to be read.
        let whole = if token.is_part { context.newest_records(token, NEWEST)? } else { Vec::new() };
        let records = if token.is_part { &whole } else { &token.records };
        let mut records: Vec<&Arc<Record>> = records.iter().collect();
        records.sort_by_cached_key(|record| occurred(record));
        for record in records {
            let Some((key, place, seen_at)) = seen_after(record, *revoked_at) else { continue };
            let known = places.entry(key.clone()).or_insert_with(|| PlaceAfter {
                allowed: 0,
                refused: 0,
                ..place.clone()
            });
            known.allowed += place.allowed;
            known.refused += place.refused;
            let gap = if place.allowed > 0 { seen_at.saturating_sub(*revoked_at) } else { 0 };
            let longest = gaps.entry(key).or_default();
            *longest = gap.max(*longest);
            let before = known.gaps.iter().max().copied().unwrap_or(-1);
            if place.allowed > 0 && gap >= *longest && gap > before {
                let token = token.id.clone();
                known.last_allow = Some(LastAllow { at: record.at, token, seen_at });
            }
        }
        for (key, gap) in gaps {
            let Some(place) = places.get_mut(&key) else { continue };
            place.tokens += 1;
            place.gaps.push(gap);
        }
    }
    let mut places: Vec<PlaceAfter> = places.into_values().collect();
    let mut gaps = Vec::new();
    for place in &mut places {
        place.gaps.sort_unstable();
        gaps.extend_from_slice(&place.gaps);
    }
    gaps.sort_unstable();
    places.sort_by_key(|place| std::cmp::Reverse(place.gaps.last().copied()));
    Ok(AfterRevoke { tokens, places, gaps })
}

/// The place that saw a token after its revocation, with this one event counted but in no gap yet,
/// and when it was last seen in that event. A coalesced event that began before counts as one.
fn seen_after(record: &Record, revoked_at: i64) -> Option<(Where, PlaceAfter, i64)> {
    record.read(|_, statement| {
        let presented = matches!(
            statement.event_type,
            EventType::Used | EventType::ResourceAccessed | EventType::Refreshed
        );
        let begun = statement.occurred_at.nanos;
        let at = statement.last_at.unwrap_or(begun).max(begun);
        if !presented || at <= revoked_at {
            return None;
        }
        let whole = statement.count.and_then(|n| u64::try_from(n).ok()).unwrap_or(1);
        let count = if begun > revoked_at { whole } else { 1 };
        let is_let_in = statement.outcome == Outcome::Allow;
        let place = PlaceAfter {
            service: statement.service.map(str::to_owned),
            vantage: statement.vantage,
            source: statement.source.to_owned(),
            tokens: 0,
            allowed: if is_let_in { count } else { 0 },
            refused: if is_let_in { 0 } else { count },
            last_allow: None,
            gaps: Vec::new(),
        };
        let key = (place.service.clone(), place.vantage.position(), place.source.clone());
        Some((key, place, at))
    })
}

#[cfg(test)]
mod tests {
    use super::nearest_rank;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let check = |values: &[i64], hundredth, expected| {
            assert_eq!(nearest_rank(values, hundredth), expected, "{hundredth} of {values:?}");
        };
        check(&[], 50, None);
        check(&[7], 50, Some(7));
        check(&[7], 99, Some(7));
        check(&[1, 2], 50, Some(1));
        check(&[1, 2, 3], 50, Some(2));
        check(&[1, 2, 3], 99, Some(3));
        check(&(1..=200).collect::<Vec<_>>(), 99, Some(198));
    }
}
